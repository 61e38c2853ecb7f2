"""The whole audit log, for operators."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.params import FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.audit.listing import AuditRow, EventFilters, list_events
from operis_api.kit.lists import After, Limit
from operis_api.kit.moments import check_moment
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page


@get("/audit", opt={"permission": "admin.audit.view"}, operation_id="list_audit")
async def list_audit(
    session: AsyncSession,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
    organization_id: FromQuery[UUID | None] = None,
    actor_id: FromQuery[UUID | None] = None,
    target_id: Annotated[str | None, QueryParameter(max_length=128)] = None,
    action: Annotated[str | None, QueryParameter(max_length=64, description="`key`, or `key.mint`.")] = None,
    request_id: Annotated[str | None, QueryParameter(max_length=64)] = None,
    from_: Annotated[datetime | None, QueryParameter(name="from")] = None,
    to: FromQuery[datetime | None] = None,
) -> Page[AuditRow]:
    """List what anybody did, newest first: who, as whom, what, before and after, why, and from where."""
    filters = EventFilters(
        organization_id=organization_id,
        actor_id=actor_id,
        target_id=target_id,
        action=action,
        request_id=request_id,
        begin=from_ and check_moment("from", from_),
        end=to and check_moment("to", to),
    )
    rows = await list_events(session, filters, before=decode_cursor(after, UUID) if after else None, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.id, item=lambda row: row)


router = Router("/", route_handlers=[list_audit])
