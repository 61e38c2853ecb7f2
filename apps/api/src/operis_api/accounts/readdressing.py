"""A new address for an account: confirmed at the new one, told to the old one, which can take it back for a week."""

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.accounts.errors import EmailTaken
from operis_api.accounts.recovering import send_reset
from operis_api.credentials.links import LIVES, make_link, use_link, void_links, void_newer_undo_links
from operis_api.kit.origin import Origin
from operis_api.mail.outbox import Outbox
from operis_api.signing_in.sessions import end_all_sessions
from operis_db.people import User


async def ask_for_address(session: AsyncSession, outbox: Outbox, user: User, address: str) -> None:
    """Mail the new address a link that confirms it; where it has an account, that account's owner is told instead."""
    owner = await session.scalar(select(User).where(User.email == address))
    if owner is not None:
        outbox.put(
            session, to=owner.email, user_id=owner.id, template="address_in_use", locale=owner.locale, name=owner.name
        )
        return
    token = await make_link(session, user_id=user.id, purpose="confirm_address", address=address)
    outbox.put(
        session,
        to=address,
        user_id=user.id,
        template="confirm_address",
        locale=user.locale,
        name=user.name,
        address=address,
        hours=str(LIVES["confirm_address"].days * 24),
        link=outbox.link("/confirm-address", token),
    )


async def confirm_address(session: AsyncSession, outbox: Outbox, token: str, *, origin: Origin) -> User:
    """Give the account its new address; raises `LinkRefused` or `EmailTaken`."""
    link = await use_link(session, token, purpose="confirm_address")
    user = await session.get_one(User, link.user_id, with_for_update=True)
    before = user.email
    undo = await make_link(session, user_id=user.id, purpose="undo_address", address=before)
    outbox.put(
        session,
        to=before,
        user_id=user.id,
        template="address_changed",
        locale=user.locale,
        name=user.name,
        address=link.address,
        moment=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        origin=origin.address or "-",
        days=str(LIVES["undo_address"].days),
        link=outbox.link("/undo-address", undo),
    )
    await _set_address(session, user, link.address)
    return user


async def undo_address(session: AsyncSession, outbox: Outbox, token: str) -> User:
    """Give the account its old address back, end its sessions and mail a reset; raises `LinkRefused` or `EmailTaken`.

    Whoever reads the old address is believed over whoever was signed in.
    """
    link = await use_link(session, token, purpose="undo_address")
    user = await session.get_one(User, link.user_id, with_for_update=True)
    await void_newer_undo_links(session, user.id, link)
    await _set_address(session, user, link.address)
    await end_all_sessions(session, user.id, "address_restored")
    await send_reset(session, outbox, user, template="address_restored")
    return user


async def _set_address(session: AsyncSession, user: User, address: str) -> None:
    user.email = address
    user.email_verified_at = user.email_verified_at or datetime.now(UTC)
    try:
        await session.flush()
    except IntegrityError:
        raise EmailTaken("The address got an account of its own meanwhile.", field="email") from None
    await void_links(session, user.id, "verify_email", "reset_password", "confirm_address")
