"""Reading usage records: lists by keyset, one by its id, and sums by day, model or key."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Date, String, Text, and_, cast, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.errors import NotFound
from operis_api.kit.ids import time_of
from operis_db.people import ApiKey
from operis_db.usage import UsageRecord

_PROMPT = (
    UsageRecord.input
    + UsageRecord.cached_input
    + UsageRecord.cache_write_5m
    + UsageRecord.cache_write_1h
    + UsageRecord.audio_input
)
_COMPLETION = UsageRecord.output + UsageRecord.reasoning + UsageRecord.audio_output + UsageRecord.image


class RecordRow(msgspec.Struct, frozen=True):
    record: UsageRecord
    key_name: str | None


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; None means all."""

    organization_id: UUID | None = None
    model: str | None = None
    key_id: UUID | None = None
    outcome: str | None = None


class Sums(msgspec.Struct, frozen=True):
    bucket: str
    requests: int
    failed: int
    estimated: int
    input_tokens: int
    output_tokens: int
    charge_nano: int
    cost_nano: int
    loss_nano: int


async def list_records(
    session: AsyncSession, filters: Filters, *, before: UUID | None, limit: int
) -> Sequence[RecordRow]:
    """Return records, newest first, one more than `limit`; `before` is the last id of the page before."""
    query = (
        select(UsageRecord, ApiKey.name)
        .outerjoin(ApiKey, and_(ApiKey.organization_id == UsageRecord.organization_id, ApiKey.id == UsageRecord.key_id))
        .where(*_conditions(filters))
        .order_by(UsageRecord.created_at.desc(), UsageRecord.id.desc())
        .limit(limit + 1)
    )
    if before is not None:
        query = query.where(
            tuple_(UsageRecord.created_at, UsageRecord.id) < tuple_(literal(time_of(before)), literal(before))
        )
    return [RecordRow(record, key_name) for record, key_name in await session.execute(query)]


async def read_record(session: AsyncSession, organization_id: UUID, request_id: UUID) -> RecordRow:
    """Return one record of the organization; its id tells the partition."""
    query = (
        select(UsageRecord, ApiKey.name)
        .outerjoin(ApiKey, and_(ApiKey.organization_id == UsageRecord.organization_id, ApiKey.id == UsageRecord.key_id))
        .where(
            UsageRecord.organization_id == organization_id,
            UsageRecord.created_at == time_of(request_id),
            UsageRecord.id == request_id,
        )
    )
    row = (await session.execute(query)).first()
    if row is None:
        raise NotFound(f"There is no request {request_id} in this organization; one in progress appears when it ends.")
    return RecordRow(*row)


async def sum_usage(
    session: AsyncSession,
    filters: Filters,
    *,
    begin: datetime,
    end: datetime,
    group_by: str,
    timezone: str,
) -> list[Sums]:
    """Sum records with begin <= created_at < end by `day` (in `timezone`), `model`, `key` or `all`, in bucket order."""
    bucket = _bucket(group_by, timezone).label("bucket")
    query = (
        select(
            bucket,
            func.count(),
            func.count().filter(UsageRecord.outcome == "failed"),
            func.count().filter(UsageRecord.estimated),
            func.coalesce(func.sum(_PROMPT), 0),
            func.coalesce(func.sum(_COMPLETION), 0),
            func.coalesce(func.sum(UsageRecord.charge_nano), 0),
            func.coalesce(func.sum(UsageRecord.cost_nano), 0),
            func.coalesce(func.sum(UsageRecord.loss_nano), 0),
        )
        .where(UsageRecord.created_at >= begin, UsageRecord.created_at < end, *_conditions(filters))
        .group_by(bucket)
        .order_by(bucket)
        .limit(1000)
    )
    return [Sums(str(row[0] or ""), *(int(value) for value in row[1:])) for row in await session.execute(query)]


def prompt_tokens(record: UsageRecord) -> int:
    return record.input + record.cached_input + record.cache_write_5m + record.cache_write_1h + record.audio_input


def completion_tokens(record: UsageRecord) -> int:
    return record.output + record.reasoning + record.audio_output + record.image


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    wanted = {
        UsageRecord.organization_id: filters.organization_id,
        UsageRecord.model_id: filters.model,
        UsageRecord.key_id: filters.key_id,
        UsageRecord.outcome: filters.outcome,
    }
    return [column == value for column, value in wanted.items() if value is not None]


def _bucket(group_by: str, timezone: str) -> ColumnElement[str]:
    match group_by:
        case "day":
            return cast(cast(func.timezone(timezone, UsageRecord.created_at), Date), String)
        case "model":
            return cast(UsageRecord.model_id, Text)
        case "key":
            return cast(UsageRecord.key_id, Text)
        case _:
            return cast("all", Text)
