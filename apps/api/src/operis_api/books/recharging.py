"""Charging again: each usage record's meters at the price version it names must come to what was charged."""

from collections.abc import AsyncIterable
from fractions import Fraction
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.catalog.offers import resolve_price
from operis_api.catalog.pricing import METERS, Meters, Price, charge
from operis_api.ledger.proof.chain import plan_by_key
from operis_api.ledger.proof.invariants import FINDINGS_MAX, Check, IdRange
from operis_db.catalog import Price as PriceRow
from operis_db.usage import UsageRecord

NAME = "each charge is its meters at its price"
ROWS_AT_ONCE = 1000


class Recharger:
    """Charges records again, and keeps the prices it has read: they are never edited."""

    def __init__(self) -> None:
        self._prices: dict[UUID, Price | None] = {}
        self.records = 0

    async def check_page(self, session: AsyncSession, page: IdRange) -> Check:
        """Check all records of these organizations, a thousand at a time."""
        rows = await session.stream_scalars(
            select(UsageRecord)
            .where(UsageRecord.organization_id.between(page.low, page.high))
            .execution_options(yield_per=ROWS_AT_ONCE)
        )
        return await self._check(session, rows)

    async def check_written(self, session: AsyncSession, *, low: int, high: int) -> Check:
        """Check the records of charges written then; what was settled for nothing is checked by the ledger."""
        await plan_by_key(session)
        query = text(
            """
            SELECT r.* FROM postings p JOIN usage_records r
                ON r.organization_id = p.organization_id AND r.created_at = moment_of(p.id) AND r.id = p.id
            WHERE p.written >= :low AND p.written < :high AND p.kind = 'charge'
            """
        ).bindparams(low=low, high=high)
        rows = await session.stream_scalars(
            select(UsageRecord).from_statement(query).execution_options(yield_per=ROWS_AT_ONCE)
        )
        return await self._check(session, rows)

    async def _check(self, session: AsyncSession, records: AsyncIterable[UsageRecord]) -> Check:
        findings: list[str] = []
        async for record in records:
            self.records += 1
            session.expunge(record)
            finding = judge(record, await self._price(session, record.price_id))
            if finding and len(findings) < FINDINGS_MAX:
                findings.append(finding)
        return Check(NAME, findings)

    async def _price(self, session: AsyncSession, price_id: UUID) -> Price | None:
        if price_id not in self._prices:
            row = await session.get(PriceRow, price_id)
            self._prices[price_id] = resolve_price(row) if row else None
        return self._prices[price_id]


def judge(record: UsageRecord, price: Price | None) -> str | None:
    """Return what is wrong with a record's charge.

    A charge ends at its hold, and what goes beyond it is loss; a swept call, metered by our own estimate, has no loss.
    """
    if price is None:
        return f"request {record.id} names price {record.price_id}, which is not there"
    if price.model_id != record.model_id:
        return f"request {record.id} of model {record.model_id} names a price of {price.model_id}"
    if record.multiplier_denominator < 1:
        return f"request {record.id} has a multiplier of {record.multiplier_numerator}/{record.multiplier_denominator}"
    multiplier = Fraction(record.multiplier_numerator, record.multiplier_denominator)
    amount = charge(price, Meters(**{meter: getattr(record, meter) for meter in METERS}), multiplier)
    charged_nano = min(amount, record.hold_nano)
    losses = {amount - charged_nano, 0} if record.outcome == "interrupted" else {amount - charged_nano}
    if record.charge_nano == charged_nano and record.loss_nano in losses:
        return None
    return (
        f"request {record.id} charged {record.charge_nano} and lost {record.loss_nano}, "
        f"expected {charged_nano} and {amount - charged_nano}"
    )
