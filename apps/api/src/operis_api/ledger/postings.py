"""Movements of money outside the hot path: credits, debits, and the end of grants.

Each locks the wallet's row first, then writes one posting whose entries sum to zero and that names the grants it moved.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.crashing import crash_here
from operis_api.kit.errors import NotFound
from operis_api.kit.ids import new_id
from operis_api.kit.money import format_nano
from operis_api.ledger.errors import BalanceTooSmall
from operis_db.ledger import Entry, Grant, Posting, Wallet

PRIORITIES = {"free": 0, "bonus": 10, "voucher": 20, "refund": 30, "manual": 40, "paid": 50}
"""Burn order: what costs its owner least goes first."""
EXPIRED_AT_ONCE_MAX = 500
OVERDUE_AFTER = timedelta(minutes=3)


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Why money moves, and the account it comes from or goes to."""

    kind: str
    account: str
    reason: str
    actor_id: UUID | None
    reverses_id: UUID | None = None
    """The posting that this one takes back: at most one does."""


async def credit_wallet(
    session: AsyncSession,
    organization_id: UUID,
    movement: Movement,
    *,
    amount_nano: int,
    source: str,
    expires_at: datetime | None = None,
) -> UUID:
    """Put `amount_nano` into the wallet as a new grant; returns the id of both the posting and the grant."""
    wallet = await lock_wallet(session, organization_id)
    wallet.available_nano += amount_nano
    grant_id = new_id()
    session.add(
        Grant(
            organization_id=organization_id,
            id=grant_id,
            source=source,
            priority=PRIORITIES[source],
            amount_nano=amount_nano,
            remaining_nano=amount_nano,
            expires_at=expires_at,
        )
    )
    await _post(session, wallet, movement, posting_id=grant_id, moves={grant_id: amount_nano})
    return grant_id


async def debit_wallet(session: AsyncSession, organization_id: UUID, movement: Movement, *, amount_nano: int) -> UUID:
    """Take `amount_nano` out of the un-held parts of the grants, in burn order; returns the posting's id.

    Raises `BalanceTooSmall` where less is available: a debit never touches what open holds reserve. What has ended
    expires first, so that a debit cannot draw on it.
    """
    wallet = await lock_wallet(session, organization_id)
    await session.scalar(select(func.post_expiries([organization_id])))
    await session.refresh(wallet)
    if wallet.available_nano < amount_nano:
        raise BalanceTooSmall(
            f"{format_nano(wallet.available_nano)} credits are available; take that or less.",
            available=format_nano(wallet.available_nano),
            held=format_nano(wallet.held_nano),
        )
    wallet.available_nano -= amount_nano
    left = amount_nano
    moves: dict[UUID, int] = {}
    grants = await session.scalars(
        select(Grant)
        .where(Grant.organization_id == organization_id, Grant.remaining_nano > Grant.held_nano, ~Grant.closed)
        .order_by(Grant.priority, Grant.expires_at.nulls_last(), Grant.id)
        .execution_options(populate_existing=True)
    )
    for grant in grants:
        taken = min(left, grant.remaining_nano - grant.held_nano)
        if taken > 0:
            grant.remaining_nano -= taken
            moves[grant.id] = -taken
            left -= taken
    assert left == 0, "available_nano is the sum of the grants' free parts"
    posting_id = new_id()
    await _post(session, wallet, movement, posting_id=posting_id, moves=moves)
    return posting_id


async def debit_grant(
    session: AsyncSession, wallet: Wallet, grant: Grant, movement: Movement, *, amount_nano: int
) -> UUID:
    """Take `amount_nano` out of one grant's un-held part: the caller has locked the wallet and seen that much."""
    assert 0 < amount_nano <= grant.remaining_nano - grant.held_nano, "the caller has refused more"
    wallet.available_nano -= amount_nano
    grant.remaining_nano -= amount_nano
    posting_id = new_id()
    await _post(session, wallet, movement, posting_id=posting_id, moves={grant.id: -amount_nano})
    return posting_id


async def expire_grants(session: AsyncSession) -> int:
    """Post the expiry of grants that are over, the longest over first; returns how many, at most 500.

    Leaves out wallets that are busy just now; nobody can draw on what is over meanwhile.
    """
    return await session.scalar(select(func.expire_grants(EXPIRED_AT_ONCE_MAX))) or 0


async def list_overdue(session: AsyncSession) -> Sequence[UUID]:
    """Return the organizations whose grants were over minutes ago: their wallets were busy at each turn of the job."""
    rows = await session.scalars(
        select(Grant.organization_id)
        .where(
            ~Grant.closed,
            Grant.expires_at < func.now() - OVERDUE_AFTER,
            Grant.remaining_nano > Grant.held_nano,
        )
        .distinct()
        .order_by(Grant.organization_id)
        .limit(EXPIRED_AT_ONCE_MAX)
    )
    return rows.all()


async def expire_overdue(session: AsyncSession, organization_id: UUID) -> None:
    """Post what is over in this wallet, however long its lock must be waited for."""
    await lock_wallet(session, organization_id)
    await session.scalar(select(func.post_expiries([organization_id])))


async def lock_wallet(session: AsyncSession, organization_id: UUID) -> Wallet:
    """Return the wallet, its row locked until the transaction ends: whoever moves money does this first."""
    await session.flush()
    wallet = await session.get(Wallet, organization_id, with_for_update=True, populate_existing=True)
    if wallet is None:
        raise NotFound(f"There is no wallet of organization {organization_id}.")
    return wallet


async def _post(
    session: AsyncSession, wallet: Wallet, movement: Movement, *, posting_id: UUID, moves: Mapping[UUID, int]
) -> None:
    """Write the posting and both its entries, with the wallet's next sequence; `moves` is what each grant gained."""
    amount_nano = sum(moves.values())
    wallet.sequence += 1
    keys = {"organization_id": wallet.organization_id, "posting_id": posting_id}
    session.add(
        Posting(
            organization_id=wallet.organization_id,
            id=posting_id,
            kind=movement.kind,
            reason=movement.reason,
            actor_id=movement.actor_id,
            reverses_id=movement.reverses_id,
            grant_ids=list(moves.keys()),
            grant_amounts_nano=list(moves.values()),
        )
    )
    await session.flush()
    await session.execute(
        insert(Entry).values(
            [
                {
                    **keys,
                    "account": "wallet",
                    "amount_nano": amount_nano,
                    "sequence": wallet.sequence,
                    "balance_after_nano": wallet.available_nano + wallet.held_nano,
                },
                {
                    **keys,
                    "account": movement.account,
                    "amount_nano": -amount_nano,
                    "sequence": None,
                    "balance_after_nano": None,
                },
            ]
        )
    )
    crash_here(f"in_{movement.kind}")
