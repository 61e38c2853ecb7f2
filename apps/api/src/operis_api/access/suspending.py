"""Suspensions of users: one ends by itself, and is taken off the row by whoever meets it first."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from operis_db.people import User


def suspend(user: User, *, reason: str, until: datetime | None) -> None:
    user.status, user.suspended_reason, user.suspended_until = "suspended", reason, until


def lift(user: User) -> None:
    user.status, user.suspended_reason, user.suspended_until = "active", None, None


async def lift_what_is_over(session: AsyncSession, user_id: UUID) -> bool:
    """Take an ended suspension off the row, which is all that admission looks at; tells whether there was one."""
    lifted = await session.scalar(
        update(User)
        .where(User.id == user_id, User.status == "suspended", User.suspended_until <= func.now())
        .values(status="active", suspended_reason=None, suspended_until=None)
        .returning(User.id)
    )
    return lifted is not None
