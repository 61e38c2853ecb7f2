"""A wallet's ledger lines with the requests behind them: page by page, and as a file of any length."""

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from operis_api.kit.money import format_nano
from operis_api.kit.sessions import Sessions
from operis_db.ledger import Entry, Posting
from operis_db.usage import UsageRecord

LINES_AT_ONCE = 1000
COLUMNS = ("time", "line", "kind", "description", "model", "request", "amount", "balance")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet compute a cell instead of showing it."""
_REQUEST: ColumnElement[UUID | None] = case((Posting.kind == "charge", Posting.id), else_=Posting.reverses_id)


class LineFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What lines are narrowed to; None means all. `begin` is included, `end` is not."""

    kind: str | None = None
    begin: datetime | None = None
    end: datetime | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    sequence: int
    created_at: datetime
    kind: str
    reason: str
    request_id: UUID | None
    """The request that was charged, or whose charge was given back."""
    model: str | None
    amount_nano: int
    balance_after_nano: int


async def list_lines(
    session: AsyncSession, organization_id: UUID, filters: LineFilters, *, before_sequence: int | None, limit: int
) -> Sequence[Line]:
    """Return the wallet's lines, newest first, one more than `limit`."""
    conditions = _narrow(organization_id, filters)
    if before_sequence is not None:
        conditions.append(Entry.sequence < before_sequence)
    return await _read(session, organization_id, conditions, order=Entry.sequence.desc(), limit=limit + 1)


async def write_statement(sessions: Sessions, organization_id: UUID, filters: LineFilters) -> AsyncGenerator[str]:
    """Yield the lines as CSV, oldest first, a thousand at a time.

    Each thousand is read in a transaction of its own: lines never change, and their numbers have no gaps.
    """
    yield _row(COLUMNS)
    after = 0
    while True:
        conditions = [*_narrow(organization_id, filters), Entry.sequence > after]
        async with sessions() as session:
            lines = await _read(session, organization_id, conditions, order=Entry.sequence, limit=LINES_AT_ONCE)
        yield "".join(_row(_cells(line)) for line in lines)
        if len(lines) < LINES_AT_ONCE:
            return
        after = lines[-1].sequence


def _narrow(organization_id: UUID, filters: LineFilters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.kind == "charge":
        conditions.append(Posting.kind == filters.kind)
    elif filters.kind is not None:  # few beside many charges: found by an index of their own
        others = select(Posting.id).where(
            Posting.organization_id == organization_id, Posting.kind == filters.kind, Posting.kind != "charge"
        )
        conditions.append(Entry.posting_id.in_(others))
    if filters.begin is not None:
        conditions.append(Entry.created_at >= filters.begin)
    if filters.end is not None:
        conditions.append(Entry.created_at < filters.end)
    return conditions


async def _read(
    session: AsyncSession,
    organization_id: UUID,
    conditions: Sequence[ColumnElement[bool]],
    *,
    order: ColumnElement[int | None] | InstrumentedAttribute[int | None],
    limit: int,
) -> Sequence[Line]:
    """Read lines with the models of their requests, which are found by key: the time is in a request's id."""
    rows = await session.execute(
        select(Entry, Posting, _REQUEST, UsageRecord.model_id)
        .join(Posting, (Posting.organization_id == Entry.organization_id) & (Posting.id == Entry.posting_id))
        .outerjoin(
            UsageRecord,
            (UsageRecord.organization_id == Entry.organization_id)
            & (UsageRecord.created_at == func.moment_of(_REQUEST))
            & (UsageRecord.id == _REQUEST),
        )
        .where(Entry.organization_id == organization_id, Entry.account == "wallet", *conditions)
        .order_by(order)
        .limit(limit)
    )
    return [
        Line(
            sequence=entry.sequence or 0,
            created_at=entry.created_at,
            kind=posting.kind,
            reason=posting.reason,
            request_id=request_id,
            model=model,
            amount_nano=entry.amount_nano,
            balance_after_nano=entry.balance_after_nano or 0,
        )
        for entry, posting, request_id, model in rows.tuples()
    ]


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.created_at.isoformat(),
        str(line.sequence),
        line.kind,
        _harmless(line.reason),
        _harmless(line.model or ""),
        str(line.request_id or ""),
        format_nano(line.amount_nano),
        format_nano(line.balance_after_nano),
    )


def _harmless(text: str) -> str:
    """Return words that somebody wrote so that no spreadsheet takes them for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _row(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
