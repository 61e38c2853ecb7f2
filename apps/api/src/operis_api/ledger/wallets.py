"""Reading a wallet, and the movements of money outside the hot path: grants, credits and debits.

Each of them locks the wallet row first and writes one posting whose entries sum to zero.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.errors import NotFound
from operis_api.kit.ids import new_id
from operis_api.kit.money import NANO, format_nano
from operis_api.ledger.errors import AdjustmentTooLarge, BalanceTooSmall
from operis_db.ledger import Entry, Grant, Hold, Posting, Wallet

PRIORITIES = {"free": 0, "bonus": 10, "voucher": 20, "refund": 30, "manual": 40, "paid": 50}
"""Burn order: what costs its owner least goes first."""
ADJUSTMENT_NANO_MAX = 1_000_000 * NANO
GRANTS_SHOWN_MAX = 200


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Why money moves, and the account it comes from or goes to."""

    kind: str
    account: str
    reason: str
    actor_id: UUID | None


async def open_wallet(session: AsyncSession, organization_id: UUID) -> None:
    """Give a new organization its empty wallet."""
    session.add(Wallet(organization_id=organization_id))
    await session.flush()


async def read_wallet(session: AsyncSession, organization_id: UUID) -> Wallet:
    wallet = await session.get(Wallet, organization_id, populate_existing=True)
    if wallet is None:
        raise NotFound(f"There is no wallet of organization {organization_id}.")
    return wallet


class Balance(msgspec.Struct, frozen=True):
    available_nano: int
    held_nano: int


async def read_balances(session: AsyncSession, organization_ids: Sequence[UUID]) -> dict[UUID, Balance]:
    """Return what each of the organizations has; a page of them at most."""
    rows = await session.execute(
        select(Wallet.organization_id, Wallet.available_nano, Wallet.held_nano).where(
            Wallet.organization_id.in_(organization_ids)
        )
    )
    return {row.organization_id: Balance(row.available_nano, row.held_nano) for row in rows}


