"""Passwords that were forgotten or are to change: whoever held the old one is signed out."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.accounts.registering import verify_user
from operis_api.credentials.errors import LinkRefused
from operis_api.credentials.links import LIVES, Link, make_link, use_link, void_links
from operis_api.kit.origin import Origin
from operis_api.mail.notifying import notify
from operis_api.mail.outbox import Outbox
from operis_api.signing_in.sessions import end_all_sessions
from operis_db.people import User


async def send_reset(session: AsyncSession, outbox: Outbox, user: User, *, template: str = "reset_password") -> None:
    """Mail the user a link to set a new password with."""
    token = await make_link(session, user_id=user.id, purpose="reset_password", address=user.email)
    outbox.put(
        session,
        to=user.email,
        user_id=user.id,
        template=template,
        locale=user.locale,
        name=user.name,
        minutes=str(LIVES["reset_password"].seconds // 60),
        link=outbox.link("/reset-password", token),
    )


async def reset_password(
    session: AsyncSession, outbox: Outbox, token: str, *, password_hash: str, origin: Origin, claim_key: bytes
) -> User:
    """Set the password by a mailed link, which proves the address too. All sessions end; raises `LinkRefused`."""
    user = await read_owner(session, await use_link(session, token, purpose="reset_password"))
    await verify_user(session, user, claim_key=claim_key)
    await set_password(session, outbox, user, password_hash=password_hash, origin=origin)
    return user


async def set_password(
    session: AsyncSession,
    outbox: Outbox,
    user: User,
    *,
    password_hash: str,
    origin: Origin,
    but_session: UUID | None = None,
) -> None:
    """Store the new password, end all sessions but one, void what was mailed before, and tell the user."""
    user.password_hash = password_hash
    await end_all_sessions(session, user.id, "password_changed", but=but_session)
    await void_links(session, user.id, "reset_password", "confirm_address", "verify_email", "second_factor")
    notify(session, outbox, user, "password_changed", origin, path="/forgot-password")


async def read_owner(session: AsyncSession, link: Link) -> User:
    """Return the locked user of a link that was mailed to the address they still have, or raise `LinkRefused`."""
    user = await session.get_one(User, link.user_id, with_for_update=True)
    if user.email.lower() != link.address.lower():
        raise LinkRefused("The address was changed since; ask for a new link.")
    return user
