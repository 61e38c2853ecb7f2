"""Invitations: leave to join one organization in one role, bound to a mail address, once, for a week.

Only a hash of the token is stored. Sending an invitation again makes a new token, and the old one void.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.errors import NotFound
from operis_api.kit.ids import new_id
from operis_api.mail.addresses import check_address
from operis_api.organizations.errors import AlreadyInvited, AlreadyMember, InvitationOver, InvitedAnother
from operis_api.organizations.members import refuse_full
from operis_api.organizations.owning import UNANSWERED, lock_organization, refuse_personal
from operis_db.people import Invitation, Membership, User

LIFE = timedelta(days=7)
_PREFIX = "op-in-"


async def invite(
    session: AsyncSession, organization_id: UUID, *, email: str, role: str, invited_by: UUID
) -> tuple[Invitation, str]:
    """Return an invitation and its token; raises `AlreadyMember`, `AlreadyInvited`, `TooManyMembers` or the like."""
    address = check_address(email)
    organization = await lock_organization(session, organization_id)
    refuse_personal(organization)
    await refuse_full(session, organization_id)
    member = (
        select(Membership.user_id)
        .join(User, User.id == Membership.user_id)
        .where(Membership.organization_id == organization_id, User.email == address)
    )
    if await session.scalar(member):
        raise AlreadyMember("Change the member's role instead.")
    invited = Invitation.organization_id == organization_id, Invitation.email == address, UNANSWERED
    if await session.scalar(select(Invitation.id).where(*invited)):
        raise AlreadyInvited("Send that invitation again, or revoke it.")
    token = _PREFIX + secrets.token_urlsafe(32)
    invitation = Invitation(
        organization_id=organization_id,
        id=new_id(),
        email=address,
        role=role,
        token_hash=_hash(token),
        invited_by=invited_by,
        expires_at=func.now() + LIFE,
    )
    session.add(invitation)
    await session.flush()
    await session.refresh(invitation)
    return invitation, token


async def list_invitations(
    session: AsyncSession, organization_id: UUID, *, before: UUID | None, limit: int
) -> Sequence[Invitation]:
    """Return the organization's invitations that nobody answered or revoked, newest first, one more than `limit`."""
    query = (
        select(Invitation)
        .where(Invitation.organization_id == organization_id, UNANSWERED)
        .order_by(Invitation.id.desc())
        .limit(limit + 1)
    )
    if before is not None:
        query = query.where(Invitation.id < before)
    return (await session.scalars(query)).all()


async def renew(session: AsyncSession, organization_id: UUID, invitation_id: UUID) -> tuple[Invitation, str]:
    """Return the invitation with a new token and a new week."""
    invitation = await _lock_unanswered(session, organization_id, invitation_id)
    token = _PREFIX + secrets.token_urlsafe(32)
    invitation.token_hash = _hash(token)
    invitation.expires_at = func.now() + LIFE
    await session.flush()
    await session.refresh(invitation)
    return invitation, token


async def revoke_invitation(session: AsyncSession, organization_id: UUID, invitation_id: UUID) -> Invitation:
    invitation = await _lock_unanswered(session, organization_id, invitation_id)
    invitation.revoked_at = func.now()
    return invitation


async def read_invited(session: AsyncSession, token: str) -> str:
    """Return the address that a token's invitation is for; raises `NotFound`, or `InvitationOver`."""
    found = await session.scalar(select(Invitation).where(Invitation.token_hash == _hash(token)))
    if found is None:
        raise NotFound("There is no such invitation; it may have been sent again, with another link.")
    if found.accepted_at or found.revoked_at or found.expires_at <= datetime.now(UTC):
        raise InvitationOver("It has expired, or was used or revoked. Ask for a new one.")
    return found.email


async def accept(session: AsyncSession, token: str, *, user_id: UUID) -> Membership:
    """Make the user a member as the token's invitation says, once.

    Raises `NotFound` for a token that is none, `InvitationOver`, `InvitedAnother` or `AlreadyMember`.
    """
    organization_id = await session.scalar(
        select(Invitation.organization_id).where(Invitation.token_hash == _hash(token))
    )
    if organization_id is None:
        raise NotFound("There is no such invitation; it may have been sent again, with another link.")
    organization = await lock_organization(session, organization_id)
    invitation = await session.scalar(
        select(Invitation).where(Invitation.token_hash == _hash(token), UNANSWERED).with_for_update()
    )
    if invitation is None or invitation.expires_at <= datetime.now(UTC):
        raise InvitationOver("It has expired, or was used or revoked. Ask for a new one.")
    if organization.status != "active":
        raise InvitationOver("The organization is suspended.")
    user = await session.get_one(User, user_id)
    if user.email.lower() != invitation.email.lower() or user.email_verified_at is None:
        raise InvitedAnother("Sign in with the address that was invited.")
    if await session.get(Membership, (organization_id, user_id)) is not None:
        raise AlreadyMember("You are in this organization.")
    membership = Membership(organization_id=organization_id, user_id=user_id, role=invitation.role)
    session.add(membership)
    invitation.accepted_at = func.now()
    invitation.accepted_by = user_id
    await session.flush()
    return membership


async def _lock_unanswered(session: AsyncSession, organization_id: UUID, invitation_id: UUID) -> Invitation:
    await lock_organization(session, organization_id)
    invitation = await session.scalar(
        select(Invitation)
        .where(Invitation.organization_id == organization_id, Invitation.id == invitation_id, UNANSWERED)
        .with_for_update()
    )
    if invitation is None:
        raise NotFound(f"There is no open invitation {invitation_id} in this organization.")
    return invitation


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
