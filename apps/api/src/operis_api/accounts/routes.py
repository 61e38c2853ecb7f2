"""Signing up, in and out, and the signed-in user."""

import contextlib
from typing import Literal, cast

from litestar import Router, get, patch, post
from litestar.datastructures import State
from litestar.params import JSONBody
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.accounts.errors import RefreshRefused, RegistrationClosed
from operis_api.accounts.registering import clean_name, register_user
from operis_api.accounts.schemas import (
    LoginBody,
    LogoutBody,
    Me,
    Organization,
    RefreshBody,
    RegisterBody,
    UpdateMeBody,
    User,
    UserRole,
)
from operis_api.accounts.signing_in import (
    Tokens,
    check_credentials,
    end_all_sessions,
    end_session,
    find_user,
    refresh_session,
    start_session,
)
from operis_api.audit.recording import record_event
from operis_api.kit.origin import AnyRequest, origin_of
from operis_api.kit.sessions import Sessions
from operis_api.kit.tokens import TokenSigner, Unauthenticated
from operis_api.settings import Settings
from operis_db import people


@post("/register", opt={"public": True}, operation_id="register")
async def register(request: AnyRequest, state: State, session: AsyncSession, data: JSONBody[RegisterBody]) -> Me:
    """Sign up: creates the user with a personal organization and, once verified, its welcome grant."""
    settings = cast("Settings", state["settings"])
    if settings.registration != "open":
        raise RegistrationClosed("Ask the operator for an account.")
    user, organization = await register_user(
        session, email=data.email, password=data.password, name=data.name, verified=not settings.production
    )
    record_event(
        session,
        origin_of(request, user.id),
        action="user.register",
        target=("user", user.id),
        organization_id=organization.id,
    )
    own = Organization(id=organization.id, name=organization.name, role="owner")
    return Me(user=_user(user), organization=own, organizations=[own])


@post("/login", opt={"public": True}, status_code=200, operation_id="login")
async def login(request: AnyRequest, state: State, data: JSONBody[LoginBody]) -> Tokens:
    """Sign in: starts a session."""
    sessions = cast("Sessions", state["sessions"])
    async with sessions() as session:
        found = await find_user(session, data.email)
    user = await check_credentials(found, data.password)
    origin = origin_of(request, user.id)
    async with sessions.begin() as session:
        tokens = await start_session(session, _signer(state), user.id, address=origin.address, agent=origin.agent)
        record_event(session, origin, action="session.start", target=("user", user.id))
    return tokens


@post("/refresh", opt={"public": True}, status_code=200, operation_id="refresh")
async def refresh(state: State, data: JSONBody[RefreshBody]) -> Tokens:
    """Trade a refresh token for its successor; one used before ends the session."""
    async with cast("Sessions", state["sessions"]).begin() as session:
        tokens = await refresh_session(session, _signer(state), data.refresh_token)
    if tokens is None:  # raised out here, so that the revocation is committed
        raise RefreshRefused("This refresh token was used before; its session is ended. Sign in again.")
    return tokens


@post("/logout", opt={"permission": "own"}, status_code=204, operation_id="logout")
async def logout(
    identity: Identity, state: State, session: AsyncSession, data: JSONBody[LogoutBody | None] = None
) -> None:
    """End this session, and the one whose refresh token is given; a token that is none ends nothing more."""
    await end_session(session, identity.session_id, "signed_out")
    if data is not None and data.refresh_token is not None:
        with contextlib.suppress(Unauthenticated):
            session_id, _ = _signer(state).read_refresh(data.refresh_token)
            await end_session(session, session_id, "signed_out")
    record_event(session, identity.origin, action="session.end", target=("session", identity.session_id))


@post("/logout-all", opt={"permission": "own"}, status_code=204, operation_id="logout_all")
async def logout_all(identity: Identity, session: AsyncSession) -> None:
    """End all of the user's sessions, this one too."""
    await end_all_sessions(session, identity.user_id, "signed_out_everywhere")
    record_event(session, identity.origin, action="session.end_all", target=("user", identity.user_id))


@get("/me", opt={"permission": "own"}, operation_id="get_me")
async def get_me(identity: Identity, session: AsyncSession) -> Me:
    """Return the signed-in user, the active organization, and all of the user's organizations."""
    return await _read_me(session, identity)


@patch("/me", opt={"permission": "own"}, operation_id="update_me")
async def update_me(identity: Identity, session: AsyncSession, data: JSONBody[UpdateMeBody]) -> Me:
    """Change the user's name."""
    user = await session.get_one(people.User, identity.user_id)
    before, user.name = user.name, clean_name(data.name)
    record_event(
        session,
        identity.origin,
        action="user.update",
        target=("user", user.id),
        before={"name": before},
        after={"name": user.name},
    )
    await session.flush()
    return await _read_me(session, identity)


async def _read_me(session: AsyncSession, identity: Identity) -> Me:
    user = await session.get_one(people.User, identity.user_id)
    rows = await session.execute(
        select(people.Organization.id, people.Organization.name, people.Membership.role)
        .join(people.Membership, people.Membership.organization_id == people.Organization.id)
        .where(people.Membership.user_id == identity.user_id)
        .order_by(people.Organization.created_at, people.Organization.id)
        .limit(200)
    )
    organizations = [Organization(id=row.id, name=row.name, role=row.role) for row in rows]
    active = next(found for found in organizations if found.id == identity.organization_id)
    return Me(user=_user(user), organization=active, organizations=organizations)


def _user(row: people.User) -> User:
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        role=cast("UserRole", row.role),
        status=cast("Literal['active', 'suspended']", row.status),
        created_at=row.created_at,
    )


def _signer(state: State) -> TokenSigner:
    return cast("TokenSigner", state["signer"])


auth_router = Router("/auth", route_handlers=[register, login, refresh, logout, logout_all], tags=["sign-in"])
me_router = Router("/", route_handlers=[get_me, update_me], tags=["me"])
