"""Members of an organization and invitations as text, for people to read."""

from dataclasses import dataclass
from dataclasses import field as default

from operis_client.models import InvitationView, MemberView
from operis_dashboard.formatting import Shown, Writer, exact
from operis_dashboard.keyring import BUDGETS, COUNTS


@dataclass(frozen=True)
class MemberRow:
    id: str = ""
    email: str = ""
    name: str = ""
    role: str = ""
    status: str = "active"
    key_count: str = ""
    limit_count: str = ""
    joined: Shown = default(default_factory=Shown)
    me: bool = False


@dataclass(frozen=True)
class InvitationRow:
    id: str = ""
    email: str = ""
    role: str = ""
    status: str = ""
    expires: Shown = default(default_factory=Shown)


def write_member(row: MemberView, writer: Writer, email: str, unlimited: str) -> MemberRow:
    limits = [value for value in write_member_limits(row).values() if value]
    return MemberRow(
        id=row.user_id,
        email=row.email,
        name=row.name,
        role=row.role,
        status=row.status,
        key_count=writer.count(row.keys),
        limit_count=str(len(limits)) if limits else unlimited,
        joined=writer.moment(row.created_at),
        me=row.email.lower() == email.lower(),
    )


def write_invitation(row: InvitationView, writer: Writer) -> InvitationRow:
    return InvitationRow(
        id=row.id, email=row.email, role=row.role, status=row.status, expires=writer.moment(row.expires_at)
    )


def write_member_limits(row: MemberView) -> dict[str, str]:
    """Return the limits of a member as their form's first values."""
    budgets = {name: exact(value) if (value := getattr(row, name)) is not None else "" for name in BUDGETS}
    return {**budgets, **{name: str(getattr(row, name) or "") for name in COUNTS}}
