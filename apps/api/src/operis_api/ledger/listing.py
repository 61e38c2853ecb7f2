"""Postings and open holds over all organizations, as operators look through them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from operis_db.ledger import Block, Entry, Hold, Posting

SLACK = timedelta(minutes=5)
"""Longer than any transaction takes: what began before a moment is sealed by a block cut this long after it."""


class PostingFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; None means all. `begin` is included, `end` is not."""

    organization_id: UUID | None = None
    kind: str | None = None
    begin: datetime | None = None
    end: datetime | None = None


class PostingRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    organization_id: UUID
    kind: str
    reason: str
    actor_id: UUID | None
    reverses_id: UUID | None
    created_at: datetime
    written: int
    entries: list[Entry]


class HoldRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    organization_id: UUID
    user_id: UUID
    key_id: UUID | None
    model_id: str
    amount_nano: int
    streamed: bool
    output_tokens: int
    created_at: datetime
    lease_until: datetime
    as_of: datetime


async def list_postings(
    session: AsyncSession, filters: PostingFilters, *, before: tuple[int, UUID] | None, limit: int
) -> Sequence[PostingRow]:
    """Return postings with their entries in the order they were written, newest first, one more than `limit`."""
    query = select(Posting).order_by(Posting.written.desc(), Posting.id.desc()).limit(limit + 1)
    if filters.organization_id is not None:
        query = query.where(Posting.organization_id == filters.organization_id)
    if filters.kind is not None:
        query = query.where(Posting.kind == filters.kind)
    if filters.kind is not None and filters.kind != "charge":
        query = query.where(Posting.kind != "charge")  # which is what its index says
    if filters.begin is not None:
        low = select(func.min(Block.low)).where(Block.cut_at > filters.begin).scalar_subquery()
        head = select(func.max(Block.high)).scalar_subquery()
        query = query.where(Posting.created_at >= filters.begin, Posting.written >= func.coalesce(low, head, 0))
    if filters.end is not None:
        high = select(func.min(Block.high)).where(Block.cut_at > filters.end + SLACK).scalar_subquery()
        query = query.where(Posting.created_at < filters.end, Posting.written < func.coalesce(high, 2**62))
    if before is not None:
        query = query.where(tuple_(Posting.written, Posting.id) < tuple_(literal(before[0]), literal(before[1])))
    postings = (await session.scalars(query)).all()
    entries = await _read_entries(session, postings[:limit])
    return [
        PostingRow(
            id=posting.id,
            organization_id=posting.organization_id,
            kind=posting.kind,
            reason=posting.reason,
            actor_id=posting.actor_id,
            reverses_id=posting.reverses_id,
            created_at=posting.created_at,
            written=posting.written,
            entries=entries[posting.organization_id, posting.id],
        )
        for posting in postings
    ]


async def list_holds(
    session: AsyncSession, *, organization_id: UUID | None, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[HoldRow]:
    """Return open holds, the oldest first, one more than `limit`. There are only as many as calls run just now."""
    query = select(Hold, func.clock_timestamp()).order_by(Hold.created_at, Hold.id).limit(limit + 1)
    if organization_id is not None:
        query = query.where(Hold.organization_id == organization_id)
    if after is not None:
        query = query.where(tuple_(Hold.created_at, Hold.id) > tuple_(literal(after[0]), literal(after[1])))
    return [
        HoldRow(
            id=hold.id,
            organization_id=hold.organization_id,
            user_id=hold.user_id,
            key_id=hold.key_id,
            model_id=hold.model_id,
            amount_nano=hold.amount_nano,
            streamed=hold.streamed,
            output_tokens=hold.output_tokens,
            created_at=hold.created_at,
            lease_until=hold.lease_until,
            as_of=now,
        )
        for hold, now in (await session.execute(query)).tuples()
    ]


async def _read_entries(session: AsyncSession, postings: Sequence[Posting]) -> dict[tuple[UUID, UUID], list[Entry]]:
    keys = [(posting.organization_id, posting.id) for posting in postings]
    rows = await session.scalars(
        select(Entry).where(tuple_(Entry.organization_id, Entry.posting_id).in_(keys)).order_by(Entry.account)
    )
    found: dict[tuple[UUID, UUID], list[Entry]] = defaultdict(list)
    for entry in rows:
        found[entry.organization_id, entry.posting_id].append(entry)
    return found
