"""Passkeys: those of the signed-in user, and signing in with one, alone or after the password."""

from typing import cast
from uuid import UUID

from litestar import Router, delete, get, patch, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.audit.recording import record_event
from operis_api.credentials.errors import InvalidPasskey
from operis_api.credentials.links import read_link, use_link
from operis_api.credentials.passkeys import (
    NAME_CHARACTERS_MAX,
    Party,
    add_passkey,
    ask_to_register,
    ask_to_sign,
    check_passkey,
    find_owner,
    find_passkey,
    list_passkeys,
    use_challenge,
)
from operis_api.credentials.second_factors import Safe, drop_idle_codes, list_methods, replace_recovery_codes
from operis_api.kit.naming import clean_name
from operis_api.kit.origin import AnyRequest, origin_of
from operis_api.kit.sessions import Sessions
from operis_api.kit.tokens import TokenSigner
from operis_api.mail.notifying import notify
from operis_api.mail.outbox import Outbox
from operis_api.signing_in.devices import recognize_device
from operis_api.signing_in.refusing import note_refusal
from operis_api.signing_in.schemas import (
    AddedPasskey,
    BeginPasskeyBody,
    NamePasskeyBody,
    NewPasskeyBody,
    PasskeyBody,
    PasskeyOptions,
    PasskeyView,
)
from operis_api.signing_in.sessions import Tokens, check_may_sign_in, require_fresh, start_session
from operis_api.throttling.policies import LINK, PROOF
from operis_api.throttling.throttles import Throttles, Try, network_of
from operis_db.people import Passkey, User


@post("/passkey/options", opt={"public": True}, status_code=200, operation_id="begin_passkey_sign_in")
async def begin_sign_in(request: AnyRequest, state: State, data: JSONBody[BeginPasskeyBody]) -> PasskeyOptions:
    """Return what `navigator.credentials.get` signs in by: alone, or where the password was shown already."""
    await _take_of_network(request, state)
    async with _sessions(state).begin() as session:
        if data.mfa_token is None:
            return PasskeyOptions(public_key=await ask_to_sign(session, _party(state), "sign_in", None))
        link = await read_link(session, data.mfa_token, purpose="second_factor")
        return PasskeyOptions(public_key=await ask_to_sign(session, _party(state), "second_factor", link.user_id))


@post("/passkey/verify", opt={"public": True}, status_code=200, operation_id="finish_passkey_sign_in")
async def finish_sign_in(request: AnyRequest, state: State, data: JSONBody[PasskeyBody]) -> Tokens:
    """Sign in with a passkey; where it stands alone it must have verified its owner."""
    await _take_of_network(request, state)
    sessions, alone = _sessions(state), data.mfa_token is None
    async with sessions() as session:
        if data.mfa_token is None:
            user_id = await find_owner(session, data.credential)
        else:
            user_id = (await read_link(session, data.mfa_token, purpose="second_factor")).user_id
        user = await session.get_one(User, user_id)
        device_id = await recognize_device(session, _signer(state), user_id, data.device_token)
    origin = origin_of(request, user_id)
    try:
        challenge = await use_challenge(
            sessions,
            data.credential,
            purpose="sign_in" if alone else "second_factor",
            user_id=None if alone else user_id,
        )
        async with sessions.begin() as session:
            if data.mfa_token is not None:
                await use_link(session, data.mfa_token, purpose="second_factor")
            locked = await check_may_sign_in(session, user_id)
            await check_passkey(session, _party(state), user_id, data.credential, challenge=challenge, alone=alone)
            tokens = await start_session(
                session, _signer(state), _outbox(state), locked, device_id=device_id, origin=origin
            )
            record_event(session, origin, action="session.start", target=("user", user_id), after={"by": "passkey"})
    except InvalidPasskey:
        await note_refusal(sessions, origin, user, "passkey.refuse")
        raise
    return tokens


@post(
    "/step-up/passkey",
    opt={"permission": "own", "enrolling": True},
    status_code=200,
    operation_id="begin_passkey_step_up",
)
async def begin_step_up(identity: Identity, state: State, session: AsyncSession) -> PasskeyOptions:
    """Return what a passkey of the user's shows by, once more, who they are; its answer goes to `step_up`."""
    return PasskeyOptions(public_key=await ask_to_sign(session, _party(state), "step_up", identity.user_id))


