"""Invitations to the platform: an operator lets somebody sign up, whatever OPERIS_REGISTRATION says but `closed`."""

from datetime import UTC, datetime
from typing import Literal, cast
from uuid import UUID

import msgspec
from litestar import Router, delete, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.accounts.addresses import check_domain
from operis_api.accounts.inviting import (
    invite_to_platform,
    list_platform_invitations,
    revoke_platform_invitation,
)
from operis_api.accounts.registering import check_open
from operis_api.accounts.schemas import Locale
from operis_api.audit.recording import record_event
from operis_api.kit.lists import After, Limit
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.mail.addresses import check_address
from operis_api.mail.outbox import Outbox
from operis_api.organizations.inviting import LIFE
from operis_api.settings import Settings
from operis_db.people import PlatformInvitation, User


class InvitePersonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    locale: Locale = "en"
    """Of the mail."""


class PlatformInvitationRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    email: str
    status: Literal["open", "expired"]
    invited_by: UUID
    created_at: datetime
    expires_at: datetime


class SentPlatformInvitation(msgspec.Struct, frozen=True, kw_only=True):
    invitation: PlatformInvitationRow
    link: str | None
    """Where to sign up; shown in development alone, elsewhere only the mail has it."""


@get("/", opt={"permission": "admin.users.view"}, operation_id="list_platform_invitations")
async def list_open(
    session: AsyncSession, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[PlatformInvitationRow]:
    """List invitations to the platform that were neither used nor revoked, newest first."""
    before = decode_cursor(after, UUID) if after else None
    rows = await list_platform_invitations(session, before=before, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.id, item=_row)


@post("/", opt={"permission": "admin.users.edit"}, operation_id="invite_person")
async def invite(
    identity: Identity, state: State, session: AsyncSession, data: JSONBody[InvitePersonBody]
) -> SentPlatformInvitation:
    """Invite a mail address to sign up. The link works once, for a week, for that address."""
    settings, outbox = cast("Settings", state["settings"]), cast("Outbox", state["outbox"])
    check_open(settings.registration, invited=True)
    address = check_address(data.email)
    check_domain(address, settings.registration_domains)
    invitation, token = await invite_to_platform(session, email=address, invited_by=identity.user_id)
    inviter = await session.get_one(User, identity.user_id)
    link = outbox.link("/register", token)
    outbox.put(
        session,
        to=address,
        template="platform_invitation",
        locale=data.locale,
        inviter=inviter.name,
        days=str(LIFE.days),
        link=link,
    )
    _record(session, identity, "platform_invitation.create", invitation.id)
    return SentPlatformInvitation(invitation=_row(invitation), link=None if settings.production else link)


@delete("/{invitation_id:uuid}", opt={"permission": "admin.users.edit"}, operation_id="revoke_platform_invitation")
async def revoke(identity: Identity, session: AsyncSession, invitation_id: FromPath[UUID]) -> None:
    """Revoke an invitation to the platform: its link ends."""
    await revoke_platform_invitation(session, invitation_id)
    _record(session, identity, "platform_invitation.revoke", invitation_id)


def _record(session: AsyncSession, identity: Identity, action: str, invitation_id: UUID) -> None:
    """Whom it invites stands in the invitation itself, not in the log."""
    record_event(session, identity.origin, action=action, target=("platform_invitation", invitation_id))


def _row(row: PlatformInvitation) -> PlatformInvitationRow:
    return PlatformInvitationRow(
        id=row.id,
        email=row.email,
        status="open" if row.expires_at > datetime.now(UTC) else "expired",
        invited_by=row.invited_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


router = Router("/invitations", route_handlers=[list_open, invite, revoke])