async def list_grants(
    session: AsyncSession, organization_id: UUID, *, limit: int | None = GRANTS_SHOWN_MAX
) -> Sequence[Grant]:
    """Return the grants with something left, in burn order; all of them where `limit` is None."""
    rows = await session.scalars(
        select(Grant)
        .where(Grant.organization_id == organization_id, Grant.remaining_nano > 0)
        .order_by(Grant.priority, Grant.expires_at.nulls_last(), Grant.id)
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def list_entries(
    session: AsyncSession, organization_id: UUID, *, before_sequence: int | None, limit: int
) -> Sequence[tuple[Entry, Posting]]:
    """Return the wallet's ledger lines with their postings, newest first, one more than `limit`."""
    query = (
        select(Entry, Posting)
        .join(Posting, (Posting.organization_id == Entry.organization_id) & (Posting.id == Entry.posting_id))
        .where(Entry.organization_id == organization_id, Entry.account == "wallet")
        .order_by(Entry.sequence.desc())
        .limit(limit + 1)
    )
    if before_sequence is not None:
        query = query.where(Entry.sequence < before_sequence)
    return [(entry, posting) for entry, posting in await session.execute(query)]


async def list_posting_entries(session: AsyncSession, organization_id: UUID, posting_id: UUID) -> Sequence[Entry]:
    rows = await session.scalars(
        select(Entry)
        .where(Entry.organization_id == organization_id, Entry.posting_id == posting_id)
        .order_by(Entry.account)
    )
    return rows.all()


async def read_grant_sources(
    session: AsyncSession, organization_id: UUID, grant_ids: Sequence[UUID]
) -> dict[UUID, str]:
    """Return where each of the grants came from."""
    rows = await session.execute(
        select(Grant.id, Grant.source).where(Grant.organization_id == organization_id, Grant.id.in_(grant_ids))
    )
    return {row.id: row.source for row in rows}


class WalletSums(msgspec.Struct, frozen=True):
    available_nano: int
    held_nano: int
    open_holds: int


async def sum_wallets(session: AsyncSession) -> WalletSums:
    """Return what all wallets hold together, and how many holds are open: the platform's liabilities."""
    row = (
        await session.execute(
            select(
                func.coalesce(func.sum(Wallet.available_nano), 0),
                func.coalesce(func.sum(Wallet.held_nano), 0),
                select(func.count()).select_from(Hold).scalar_subquery(),
            )
        )
    ).one()
    return WalletSums(*(int(value) for value in row))


async def credit_wallet(
    session: AsyncSession,
    organization_id: UUID,
    movement: Movement,
    *,
    amount_nano: int,
    source: str,
    expires_at: datetime | None = None,
) -> UUID:
    """Put `amount_nano` into the wallet as a new grant; returns the posting's id."""
    wallet = await _lock_wallet(session, organization_id)
    wallet.available_nano += amount_nano
    session.add(
        Grant(
            organization_id=organization_id,
            id=new_id(),
            source=source,
            priority=PRIORITIES[source],
            amount_nano=amount_nano,
            remaining_nano=amount_nano,
            expires_at=expires_at,
        )
    )
    return await _post(session, wallet, movement, amount_nano)


async def debit_wallet(session: AsyncSession, organization_id: UUID, movement: Movement, *, amount_nano: int) -> UUID:
    """Take `amount_nano` out of the un-held parts of the grants, in burn order; returns the posting's id.

    Raises `BalanceTooSmall` where less is available: a debit never touches what open holds reserve.
    """
    wallet = await _lock_wallet(session, organization_id)
    if wallet.available_nano < amount_nano:
        raise BalanceTooSmall(
            f"{format_nano(wallet.available_nano)} credits are available; take that or less.",
            available=format_nano(wallet.available_nano),
            held=format_nano(wallet.held_nano),
        )
    wallet.available_nano -= amount_nano
    left = amount_nano
    for grant in await list_grants(session, organization_id, limit=None):
        taken = min(left, grant.remaining_nano - grant.held_nano)
        grant.remaining_nano -= taken
        left -= taken
    assert left == 0, "available_nano is the sum of the grants' free parts"
    return await _post(session, wallet, movement, -amount_nano)


async def adjust_wallet(
    session: AsyncSession, organization_id: UUID, *, amount_nano: int, reason: str, actor_id: UUID
) -> UUID:
    """Credit (positive) or debit (negative) a wallet on an operator's word; returns the posting's id."""
    assert amount_nano != 0, "the caller has refused zero"
    if abs(amount_nano) > ADJUSTMENT_NANO_MAX:
        raise AdjustmentTooLarge(
            f"Adjust by up to {format_nano(ADJUSTMENT_NANO_MAX)} credits either way.",
            limit=format_nano(ADJUSTMENT_NANO_MAX),
        )
    movement = Movement(kind="adjustment", account="adjustments", reason=reason, actor_id=actor_id)
    if amount_nano > 0:
        return await credit_wallet(session, organization_id, movement, amount_nano=amount_nano, source="manual")
    return await debit_wallet(session, organization_id, movement, amount_nano=-amount_nano)


async def _lock_wallet(session: AsyncSession, organization_id: UUID) -> Wallet:
    await session.flush()
    wallet = await session.get(Wallet, organization_id, with_for_update=True, populate_existing=True)
    if wallet is None:
        raise NotFound(f"There is no wallet of organization {organization_id}.")
    return wallet


async def _post(session: AsyncSession, wallet: Wallet, movement: Movement, amount_nano: int) -> UUID:
    """Write the posting and both its entries, with the wallet's next sequence; `amount_nano` is the wallet's gain."""
    posting_id = new_id()
    wallet.sequence += 1
    keys = {"organization_id": wallet.organization_id, "posting_id": posting_id}
    session.add(
        Posting(
            organization_id=wallet.organization_id,
            id=posting_id,
            kind=movement.kind,
            reason=movement.reason,
            actor_id=movement.actor_id,
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
    return posting_id
