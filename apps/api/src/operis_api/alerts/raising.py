"""Raising alerts, listing them and acknowledging them. Raising the same again is counted, not repeated."""

from collections.abc import Sequence
from uuid import UUID

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.errors import NotFound
from operis_api.kit.ids import new_id
from operis_db.records import Alert

log = structlog.get_logger()


async def raise_alert(session: AsyncSession, *, kind: str, subject: str, detail: str) -> None:
    """Keep the alert in the caller's transaction, and log it as an error."""
    log.error(kind, subject=subject, detail=detail)
    await session.execute(
        insert(Alert)
        .values(id=new_id(), kind=kind, subject=subject, detail=detail)
        .on_conflict_do_update(
            index_elements=["kind", "subject"],
            index_where=Alert.acknowledged_at.is_(None),
            set_={"times": Alert.times + 1, "seen_at": func.now(), "detail": detail},
        )
    )


async def list_alerts(session: AsyncSession, *, open_only: bool, before: UUID | None, limit: int) -> Sequence[Alert]:
    """Return alerts, newest first, one more than `limit`."""
    query = select(Alert).order_by(Alert.id.desc()).limit(limit + 1)
    if open_only:
        query = query.where(Alert.acknowledged_at.is_(None))
    if before is not None:
        query = query.where(Alert.id < before)
    return (await session.scalars(query)).all()


async def acknowledge_alert(session: AsyncSession, alert_id: UUID, *, actor_id: UUID) -> Alert:
    """Note who has seen to it; the first one stays. The same thing seen again is a new alert."""
    alert = await session.get(Alert, alert_id, with_for_update=True)
    if alert is None:
        raise NotFound(f"There is no alert {alert_id}.")
    if alert.acknowledged_at is None:
        alert.acknowledged_at = await session.scalar(select(func.now()))
        alert.acknowledged_by = actor_id
        await session.flush()
    return alert


async def count_open(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(Alert).where(Alert.acknowledged_at.is_(None))) or 0
