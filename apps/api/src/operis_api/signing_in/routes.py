"""Signing in, staying signed in, and signing out."""

import contextlib
from typing import cast

import structlog
from litestar import Router, post
from litestar.datastructures import State
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.audit.recording import record_event
from operis_api.credentials.errors import InvalidCode, InvalidPasskey
from operis_api.credentials.links import make_link, read_link, use_link
from operis_api.credentials.passkeys import Party, check_passkey, use_challenge
from operis_api.credentials.passwords import is_outdated, rehash
from operis_api.credentials.second_factors import Safe, check_code, count_recovery_codes, list_methods
from operis_api.kit.errors import InvalidField
from operis_api.kit.origin import AnyRequest, Origin, origin_of
from operis_api.kit.pacing import fill_step, read_clock
from operis_api.kit.sessions import Sessions
from operis_api.kit.tokens import TokenSigner, Unauthenticated
from operis_api.mail.notifying import notify
from operis_api.mail.outbox import Outbox
from operis_api.signing_in.devices import attempt_of, recognize_device
from operis_api.signing_in.errors import InvalidCredentials, RefreshRefused
from operis_api.signing_in.refusing import note_refusal
from operis_api.signing_in.schemas import LoginBody, LogoutBody, MfaBody, RefreshBody, SignIn, StepUpBody
from operis_api.signing_in.sessions import (
    Tokens,
    check_credentials,
    check_may_sign_in,
    end_all_sessions,
    end_session,
    find_user,
    refresh_session,
    start_session,
    step_up,
)
from operis_api.throttling.policies import PROOF
from operis_api.throttling.throttles import Throttles, Try
from operis_db.people import User

REFUSAL_STEP_SECONDS = 0.1
"""How long a refused sign-in takes, in steps: what is written of nobody takes less than what is written of a user."""
log = structlog.get_logger()


@post("/login", opt={"public": True}, status_code=200, operation_id="login")
async def login(request: AnyRequest, state: State, data: JSONBody[LoginBody]) -> SignIn:
    """Sign in: starts a session, or asks for the second factor.

    `device_token`, from an earlier sign-in on this device, keeps strangers from using up this device's attempts.
    """
    sessions, throttles, origin, began = _sessions(state), _throttles(state), origin_of(request), read_clock()
    async with sessions() as session:
        found = await find_user(session, data.email)
        device_id = await recognize_device(session, _signer(state), found.id if found else None, data.device_token)
    attempt = attempt_of(data.email, device_id, origin.address)
    await throttles.take(origin.address, *attempt.tries)
    try:
        user = await check_credentials(found, data.password)
    except InvalidCredentials:
        await note_refusal(sessions, origin, found, "session.refuse")
        await fill_step(began, REFUSAL_STEP_SECONDS)
        raise
    await throttles.forgive(*attempt.forgiven)
    if attempt.shared:
        await throttles.give_back(attempt.shared)
    origin = origin_of(request, user.id)
    renewed = await rehash(data.password) if is_outdated(user.password_hash) else None
    async with sessions.begin() as session:
        locked = await check_may_sign_in(session, user.id)
        if renewed and locked.password_hash == user.password_hash:
            locked.password_hash = renewed
        if methods := await list_methods(session, user.id):
            return SignIn(
                mfa_required=True, mfa_token=await _ask_for_second_factor(session, locked), mfa_methods=methods
            )
        tokens = await start_session(
            session, _signer(state), _outbox(state), locked, device_id=device_id, origin=origin
        )
        record_event(session, origin, action="session.start", target=("user", user.id))
    return _signed_in(tokens)


@post("/mfa/verify", opt={"public": True}, status_code=200, operation_id="verify_second_factor")
async def verify_second_factor(request: AnyRequest, state: State, data: JSONBody[MfaBody]) -> Tokens:
    """Finish signing in with a code of the authenticator, or a recovery code."""
    sessions = _sessions(state)
    async with sessions() as session:
        link = await read_link(session, data.mfa_token, purpose="second_factor")
        user = await session.get_one(User, link.user_id)
        device_id = await recognize_device(session, _signer(state), user.id, data.device_token)
    origin, one = origin_of(request, user.id), Try(PROOF, str(user.id))
    await _throttles(state).take(origin.address, one)
    try:
        async with sessions.begin() as session:
            await use_link(session, data.mfa_token, purpose="second_factor")
            locked = await check_may_sign_in(session, user.id)
            await _use_code(session, state, locked, data.code, origin)
            tokens = await start_session(
                session, _signer(state), _outbox(state), locked, device_id=device_id, origin=origin
            )
            record_event(session, origin, action="session.start", target=("user", user.id))
    except InvalidCode:
        await note_refusal(sessions, origin, user, "second_factor.refuse")
        raise
    await _throttles(state).forgive(one)
    return tokens