@get("/", opt={"permission": "own", "enrolling": True}, operation_id="list_passkeys")
async def list_own(identity: Identity, session: AsyncSession) -> list[PasskeyView]:
    """List the user's passkeys, oldest first: at most twenty."""
    return [_view(row) for row in await list_passkeys(session, identity.user_id)]


@post("/options", opt={"permission": "own", "enrolling": True}, status_code=200, operation_id="begin_passkey")
async def begin(identity: Identity, state: State, session: AsyncSession) -> PasskeyOptions:
    """Return what `navigator.credentials.create` makes a new passkey by; asks for a recent proof of who one is."""
    await require_fresh(session, identity.session_id)
    user = await session.get_one(User, identity.user_id)
    return PasskeyOptions(public_key=await ask_to_register(session, _party(state), user))


@post("/", opt={"permission": "own", "enrolling": True}, operation_id="add_passkey")
async def finish(identity: Identity, state: State, data: JSONBody[NewPasskeyBody]) -> AddedPasskey:
    """Keep a new passkey. From now on signing in with the password asks for a second factor."""
    name, one = clean_name(data.name, characters_max=NAME_CHARACTERS_MAX), Try(PROOF, str(identity.user_id))
    await _throttles(state).take(identity.origin.address, one)
    challenge = await use_challenge(_sessions(state), data.credential, purpose="register", user_id=identity.user_id)
    async with _sessions(state).begin() as session:
        await require_fresh(session, identity.session_id)
        first = not await list_methods(session, identity.user_id)
        row = await add_passkey(
            session, _party(state), identity.user_id, name=name, credential=data.credential, challenge=challenge
        )
        safe = cast("Safe", state["safe"])
        codes = await replace_recovery_codes(session, safe, identity.user_id) if first else []
        await _tell(session, state, identity, "passkey_added", "passkey.add", name)
    await _throttles(state).forgive(one)
    return AddedPasskey(passkey=_view(row), recovery_codes=codes)


@patch("/{passkey_id:uuid}", opt={"permission": "own"}, operation_id="name_passkey")
async def rename(
    identity: Identity, session: AsyncSession, passkey_id: FromPath[UUID], data: JSONBody[NamePasskeyBody]
) -> PasskeyView:
    """Give a passkey another name."""
    row = await find_passkey(session, identity.user_id, passkey_id)
    row.name = clean_name(data.name, characters_max=NAME_CHARACTERS_MAX)
    record_event(session, identity.origin, action="passkey.name", target=("passkey", passkey_id))
    await session.flush()
    return _view(row)


@delete("/{passkey_id:uuid}", opt={"permission": "own"}, operation_id="remove_passkey")
async def remove(identity: Identity, state: State, session: AsyncSession, passkey_id: FromPath[UUID]) -> None:
    """Remove a passkey; asks for a recent proof of who one is."""
    row = await find_passkey(session, identity.user_id, passkey_id)
    await require_fresh(session, identity.session_id)
    name = row.name
    await session.delete(row)
    await session.flush()
    await drop_idle_codes(session, identity.user_id)
    await _tell(session, state, identity, "passkey_removed", "passkey.remove", name)


async def _tell(
    session: AsyncSession, state: State, identity: Identity, template: str, action: str, passkey: str
) -> None:
    """Write the change into the log, and to the user."""
    user = await session.get_one(User, identity.user_id)
    notify(session, _outbox(state), user, template, identity.origin, passkey=passkey)
    record_event(session, identity.origin, action=action, target=("user", identity.user_id))


def _view(row: Passkey) -> PasskeyView:
    return PasskeyView(id=row.id, name=row.name, created_at=row.created_at, last_used_at=row.last_used_at)


async def _take_of_network(request: AnyRequest, state: State) -> None:
    address = origin_of(request).address
    await _throttles(state).take(address, Try(LINK, network_of(address)))


def _party(state: State) -> Party:
    return cast("Party", state["party"])


def _signer(state: State) -> TokenSigner:
    return cast("TokenSigner", state["signer"])


def _sessions(state: State) -> Sessions:
    return cast("Sessions", state["sessions"])


def _throttles(state: State) -> Throttles:
    return cast("Throttles", state["throttles"])


def _outbox(state: State) -> Outbox:
    return cast("Outbox", state["outbox"])


sign_in_router = Router("/auth", route_handlers=[begin_sign_in, finish_sign_in, begin_step_up], tags=["sign-in"])
router = Router("/me/passkeys", route_handlers=[list_own, begin, finish, rename, remove], tags=["me"])
