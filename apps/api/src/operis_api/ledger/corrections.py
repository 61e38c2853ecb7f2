"""What administrators put right: credits and debits on their word, and charges given back. Each is one posting."""

from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.money import NANO, format_nano
from operis_api.ledger.errors import AdjustmentTooLarge, AlreadyReversed, NothingCharged
from operis_api.ledger.postings import Movement, credit_wallet, debit_wallet, lock_wallet
from operis_db.ledger import Entry, Posting

ADJUSTMENT_NANO_MAX = 1_000_000 * NANO


class Reversal(msgspec.Struct, frozen=True):
    posting_id: UUID
    amount_nano: int


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
