"""Signing in, staying signed in, and signing out."""

import contextlib
from typing import cast

from litestar import Router, post
from litestar.datastructures import State
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.audit.recording import record_event
from operis_api.kit.origin import AnyRequest, origin_of
from operis_api.kit.sessions import Sessions
from operis_api.kit.tokens import TokenSigner, Unauthenticated
from operis_api.signing_in.errors import RefreshRefused
from operis_api.signing_in.schemas import LoginBody, LogoutBody, RefreshBody
from operis_api.signing_in.sessions import (
    Tokens,
    check_credentials,
    end_all_sessions,
    end_session,
    find_user,
    refresh_session,
    start_session,
)


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
    assert identity.session_id is not None, "no scope opens this to keys"
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


def _signer(state: State) -> TokenSigner:
    return cast("TokenSigner", state["signer"])


router = Router("/auth", route_handlers=[login, refresh, logout, logout_all], tags=["sign-in"])
