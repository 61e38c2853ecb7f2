"""Usage and requests of the active organization."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from litestar import Router, get
from litestar.params import FromQuery, QueryParameter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.kit.errors import InvalidField
from operis_api.kit.lists import After, Limit
from operis_api.kit.moments import check_moment, check_time_zone
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.usage.presenting import add_up, show_bucket, show_request
from operis_api.usage.records import Filters, list_records, sum_usage
from operis_api.usage.schemas import Outcome, Request, Usage
from operis_db.people import ApiKey

RANGE_MAX = timedelta(days=366)
Text128 = Annotated[str | None, QueryParameter(max_length=128)]


@get("/usage", opt={"permission": "usage.view"}, operation_id="get_usage")
async def get_usage(
    identity: Identity,
    session: AsyncSession,
    from_: Annotated[datetime | None, QueryParameter(name="from")] = None,
    to: FromQuery[datetime | None] = None,
    tz: Annotated[str, QueryParameter(max_length=64, description="IANA name of the zone days are in.")] = "UTC",
    group_by: FromQuery[Literal["day", "model", "key"]] = "day",
) -> Usage:
    """Sum the organization's usage over a time, at most 366 days; without one, the last 30 days."""
    begin, end = check_range(from_, to)
    sums = await sum_usage(
        session,
        Filters(organization_id=identity.organization_id),
        begin=begin,
        end=end,
        group_by=group_by,
        timezone=check_time_zone("tz", tz),
    )
    labels = await _key_names(session, identity.organization_id) if group_by == "key" else {}
    return Usage(
        items=[show_bucket(part, labels.get(part.bucket, part.bucket or "Playground")) for part in sums],
        total=show_bucket(add_up("total", sums), "Total"),
    )


@get("/requests", opt={"permission": "usage.view"}, operation_id="list_requests")
async def list_requests(
    identity: Identity,
    session: AsyncSession,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
    model: Text128 = None,
    key_id: FromQuery[UUID | None] = None,
    outcome: FromQuery[Outcome | None] = None,
) -> Page[Request]:
    """List the organization's requests, newest first; a request appears when it has ended."""
    filters = Filters(organization_id=identity.organization_id, model=model, key_id=key_id, outcome=outcome)
    before = decode_cursor(after, UUID) if after else None
    rows = await list_records(session, filters, before=before, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.record.id, item=show_request)


def check_range(begin: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Return an ordered range of at most 366 days, or raise `InvalidField`."""
    last = check_moment("to", end) if end else datetime.now(UTC)
    first = check_moment("from", begin) if begin else last - timedelta(days=30)
    if not timedelta(0) < last - first <= RANGE_MAX:
        raise InvalidField("from", f"lies before `to`, by at most {RANGE_MAX.days} days.")
    return first, last


async def _key_names(session: AsyncSession, organization_id: UUID) -> dict[str, str]:
    rows = await session.execute(
        select(ApiKey.id, ApiKey.name).where(ApiKey.organization_id == organization_id).limit(5000)
    )
    return {str(row.id): row.name for row in rows}


router = Router("/", route_handlers=[get_usage, list_requests], tags=["usage"], opt={"scope": "usage"})
