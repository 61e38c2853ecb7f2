"""What operators must look at, and their word that they have."""

from typing import Literal, cast
from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromPath, FromQuery
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.schemas import Alert
from operis_api.alerts import raising
from operis_api.audit.recording import record_event
from operis_api.kit.lists import After, Limit
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_db import records


@get("/alerts", opt={"permission": "admin.alerts.view"}, operation_id="list_alerts")
async def list_alerts(
    session: AsyncSession,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
    show: FromQuery[Literal["open", "all"]] = "open",
) -> Page[Alert]:
    """List alerts, newest first: those nobody has acknowledged, or all."""
    before = decode_cursor(after, UUID) if after else None
    rows = await raising.list_alerts(session, open_only=show == "open", before=before, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.id, item=_show)


@post(
    "/alerts/{alert_id:uuid}/acknowledge",
    opt={"permission": "admin.alerts.acknowledge"},
    status_code=200,
    operation_id="acknowledge_alert",
)
async def acknowledge(identity: Identity, session: AsyncSession, alert_id: FromPath[UUID]) -> Alert:
    """Note that somebody has seen to an alert; the first one's word stays."""
    alert = await raising.acknowledge_alert(session, alert_id, actor_id=identity.user_id)
    record_event(session, identity.origin, action="alert.acknowledge", target=("alert", alert_id))
    return _show(alert)


def _show(row: records.Alert) -> Alert:
    return Alert(
        id=row.id,
        kind=cast("Literal['invariant_broken', 'platform_loss']", row.kind),
        subject=row.subject,
        detail=row.detail,
        raised_at=row.raised_at,
        seen_at=row.seen_at,
        times=row.times,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
    )


router = Router("/", route_handlers=[list_alerts, acknowledge])
