"""The signed-in user's own sessions: seen, named, ended."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.errors import NotFound
from operis_api.signing_in.sessions import IDLE_LIFE
from operis_db.people import Session

NAME_CHARACTERS_MAX = 80


async def list_sessions(session: AsyncSession, user_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Session]:
    """Return the user's living sessions, newest first, one more than `limit`."""
    query = select(Session).where(Session.user_id == user_id, *_is_alive()).order_by(Session.id.desc())
    if before is not None:
        query = query.where(Session.id < before)
    return (await session.scalars(query.limit(limit + 1))).all()


async def find_session(session: AsyncSession, user_id: UUID, session_id: UUID) -> Session:
    """Return the user's living session, locked, or raise `NotFound`."""
    query = select(Session).where(Session.id == session_id, Session.user_id == user_id, *_is_alive())
    row = await session.scalar(query.with_for_update())
    if row is None:
        raise NotFound("There is no such session of yours.")
    return row


def _is_alive():  # noqa: ANN202  # conditions say their types themselves
    now = datetime.now(UTC)
    return Session.revoked_at.is_(None), Session.expires_at > now, Session.rotated_at > now - IDLE_LIFE
