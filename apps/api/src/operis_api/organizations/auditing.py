"""An organization's own part of the audit log."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.audit.listing import AuditRow, EventFilters, list_events
from operis_api.kit.lists import After, Limit
from operis_api.kit.moments import check_moment
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page


@get(
    "/{organization_id:uuid}/audit",
    opt={"permission": "audit.view"},
    operation_id="list_organization_audit",
)
async def list_audit(
    session: AsyncSession,
    organization_id: FromPath[UUID],
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
    action: Annotated[str | None, QueryParameter(max_length=64, description="`key`, or `key.mint`.")] = None,
    actor_id: FromQuery[UUID | None] = None,
    target_id: Annotated[str | None, QueryParameter(max_length=128)] = None,
    from_: Annotated[datetime | None, QueryParameter(name="from")] = None,
    to: FromQuery[datetime | None] = None,
) -> Page[AuditRow]:
    """List what was done in the organization, newest first. Of operators it is not said who and from where."""
    filters = EventFilters(
        organization_id=organization_id,
        action=action,
        actor_id=actor_id,
        target_id=target_id,
        begin=from_ and check_moment("from", from_),
        end=to and check_moment("to", to),
    )
    rows = await list_events(session, filters, before=decode_cursor(after, UUID) if after else None, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.id, item=_without_operator)


def _without_operator(row: AuditRow) -> AuditRow:
    if not row.actor_is_operator:
        return row
    return msgspec.structs.replace(row, actor_id=None, actor_email=None, address=None, agent=None)
