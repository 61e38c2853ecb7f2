"""Events of the audit log as text: who did what to which thing, and what it changed."""

from dataclasses import dataclass
from dataclasses import field as default

from operis_client.models import AuditRow
from operis_dashboard.formatting import NOTHING, Shown, Writer

Fact = str | int | bool | None


@dataclass(frozen=True)
class ChangeRow:
    name: str = ""
    before: str = ""
    after: str = ""
    changed: bool = False


@dataclass(frozen=True)
class EventRow:
    id: str = ""
    at: Shown = default(default_factory=Shown)
    actor: str = ""
    actor_id: str = ""
    operator: bool = False
    as_user_id: str = ""
    action: str = ""
    target_type: str = ""
    target_id: str = ""
    organization_id: str = ""
    reason: str = ""
    address: str = ""
    agent: str = ""
    request_id: str = ""
    changes: list[ChangeRow] = default(default_factory=list)


def write_event(row: AuditRow, writer: Writer) -> EventRow:
    return EventRow(
        id=row.id,
        at=writer.moment(row.created_at),
        actor=row.actor_email or row.actor_id or NOTHING,
        actor_id=row.actor_id or "",
        operator=row.actor_is_operator,
        as_user_id=row.as_user_id or "",
        action=row.action,
        target_type=row.target_type,
        target_id=row.target_id,
        organization_id=row.organization_id or "",
        reason=row.reason or "",
        address=row.address or "",
        agent=row.agent or "",
        request_id=row.request_id or "",
        changes=write_changes(row.before or {}, row.after or {}),
    )


def write_changes(before: dict[str, Fact], after: dict[str, Fact]) -> list[ChangeRow]:
    """Return each fact as it was and as it is; one that stands on a side alone has nothing on the other."""
    return [
        ChangeRow(
            name=name,
            before=_fact(before.get(name)),
            after=_fact(after.get(name)),
            changed=before.get(name) != after.get(name),
        )
        for name in dict.fromkeys((*before, *after))
    ]


def _fact(value: Fact) -> str:
    if value is None:
        return NOTHING
    return str(value).lower() if isinstance(value, bool) else str(value)
