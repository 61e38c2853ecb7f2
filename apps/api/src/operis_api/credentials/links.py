"""One-time links: leave to do one thing once, for whoever reads the mail. Only the token's hash is stored."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.credentials.errors import LinkRefused
from operis_db.people import OneTimeLink

Purpose = Literal["verify_email", "reset_password", "confirm_address", "undo_address", "second_factor"]
LIVES: dict[Purpose, timedelta] = {
    "verify_email": timedelta(hours=24),
    "reset_password": timedelta(minutes=60),
    "confirm_address": timedelta(hours=24),
    "undo_address": timedelta(days=7),
    "second_factor": timedelta(minutes=5),
}
_PREFIX = "op-ol-"


_SIDE_BY_SIDE: frozenset[Purpose] = frozenset({"undo_address", "second_factor"})
"""Purposes of which a new link does not replace the older ones."""


class Link(msgspec.Struct, frozen=True):
    user_id: UUID
    address: str
    """The address it is about: where it was sent, unless the purpose says otherwise."""
    created_at: datetime


async def make_link(session: AsyncSession, *, user_id: UUID, purpose: Purpose, address: str) -> str:
    """Return the token of a new link. It replaces the user's earlier ones of its purpose, as far as one is enough."""
    if purpose not in _SIDE_BY_SIDE:
        await void_links(session, user_id, purpose)
    token = _PREFIX + secrets.token_urlsafe(32)
    expires_at = func.now() + LIVES[purpose]
    session.add(
        OneTimeLink(token_hash=_hash(token), user_id=user_id, purpose=purpose, address=address, expires_at=expires_at)
    )
    await session.flush()
    return token


async def read_link(session: AsyncSession, token: str, *, purpose: Purpose) -> Link:
    """Return what a link is about without using it, or raise `LinkRefused`."""
    query = select(OneTimeLink.user_id, OneTimeLink.address, OneTimeLink.created_at).where(*_is_good(token, purpose))
    row = (await session.execute(query)).first()
    if row is None:
        raise LinkRefused("Ask for a new one.")
    return Link(*row)


async def use_link(session: AsyncSession, token: str, *, purpose: Purpose) -> Link:
    """Use a link up in the caller's transaction, or raise `LinkRefused`: of two that try, one succeeds."""
    gone = (
        delete(OneTimeLink)
        .where(*_is_good(token, purpose))
        .returning(OneTimeLink.user_id, OneTimeLink.address, OneTimeLink.created_at)
    )
    row = (await session.execute(gone)).first()
    if row is None:
        raise LinkRefused("Ask for a new one.")
    return Link(*row)


async def void_links(session: AsyncSession, user_id: UUID, *purposes: Purpose) -> None:
    await session.execute(delete(OneTimeLink).where(OneTimeLink.user_id == user_id, OneTimeLink.purpose.in_(purposes)))


async def void_newer_undo_links(session: AsyncSession, user_id: UUID, used: Link) -> None:
    """Void what was mailed after `used`: to addresses that are no longer believed."""
    await session.execute(
        delete(OneTimeLink).where(
            OneTimeLink.user_id == user_id,
            OneTimeLink.purpose == "undo_address",
            OneTimeLink.created_at >= used.created_at,
        )
    )


async def forget_links(session: AsyncSession) -> None:
    """Delete what has expired."""
    await session.execute(delete(OneTimeLink).where(OneTimeLink.expires_at <= func.now()))


def _is_good(token: str, purpose: Purpose):  # noqa: ANN202  # conditions say their types themselves
    return (
        OneTimeLink.token_hash == _hash(token),
        OneTimeLink.purpose == purpose,
        OneTimeLink.expires_at > func.now(),
    )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
