"""Impersonation: an operator reads as a user for a quarter of an hour, with a token of its own kind.

Who acts and as whom stands in the token and in every row of the audit log that it causes, its start and end included.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.impersonations import Operator, is_alive
from operis_api.audit.recording import State, record_event
from operis_api.kit.ids import new_id
from operis_api.kit.origin import Origin
from operis_api.kit.sessions import Sessions
from operis_api.kit.tokens import ImpersonationToken, TokenSigner
from operis_api.signing_in.errors import OperatorNotImpersonated, UserSuspended
from operis_db.people import Impersonation, Organization, Session, User

LIFE = timedelta(minutes=15)
NOTED_AT_ONCE_MAX = 100


class Started(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    expires_at: datetime


async def start_impersonation(
    session: AsyncSession, signer: TokenSigner, user: User, *, session_id: UUID, origin: Origin, reason: str
) -> Started:
    """Return a token to read as the user with; raises `OperatorNotImpersonated` or `UserSuspended`."""
    assert origin.actor_id is not None, "somebody impersonates"
    if user.role != "user":
        raise OperatorNotImpersonated("Ask them.")
    if user.standing != "active":
        raise UserSuspended("Nobody signs in as them now.")
    row = Impersonation(
        id=new_id(),
        operator_id=origin.actor_id,
        session_id=session_id,
        user_id=user.id,
        expires_at=datetime.now(UTC) + LIFE,
    )
    session.add(row)
    await session.flush()
    named = msgspec.structs.replace(origin, as_user_id=user.id)
    await _record(session, named, "start", user.id, {"until": row.expires_at.isoformat()}, reason=reason)
    token = ImpersonationToken(impersonation_id=row.id, operator_id=origin.actor_id, user_id=user.id)
    return Started(token=signer.issue_impersonation(token, ends_at=row.expires_at), expires_at=row.expires_at)


async def end_impersonation(session: AsyncSession, impersonation_id: UUID, *, origin: Origin) -> None:
    """End one by its own call; `origin` names both."""
    ended = await session.scalar(
        update(Impersonation)
        .where(Impersonation.id == impersonation_id, Impersonation.ended_at.is_(None))
        .values(ended_at=func.now())
        .returning(Impersonation.user_id)
    )
    if ended is not None:
        await _record(session, origin, "end", ended, {"by": "operator"})


async def note_ended_impersonations(sessions: Sessions) -> None:
    """Write the end of what ended by itself, by a sign-out or by a suspension. It was over before."""
    async with sessions.begin() as session:
        query = (
            select(Impersonation)
            .join(User, User.id == Impersonation.user_id)
            .join(Operator, Operator.id == Impersonation.operator_id)
            .outerjoin(Session, Session.id == Impersonation.session_id)
            .where(Impersonation.ended_at.is_(None), is_alive().is_not(True))
            .order_by(Impersonation.id)
            .limit(NOTED_AT_ONCE_MAX)
            .with_for_update(of=Impersonation, skip_locked=True)
        )
        for row in await session.scalars(query):
            row.ended_at = now = datetime.now(UTC)
            timed_out = row.expires_at <= now
            origin = Origin(
                actor_id=row.operator_id,
                as_user_id=row.user_id,
                address=None,
                agent="operis",
                request_id=str(new_id()),
            )
            await _record(session, origin, "end", row.user_id, {"by": "time" if timed_out else "its conditions"})


async def _record(
    session: AsyncSession,
    origin: Origin,
    what: str,
    user_id: UUID,
    after: State,
    *,
    reason: str | None = None,
) -> None:
    """Write it where the person sees it: in their own organization's part of the log."""
    own = select(Organization.id).where(Organization.owner_id == user_id, Organization.personal)
    record_event(
        session,
        origin,
        action=f"impersonation.{what}",
        target=("user", user_id),
        organization_id=await session.scalar(own),
        after=after,
        reason=reason,
    )
