"""Erasing a person: asked for, undone for a while, then done for good.

From the asking on nothing of theirs works. Afterwards no table has a word of theirs: ledger, usage and audit log stay
under an id that is nobody's, and what the log sealed of them cannot be opened by anybody.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import exists, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.audit.recording import record_event
from operis_api.audit.sealing import destroy_key
from operis_api.keys.changing import revoke_keys
from operis_api.kit.ids import new_id
from operis_api.kit.money import format_nano
from operis_api.kit.origin import Origin
from operis_api.kit.sessions import Sessions
from operis_api.leaving.errors import Erased, NotErasing, OwnsOrganizations, StillOperator
from operis_api.leaving.personal import ERASURES
from operis_api.ledger.wallets import has_open_holds, lock_balance
from operis_api.mail.notifying import notify
from operis_api.mail.outbox import Outbox
from operis_api.organizations.errors import CallsRunning, CreditsLeft
from operis_api.organizations.owning import UNANSWERED
from operis_api.signing_in.errors import ErasurePending
from operis_api.signing_in.sessions import end_all_sessions
from operis_db.people import Invitation, Membership, Organization, User

ERASED_AT_ONCE_MAX = 20
log = structlog.get_logger()


async def ask_erasure(
    session: AsyncSession,
    outbox: Outbox,
    user: User,
    *,
    undo_days: int,
    forfeit_credits: bool,
    origin: Origin,
    reason: str | None = None,
) -> datetime:
    """Return until when it can be undone. Sessions, keys and links end now, and undoing brings none of them back.

    The user's row is locked. Raises `ErasurePending`, `Erased`, `StillOperator`, `OwnsOrganizations`, `CallsRunning`,
    or `CreditsLeft` where credits of their own would be lost and that is not confirmed.
    """
    refuse_leaving(user)
    if user.role != "user":
        raise StillOperator("Ask a superadmin to take it away.")
    owned = Organization.owner_id == user.id, Organization.status != "deleted"
    balances = {
        organization_id: await lock_balance(session, organization_id)  # first, as every call does
        for organization_id in await session.scalars(select(Organization.id).where(*owned).order_by(Organization.id))
    }
    locked = select(Organization.id).where(*owned).order_by(Organization.id).with_for_update(key_share=True)
    await session.execute(locked)  # so that nobody joins meanwhile
    own, shared = await _read_owned(session, user.id)
    if shared:
        raise OwnsOrganizations(
            "Hand them on, or remove their members, first.", organizations=[str(one) for one in shared]
        )
    if any(balance.open_holds for balance in balances.values()) or await has_open_holds(session, user.id):
        raise CallsRunning("Wait until they have ended.", retry_after_seconds=5)
    credits_nano = sum(balance.owned_nano for balance in balances.values())
    if credits_nano and not forfeit_credits:
        raise CreditsLeft("Spend them, have them paid out, or give them up.", credits=format_nano(credits_nano))
    erase_at = datetime.now(UTC) + timedelta(days=undo_days)
    user.status, user.erase_at = "erasing", erase_at
    await session.flush()
    await end_all_sessions(session, user.id, "erasure")
    await _end_keys(session, user.id, own)
    await session.execute(
        update(Invitation).where(Invitation.organization_id.in_(own), UNANSWERED).values(revoked_at=func.now())
    )
    await session.execute(text("DELETE FROM one_time_links WHERE user_id = :id"), {"id": user.id})
    notify(session, outbox, user, "erasure_asked", origin, path="/login", end=f"{erase_at:%Y-%m-%d %H:%M}")
    record_event(
        session,
        origin,
        action="user.ask_erasure",
        target=("user", user.id),
        after={"erase_at": erase_at.isoformat(), "forfeit_credits": forfeit_credits},
        reason=reason,
    )
    return erase_at


def undo_erasure(user: User) -> None:
    """Let the user in again; a suspension of before goes on. Raises `NotErasing`."""
    if user.status != "erasing" or user.erase_at is None or user.erase_at <= datetime.now(UTC):
        raise NotErasing("Sign in.")
    user.status = "suspended" if user.suspended_reason is not None else "active"
    user.erase_at = None


def refuse_leaving(user: User) -> None:
    """Raise `ErasurePending` or `Erased` where nothing is to be done to this user any more."""
    if user.status == "erasing" and user.erase_at is not None:
        raise ErasurePending("Undo that first.", erase_at=user.erase_at.isoformat())
    if user.status == "erased":
        raise Erased("There is nobody left to do this to.")


async def erase_due(sessions: Sessions) -> None:
    """Erase those whose time to undo is over, each in a transaction of its own."""
    async with sessions() as session:
        due = User.status == "erasing", User.erase_at <= func.now()
        query = select(User.id).where(*due).order_by(User.erase_at).limit(ERASED_AT_ONCE_MAX)
        ids = (await session.scalars(query)).all()
    for user_id in ids:
        try:
            async with sessions.begin() as session:
                user = await session.get_one(User, user_id, with_for_update=True)
                over = user.erase_at is not None and user.erase_at <= datetime.now(UTC)
                if user.status == "erasing" and over and not await has_open_holds(session, user_id):
                    await _erase(session, user)
        except SQLAlchemyError:  # one who cannot be erased now keeps nobody else waiting
            log.exception("erasure_failed", user=str(user_id))


async def _erase(session: AsyncSession, user: User) -> None:
    own, _ = await _read_owned(session, user.id)
    await _end_keys(session, user.id, own)
    facts: dict[str, object] = {"id": user.id, "email": user.email, "own": own}
    for statement in ERASURES.values():
        await session.execute(text(statement), facts)
    await destroy_key(session, user.id)
    nobody = Origin(actor_id=None, address=None, agent=None, request_id=str(new_id()))
    record_event(session, nobody, action="user.erase", target=("user", user.id))


async def _read_owned(session: AsyncSession, user_id: UUID) -> tuple[list[UUID], list[UUID]]:
    """Return the organizations that end with their owner, or ended before, and those that others are in."""
    others = exists().where(Membership.organization_id == Organization.id, Membership.user_id != user_id)
    query = select(Organization.id, others).where(Organization.owner_id == user_id)
    rows = (await session.execute(query.order_by(Organization.id))).tuples().all()
    return [found for found, shared in rows if not shared], [found for found, shared in rows if shared]


async def _end_keys(session: AsyncSession, user_id: UUID, own: list[UUID]) -> None:
    for organization_id in own:
        await revoke_keys(session, organization_id)
    others = select(Membership.organization_id).where(Membership.user_id == user_id)
    for organization_id in await session.scalars(others):
        await revoke_keys(session, organization_id, of=user_id)
