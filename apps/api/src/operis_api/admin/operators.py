"""What operators do to accounts: who may act on whom, roles on the platform, signing somebody out, lost second factors.

Only a superadmin acts on another operator, and there is always a superadmin left who may sign in.
"""

from typing import cast
from uuid import UUID

from litestar import Router, post, put
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.errors import LastSuperadmin, NotYourself
from operis_api.admin.schemas import EndSessionsBody, GrantedRole, GrantRoleBody, ReasonBody
from operis_api.admin.wording import clean_reason
from operis_api.audit.recording import record_event
from operis_api.credentials.errors import SecondFactorMissing
from operis_api.credentials.second_factors import remove_all
from operis_api.kit.errors import Forbidden, NotFound
from operis_api.leaving.erasing import refuse_leaving
from operis_api.mail.notifying import notify
from operis_api.mail.outbox import Outbox
from operis_api.signing_in.sessions import end_all_sessions, require_fresh
from operis_db.people import User


@put("/users/{user_id:uuid}/role", opt={"permission": "admin.users.grant"}, operation_id="grant_role")
async def grant_role(
    identity: Identity, session: AsyncSession, user_id: FromPath[UUID], data: JSONBody[GrantRoleBody]
) -> GrantedRole:
    """Give a user a role on the platform, or take it away with `user`; in force for the next request."""
    reason = clean_reason(data.reason)
    user = await lock_subject(session, identity, user_id)
    if user_id == identity.user_id:
        raise NotYourself("Ask another superadmin to change your role.")
    before, user.role = user.role, data.role
    record_event(
        session,
        identity.origin,
        action="user.grant_role",
        target=("user", user_id),
        before={"role": before},
        after={"role": user.role},
        reason=reason,
    )
    await refuse_last(session)
    return GrantedRole(user_id=user_id, role=data.role)


@post(
    "/users/{user_id:uuid}/sign-out",
    opt={"permission": "admin.users.edit"},
    status_code=204,
    operation_id="sign_out_user",
)
async def sign_out(
    identity: Identity, session: AsyncSession, user_id: FromPath[UUID], data: JSONBody[EndSessionsBody]
) -> None:
    """End all of a user's sessions; API keys stay."""
    reason = clean_reason(data.reason)
    await lock_subject(session, identity, user_id)
    await end_all_sessions(session, user_id, "signed_out_by_operator")
    record_event(session, identity.origin, action="session.end_all", target=("user", user_id), reason=reason)


@post(
    "/users/{user_id:uuid}/second-factor/remove",
    opt={"permission": "admin.users.edit"},
    status_code=204,
    operation_id="remove_user_second_factor",
)
async def remove_factor(
    identity: Identity, state: State, session: AsyncSession, user_id: FromPath[UUID], data: JSONBody[ReasonBody]
) -> None:
    """Turn off the second factor of somebody who lost it, and tell them. Asks the operator for a recent proof."""
    reason = clean_reason(data.reason)
    await require_fresh(session, identity.session_id)
    user = await lock_subject(session, identity, user_id)
    if user_id == identity.user_id:
        raise NotYourself("Turn your own off in your settings.")
    if not await remove_all(session, user_id):
        raise SecondFactorMissing("This user has none.")
    notify(session, cast("Outbox", state["outbox"]), user, "second_factor_removed", identity.origin)
    record_event(session, identity.origin, action="second_factor.remove", target=("user", user_id), reason=reason)


async def lock_subject(session: AsyncSession, identity: Identity, user_id: UUID, *, leaving: bool = False) -> User:
    """Return the user to act on, locked; raises `NotFound`, or `Forbidden` where that takes a superadmin.

    Of who is leaving it raises `ErasurePending` or `Erased`, unless that is what it is about.

    Superadmins' rows are locked first and in order: of two who act on each other, the second finds what the first did.
    """
    superadmins = await session.scalars(
        select(User.id)
        .where(User.role == "superadmin", User.status == "active")
        .order_by(User.id)
        .with_for_update(key_share=True)
    )
    acting_as_superadmin = identity.user_id in superadmins.all()
    user = await session.get(User, user_id, with_for_update={"key_share": True}, populate_existing=True)
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    if not acting_as_superadmin and (user.role != "user" or identity.role == "superadmin"):
        raise Forbidden("Only a superadmin may act on another operator.")
    if not leaving:
        refuse_leaving(user)
    return user


async def refuse_last(session: AsyncSession) -> None:
    """Raise `LastSuperadmin` where the change has left none who is active."""
    await session.flush()
    left = select(User.id).where(User.role == "superadmin", User.status == "active").limit(1)
    if await session.scalar(left) is None:
        raise LastSuperadmin("Give somebody else that role first.")


router = Router("/", route_handlers=[grant_role, sign_out, remove_factor])
