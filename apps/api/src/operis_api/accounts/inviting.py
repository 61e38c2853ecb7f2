"""Invitations to the platform: leave to sign up, bound to a mail address, once, for a week.

An invitation to an organization lets its address sign up as well. Whoever has a token reads the mailbox it went to.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.accounts.errors import EmailTaken
from operis_api.kit.errors import NotFound
from operis_api.kit.ids import new_id
from operis_api.organizations.errors import AlreadyInvited, InvitationOver, InvitedAnother
from operis_api.organizations.inviting import LIFE, accept, read_invited
from operis_db.people import Membership, PlatformInvitation, User

PREFIX = "op-pi-"
_UNANSWERED = PlatformInvitation.accepted_at.is_(None) & PlatformInvitation.revoked_at.is_(None)


async def invite_to_platform(session: AsyncSession, *, email: str, invited_by: UUID) -> tuple[PlatformInvitation, str]:
    """Return an invitation and its token; it replaces one that has expired. Raises `EmailTaken` or `AlreadyInvited`."""
    if await session.scalar(select(User.id).where(User.email == email)):
        raise EmailTaken("This person has an account: sign-in is open to them.", field="email")
    await session.execute(
        update(PlatformInvitation)
        .where(PlatformInvitation.email == email, _UNANSWERED, PlatformInvitation.expires_at <= func.now())
        .values(revoked_at=func.now())
    )
    token = PREFIX + secrets.token_urlsafe(32)
    invitation = PlatformInvitation(
        id=new_id(), email=email, token_hash=_hash(token), invited_by=invited_by, expires_at=func.now() + LIFE
    )
    session.add(invitation)
    try:
        await session.flush()
    except IntegrityError:
        raise AlreadyInvited("Revoke that invitation to send another.") from None
    await session.refresh(invitation)
    return invitation, token


async def list_platform_invitations(
    session: AsyncSession, *, before: UUID | None, limit: int
) -> Sequence[PlatformInvitation]:
    """Return the invitations that nobody used or revoked, newest first, one more than `limit`."""
    query = select(PlatformInvitation).where(_UNANSWERED).order_by(PlatformInvitation.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(PlatformInvitation.id < before)
    return (await session.scalars(query)).all()


async def revoke_platform_invitation(session: AsyncSession, invitation_id: UUID) -> None:
    revoked = await session.execute(
        update(PlatformInvitation)
        .where(PlatformInvitation.id == invitation_id, _UNANSWERED)
        .values(revoked_at=func.now())
        .returning(PlatformInvitation.id)
    )
    if revoked.first() is None:
        raise NotFound(f"There is no open invitation {invitation_id}.")


async def check_invited(session: AsyncSession, token: str, address: str) -> None:
    """Raise `NotFound`, `InvitationOver` or `InvitedAnother` where the token does not let this address sign up."""
    if token.startswith(PREFIX):
        found = await session.scalar(select(PlatformInvitation).where(PlatformInvitation.token_hash == _hash(token)))
        if found is None:
            raise NotFound("There is no such invitation.")
        _refuse_over(found)
        invited = found.email
    else:
        invited = await read_invited(session, token)
    if invited.lower() != address.lower():
        raise InvitedAnother("Sign up with the address that was invited.")


async def use_invitation(session: AsyncSession, token: str, user: User) -> Membership | None:
    """Use the invitation up for its user, whose address it proves; one to an organization makes them a member."""
    if not token.startswith(PREFIX):
        return await accept(session, token, user_id=user.id)
    query = select(PlatformInvitation).where(PlatformInvitation.token_hash == _hash(token))
    found = await session.scalar(query.with_for_update())
    if found is None:
        raise NotFound("There is no such invitation.")
    _refuse_over(found)
    found.accepted_at = func.now()
    return None


def _refuse_over(found: PlatformInvitation) -> None:
    if found.accepted_at or found.revoked_at or found.expires_at <= datetime.now(UTC):
        raise InvitationOver("It has expired, or was used or revoked. Ask for a new one.")


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
