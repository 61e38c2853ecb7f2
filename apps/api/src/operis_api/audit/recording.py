"""Writing the audit log."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.origin import Origin
from operis_db.records import AuditEvent

State = dict[str, str | int | bool | None]


def record_event(
    session: AsyncSession,
    origin: Origin,
    *,
    action: str,
    target: tuple[str, UUID | str],
    organization_id: UUID | None = None,
    before: State | None = None,
    after: State | None = None,
    reason: str | None = None,
) -> None:
    """Add what happened to the caller's transaction. Never pass a secret in `before` or `after`."""
    session.add(
        AuditEvent(
            organization_id=organization_id,
            actor_id=origin.actor_id,
            action=action,
            target_type=target[0],
            target_id=str(target[1]),
            before=before,
            after=after,
            reason=reason,
            address=origin.address,
            agent=origin.agent,
            request_id=origin.request_id,
        )
    )
