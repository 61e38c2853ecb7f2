"""Sessions: one for each sign-in, kept alive by refresh tokens that rotate under a row lock."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.suspending import lift
from operis_api.credentials.passwords import verify_password
from operis_api.kit.ids import new_id
from operis_api.kit.origin import Origin
from operis_api.kit.tokens import ACCESS_SECONDS, AccessToken, TokenSigner
from operis_api.mail.notifying import notify
from operis_api.mail.outbox import Outbox
from operis_api.signing_in.devices import is_new_device
from operis_api.signing_in.errors import (
    EmailUnverified,
    ErasurePending,
    InvalidCredentials,
    RefreshRefused,
    StepUpRequired,
    UserSuspended,
)
from operis_db.people import Session, User

SESSIONS_MAX = 100
FRESH = timedelta(minutes=10)
SESSION_LIFE = timedelta(days=30)
IDLE_LIFE = timedelta(days=7)
RETRY_WINDOW = timedelta(seconds=30)
"""How long a refresh token still yields its successor, for tabs that race and answers that got lost."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: int
    refresh_token: str
    device_token: str
    """Sent with the next sign-in from this device, it tells that the device is known."""
    token_type: str = "Bearer"  # noqa: S105  # the scheme's name


async def find_user(session: AsyncSession, email: str) -> User | None:
    return await session.scalar(select(User).where(User.email == email.strip()))


async def check_credentials(user: User | None, password: str) -> User:
    """Return the user, or raise `InvalidCredentials` alike for nobody and for a wrong password.

    The password is hashed here, which takes a while: hold no connection meanwhile, or sign-ins keep all others waiting.
    """
    if not await verify_password(user.password_hash if user else None, password) or user is None:
        raise InvalidCredentials
    return user


async def check_may_sign_in(session: AsyncSession, user_id: UUID) -> User:
    """Return the locked user who has shown who they are; raises `UserSuspended` or `EmailUnverified`."""
    user = await session.get_one(User, user_id, with_for_update=True)
    if user.status == "erasing" and user.erase_at is not None:
        raise ErasurePending(
            "Until then it can be undone: POST /api/v1/auth/erasure/undo.", erase_at=user.erase_at.isoformat()
        )
    if user.standing != "active":
        end = user.suspended_until
        raise UserSuspended("Ask the operator why.", until=None if end is None else end.isoformat())
    if user.status == "suspended":
        lift(user)
    if user.email_verified_at is None:
        raise EmailUnverified("Verify the address first, or ask the operator to do it.")
    return user


async def start_session(
    session: AsyncSession, signer: TokenSigner, outbox: Outbox, user: User, *, device_id: UUID | None, origin: Origin
) -> Tokens:
    """Start a session of a user who may sign in, on a known device or a new one; of that the owner is told.

    Of more than a hundred sessions the oldest ends.
    """
    now, device = datetime.now(UTC), device_id or new_id()
    if await is_new_device(session, user.id, device, origin):
        notify(session, outbox, user, "new_device", origin)
    row = Session(
        id=new_id(),
        user_id=user.id,
        generation=0,
        rotated_at=now,
        authenticated_at=now,
        device_id=device,
        address=origin.address,
        agent=(origin.agent or "")[:256] or None,
        expires_at=now + SESSION_LIFE,
    )
    session.add(row)
    await session.flush()
    await _end_oldest(session, user.id)
    return _tokens(signer, row)


async def _end_oldest(session: AsyncSession, user_id: UUID) -> None:
    alive = select(Session.id).where(Session.user_id == user_id, Session.revoked_at.is_(None))
    beyond = alive.order_by(Session.id.desc()).offset(SESSIONS_MAX)
    await session.execute(
        update(Session)
        .where(Session.id.in_(beyond))
        .values(revoked_at=datetime.now(UTC), revoked_reason="too_many_sessions")
    )


async def refresh_session(session: AsyncSession, signer: TokenSigner, refresh_token: str) -> Tokens | Session:
    """Return the successor tokens; the session where the token was used before, which revokes it.

    The newest token rotates. The one before it yields the same successor for 30 seconds, while that is unused.
    Raises `RefreshRefused` or `Unauthenticated` where there is no session to speak of.
    """
    session_id, generation = signer.read_refresh(refresh_token)
    row = await session.get(Session, session_id, with_for_update=True)
    now = datetime.now(UTC)
    if row is None or row.revoked_at is not None or row.expires_at <= now or row.rotated_at + IDLE_LIFE <= now:
        raise RefreshRefused
    user = await session.get(User, row.user_id)
    if user is None or user.status != "active":
        raise RefreshRefused
    if generation == row.generation:
        row.generation += 1
        row.rotated_at = now
    elif generation != row.generation - 1 or now - row.rotated_at > RETRY_WINDOW:
        row.revoked_at, row.revoked_reason = now, "refresh_reused"
        return row
    return _tokens(signer, row)


async def end_session(session: AsyncSession, session_id: UUID, reason: str) -> None:
    await session.execute(
        update(Session)
        .where(Session.id == session_id, Session.revoked_at.is_(None))
        .values(revoked_at=datetime.now(UTC), revoked_reason=reason)
    )


async def end_all_sessions(session: AsyncSession, user_id: UUID, reason: str, *, but: UUID | None = None) -> None:
    """End every session of the user, save the one that asks where it is named."""
    await session.execute(
        update(Session)
        .where(Session.user_id == user_id, Session.revoked_at.is_(None), Session.id.is_distinct_from(but))
        .values(revoked_at=datetime.now(UTC), revoked_reason=reason)
    )


async def require_fresh(session: AsyncSession, session_id: UUID | None) -> None:
    """Raise `StepUpRequired` where this session's user last showed who they are more than ten minutes ago."""
    assert session_id is not None, "no scope opens this to keys"
    row = await session.get_one(Session, session_id)
    if row.authenticated_at < datetime.now(UTC) - FRESH:
        raise StepUpRequired("Send your password or a code to /api/v1/auth/step-up, then try again.")


async def step_up(session: AsyncSession, session_id: UUID) -> None:
    """Note that this session's user has just shown who they are."""
    await session.execute(update(Session).where(Session.id == session_id).values(authenticated_at=datetime.now(UTC)))


def _tokens(signer: TokenSigner, row: Session) -> Tokens:
    return Tokens(
        access_token=signer.issue_access(AccessToken(user_id=row.user_id, session_id=row.id)),
        expires_in=ACCESS_SECONDS,
        refresh_token=signer.issue_refresh(row.id, row.generation),
        device_token=signer.issue_device(row.user_id, row.device_id or row.id),
    )