@post("/step-up", opt={"permission": "own", "enrolling": True}, status_code=204, operation_id="step_up")
async def show_again(identity: Identity, state: State, data: JSONBody[StepUpBody]) -> None:
    """Show once more who one is, for what asks for a recent proof: a code or a passkey where there is a second
    factor, else the password.
    """
    assert identity.session_id is not None, "no scope opens this to keys"
    if data.password is None and data.code is None and data.credential is None:
        raise InvalidField("password", "send it, or a code or passkey where there is a second factor.")
    sessions, one = _sessions(state), Try(PROOF, str(identity.user_id))
    await _throttles(state).take(identity.origin.address, one)
    async with sessions() as session:
        user = await session.get_one(User, identity.user_id)
        guarded = bool(await list_methods(session, user.id))
    try:
        challenge = None
        if guarded and data.credential is not None:
            challenge = await use_challenge(sessions, data.credential, purpose="step_up", user_id=user.id)
        elif not guarded:
            await check_credentials(user, data.password or "")
        async with sessions.begin() as session:
            if data.credential is not None and challenge is not None:
                party = cast("Party", state["party"])
                await check_passkey(session, party, user.id, data.credential, challenge=challenge, alone=False)
            elif guarded:
                await _use_code(session, state, user, data.code or "", identity.origin)
            await step_up(session, identity.session_id)
            record_event(session, identity.origin, action="session.step_up", target=("session", identity.session_id))
    except (InvalidCode, InvalidPasskey, InvalidCredentials):
        await note_refusal(sessions, identity.origin, user, "session.refuse_step_up")
        raise
    await _throttles(state).forgive(one)


@post("/refresh", opt={"public": True}, status_code=200, operation_id="refresh")
async def refresh(request: AnyRequest, state: State, data: JSONBody[RefreshBody]) -> Tokens:
    """Trade a refresh token for its successor; one used before ends the session, and its user is told."""
    async with _sessions(state).begin() as session:
        answer = await refresh_session(session, _signer(state), data.refresh_token)
        if not isinstance(answer, Tokens):
            user = await session.get_one(User, answer.user_id)
            origin = origin_of(request)
            notify(session, _outbox(state), user, "session_revoked", origin, path="/login")
            record_event(session, origin, action="session.reuse", target=("session", answer.id))
    if not isinstance(answer, Tokens):  # raised out here, so that the revocation is committed
        log.warning("refresh_token_reused", session=str(answer.id))
        raise RefreshRefused("This refresh token was used before; its session is ended. Sign in again.")
    return answer


@post("/logout", opt={"permission": "own", "enrolling": True}, status_code=204, operation_id="logout")
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


@post("/logout-all", opt={"permission": "own", "enrolling": True}, status_code=204, operation_id="logout_all")
async def logout_all(identity: Identity, session: AsyncSession) -> None:
    """End all of the user's sessions, this one too."""
    await end_all_sessions(session, identity.user_id, "signed_out_everywhere")
    record_event(session, identity.origin, action="session.end_all", target=("user", identity.user_id))


async def _ask_for_second_factor(session: AsyncSession, user: User) -> str:
    return await make_link(session, user_id=user.id, purpose="second_factor", address=user.email)


async def _use_code(session: AsyncSession, state: State, user: User, code: str, origin: Origin) -> None:
    """Use a code up; the owner is told of a recovery code."""
    if await check_code(session, cast("Safe", state["safe"]), user.id, code) == "recovery":
        left = await count_recovery_codes(session, user.id)
        notify(session, _outbox(state), user, "recovery_code_used", origin, left=str(left))


def _signed_in(tokens: Tokens) -> SignIn:
    return SignIn(
        access_token=tokens.access_token,
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
        device_token=tokens.device_token,
        token_type=tokens.token_type,
    )


def _signer(state: State) -> TokenSigner:
    return cast("TokenSigner", state["signer"])


def _sessions(state: State) -> Sessions:
    return cast("Sessions", state["sessions"])


def _throttles(state: State) -> Throttles:
    return cast("Throttles", state["throttles"])


def _outbox(state: State) -> Outbox:
    return cast("Outbox", state["outbox"])


router = Router(
    "/auth",
    route_handlers=[login, verify_second_factor, show_again, refresh, logout, logout_all],
    tags=["sign-in"],
)
