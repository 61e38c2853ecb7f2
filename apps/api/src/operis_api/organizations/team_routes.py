"""An organization's members and invitations."""

from datetime import UTC, datetime
from typing import Literal, cast
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.audit.recording import record_event
from operis_api.kit.lists import After, Limit
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.limits.fields import limit_facts, set_limits, show_limits
from operis_api.mail.outbox import Outbox
from operis_api.organizations.inviting import LIFE, accept, invite, list_invitations, renew, revoke_invitation
from operis_api.organizations.members import (
    Member,
    change_role,
    list_members,
    lock_member,
    read_member,
    remove_member,
)
from operis_api.organizations.schemas import (
    AcceptBody,
    GivenRole,
    InvitationView,
    InviteBody,
    MemberView,
    Role,
    SentInvitation,
    UpdateMemberBody,
)
from operis_api.settings import Settings
from operis_db.people import Invitation, Membership, Organization, User


@get("/{organization_id:uuid}/members", opt={"permission": "members.view"}, operation_id="list_members")
async def list_all(
    session: AsyncSession, organization_id: FromPath[UUID], limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[MemberView]:
    """List the members with their roles, limits and how many keys they have here."""
    beyond = decode_cursor(after, UUID) if after else None
    rows = await list_members(session, organization_id, after=beyond, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.membership.user_id, item=show_member)


@patch(
    "/{organization_id:uuid}/members/{user_id:uuid}",
    opt={"permission": "members.edit"},
    operation_id="update_member",
)
async def update(
    identity: Identity,
    session: AsyncSession,
    organization_id: FromPath[UUID],
    user_id: FromPath[UUID],
    data: JSONBody[UpdateMemberBody],
) -> MemberView:
    """Change a member's role or limits; both bind the next call."""
    membership = await lock_member(session, organization_id, user_id)
    before = _facts(membership)
    if data.role is not UNSET and data.role != membership.role:
        await change_role(session, membership, data.role)
    set_limits(membership, data)
    record_event(
        session,
        identity.origin,
        action="member.update",
        target=("user", user_id),
        organization_id=organization_id,
        before=before,
        after=_facts(membership),
    )
    await session.flush()
    return show_member(await read_member(session, organization_id, user_id))


@delete(
    "/{organization_id:uuid}/members/{user_id:uuid}",
    opt={"permission": "members.edit"},
    operation_id="remove_member",
)
async def remove(
    identity: Identity, session: AsyncSession, organization_id: FromPath[UUID], user_id: FromPath[UUID]
) -> None:
    """Remove a member: from the answer on nothing of theirs works here, and their keys are revoked."""
    membership = await lock_member(session, organization_id, user_id)
    role = membership.role
    await remove_member(session, membership)
    record_event(
        session,
        identity.origin,
        action="member.remove",
        target=("user", user_id),
        organization_id=organization_id,
        before={"role": role},
    )


@get("/{organization_id:uuid}/invitations", opt={"permission": "invitations.view"}, operation_id="list_invitations")
async def list_open(
    session: AsyncSession, organization_id: FromPath[UUID], limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[InvitationView]:
    """List invitations that were neither accepted nor revoked, newest first."""
    before = decode_cursor(after, UUID) if after else None
    rows = await list_invitations(session, organization_id, before=before, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.id, item=_invitation)


@post("/{organization_id:uuid}/invitations", opt={"permission": "invitations.edit"}, operation_id="invite_member")
async def invite_one(
    identity: Identity,
    state: State,
    session: AsyncSession,
    organization_id: FromPath[UUID],
    data: JSONBody[InviteBody],
) -> SentInvitation:
    """Invite a mail address to the organization. The link works once, for a week, for the owner of that address."""
    invitation, token = await invite(
        session, organization_id, email=data.email, role=data.role, invited_by=identity.user_id
    )
    _record(session, identity, "invitation.create", invitation, role=invitation.role)
    return await _send(session, identity, state, invitation, token)


@post(
    "/{organization_id:uuid}/invitations/{invitation_id:uuid}/resend",
    opt={"permission": "invitations.edit"},
    status_code=200,
    operation_id="resend_invitation",
)
async def resend(
    identity: Identity,
    state: State,
    session: AsyncSession,
    organization_id: FromPath[UUID],
    invitation_id: FromPath[UUID],
) -> SentInvitation:
    """Send an invitation again, with a new link for another week; the old link ends."""
    invitation, token = await renew(session, organization_id, invitation_id)
    _record(session, identity, "invitation.resend", invitation)
    return await _send(session, identity, state, invitation, token)


@delete(
    "/{organization_id:uuid}/invitations/{invitation_id:uuid}",
    opt={"permission": "invitations.edit"},
    operation_id="revoke_invitation",
)
async def revoke(
    identity: Identity, session: AsyncSession, organization_id: FromPath[UUID], invitation_id: FromPath[UUID]
) -> None:
    """Revoke an invitation: its link ends."""
    invitation = await revoke_invitation(session, organization_id, invitation_id)
    _record(session, identity, "invitation.revoke", invitation)


@post("/invitations/accept", opt={"permission": "own"}, status_code=200, operation_id="accept_invitation")
async def accept_one(identity: Identity, session: AsyncSession, data: JSONBody[AcceptBody]) -> MemberView:
    """Join the organization that invited the signed-in user's address."""
    membership = await accept(session, data.token, user_id=identity.user_id)
    record_event(
        session,
        identity.origin,
        action="member.join",
        target=("user", identity.user_id),
        organization_id=membership.organization_id,
        after={"role": membership.role},
    )
    return show_member(await read_member(session, membership.organization_id, identity.user_id))


def _record(session: AsyncSession, identity: Identity, action: str, invitation: Invitation, **after: str) -> None:
    """Whom it invites stands in the invitation itself, not in the log."""
    record_event(
        session,
        identity.origin,
        action=action,
        target=("invitation", invitation.id),
        organization_id=invitation.organization_id,
        after={**after} or None,
    )


async def _send(
    session: AsyncSession, identity: Identity, state: State, invitation: Invitation, token: str
) -> SentInvitation:
    """Mail the link, in the language of whoever invites."""
    outbox, settings = cast("Outbox", state["outbox"]), cast("Settings", state["settings"])
    inviter = await session.get_one(User, identity.user_id)
    organization = await session.get_one(Organization, invitation.organization_id)
    link = outbox.link("/invitation", token)
    outbox.put(
        session,
        to=invitation.email,
        template="invitation",
        locale=inviter.locale,
        inviter=inviter.name,
        organization=organization.name,
        role=invitation.role,
        days=str(LIFE.days),
        link=link,
    )
    return SentInvitation(invitation=_invitation(invitation), link=None if settings.production else link)


def _facts(membership: Membership) -> dict[str, str | int | bool | None]:
    return {"role": membership.role, **limit_facts(membership)}


def show_member(row: Member) -> MemberView:
    membership = row.membership
    return MemberView(
        user_id=membership.user_id,
        email=row.email,
        name=row.name,
        role=cast("Role", membership.role),
        status=cast("Literal['active', 'suspended', 'erasing']", row.status),
        keys=row.keys,
        created_at=membership.created_at,
        **msgspec.structs.asdict(show_limits(membership)),
    )


def _invitation(row: Invitation) -> InvitationView:
    return InvitationView(
        id=row.id,
        email=row.email,
        role=cast("GivenRole", row.role),
        status="open" if row.expires_at > datetime.now(UTC) else "expired",
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


handlers = [list_all, update, remove, list_open, invite_one, resend, revoke]
accepting_router = Router("/", route_handlers=[accept_one], tags=["organizations"])
