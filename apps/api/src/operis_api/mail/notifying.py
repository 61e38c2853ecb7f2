"""Telling a user by mail what happened to their account, when, and from where."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.origin import Origin
from operis_api.mail.outbox import Outbox
from operis_db.people import User

AGENT_CHARACTERS_MAX = 80


def notify(
    session: AsyncSession,
    outbox: Outbox,
    user: User,
    template: str,
    origin: Origin,
    *,
    path: str = "/settings",
    **facts: str,
) -> None:
    """Put a notice to the user's address into the outbox; its link leads to `path`."""
    outbox.put(
        session,
        to=user.email,
        user_id=user.id,
        template=template,
        locale=user.locale,
        name=user.name,
        moment=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        origin=describe_origin(origin),
        link=outbox.link(path),
        **facts,
    )


def describe_origin(origin: Origin) -> str:
    """Return address and program, as far as they are known; the program's name is its own claim, so it is cut short."""
    agent = "".join(sign for sign in origin.agent or "" if sign.isprintable())[:AGENT_CHARACTERS_MAX]
    return ", ".join(part for part in (origin.address, agent) if part) or "-"
