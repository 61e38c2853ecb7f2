"""What administrators put right: credits and debits, charges given back, grants paid back. Each is one posting."""

from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.errors import NotFound
from operis_api.kit.money import NANO, format_nano
from operis_api.ledger.errors import (
    AdjustmentTooLarge,
    AlreadyReversed,
    NothingCharged,
    NotRefundable,
    RefundTooLarge,
)
from operis_api.ledger.postings import Movement, credit_wallet, debit_grant, debit_wallet, lock_wallet
from operis_db.ledger import Entry, Grant, Posting

ADJUSTMENT_NANO_MAX = 1_000_000 * NANO


class Reversal(msgspec.Struct, frozen=True):
    posting_id: UUID
    amount_nano: int


class Refund(msgspec.Struct, frozen=True):
    posting_id: UUID
    amount_nano: int
    account: str


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


async def reverse_charge(
    session: AsyncSession, organization_id: UUID, request_id: UUID, *, reason: str, actor_id: UUID
) -> Reversal:
    """Give the whole charge of a request back, as a grant of source `refund` without an end; once.

    Raises `NothingCharged` where the request cost nothing, `AlreadyReversed` the second time.
    """
    await lock_wallet(session, organization_id)
    charged_nano = -(
        await session.scalar(
            select(Entry.amount_nano)
            .join(Posting, (Posting.organization_id == Entry.organization_id) & (Posting.id == Entry.posting_id))
            .where(
                Entry.organization_id == organization_id,
                Entry.posting_id == request_id,
                Entry.account == "wallet",
                Posting.kind == "charge",
            )
        )
        or 0
    )
    if charged_nano == 0:
        raise NothingCharged("There is nothing to give back.")
    before = await session.scalar(
        select(Posting.id).where(Posting.organization_id == organization_id, Posting.reverses_id == request_id)
    )
    if before is not None:
        raise AlreadyReversed("The charge was given back before.", posting_id=str(before))
    movement = Movement(kind="reversal", account="refunds", reason=reason, actor_id=actor_id, reverses_id=request_id)
    posting_id = await credit_wallet(session, organization_id, movement, amount_nano=charged_nano, source="refund")
    return Reversal(posting_id, charged_nano)


async def refund_grant(
    session: AsyncSession,
    organization_id: UUID,
    grant_id: UUID,
    *,
    amount_nano: int | None,
    reason: str,
    actor_id: UUID,
) -> Refund:
    """Take what is left of a paid grant out of the wallet (all that no hold draws on, or `amount_nano` of it).

    The money goes back the way it came: to the cash account that the grant was paid from, else to `refunds`. Paying it
    out is the caller's. Raises `NotRefundable` for a grant nobody paid for, `RefundTooLarge` where less is left.
    """
    wallet = await lock_wallet(session, organization_id)
    await session.scalar(select(func.post_expiries([organization_id])))
    await session.refresh(wallet)
    grant = await session.get(Grant, (organization_id, grant_id), populate_existing=True)
    if grant is None:
        raise NotFound(f"There is no grant {grant_id} in this wallet.")
    if grant.source != "paid":
        raise NotRefundable(f"It is a grant of source {grant.source}.", source=grant.source)
    free_nano = grant.remaining_nano - grant.held_nano
    wanted_nano = free_nano if amount_nano is None else amount_nano
    if wanted_nano == 0 or wanted_nano > free_nano:
        raise RefundTooLarge(
            f"{format_nano(free_nano)} credits of it can be paid back.",
            refundable=format_nano(free_nano),
            held=format_nano(grant.held_nano),
        )
    account = await _refund_account(session, organization_id, grant_id)
    movement = Movement(kind="refund", account=account, reason=reason, actor_id=actor_id)
    posting_id = await debit_grant(session, wallet, grant, movement, amount_nano=wanted_nano)
    return Refund(posting_id, wanted_nano, account)


async def _refund_account(session: AsyncSession, organization_id: UUID, grant_id: UUID) -> str:
    """Return the account that a grant came from where that is cash; a grant's posting has its id."""
    account = await session.scalar(
        select(Entry.account).where(
            Entry.organization_id == organization_id, Entry.posting_id == grant_id, Entry.account.startswith("cash:")
        )
    )
    return account or "refunds"
