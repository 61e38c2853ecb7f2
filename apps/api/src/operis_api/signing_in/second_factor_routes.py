"""The second factor of the signed-in user: turned on, looked at, turned off."""

from typing import cast

from litestar import Router, delete, get, post
from litestar.datastructures import State
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.audit.recording import record_event
from operis_api.credentials.errors import SecondFactorMissing
from operis_api.credentials.passkeys import count_passkeys
from operis_api.credentials.second_factors import (
    Safe,
    confirm,
    count_recovery_codes,
    enrol,
    list_methods,
    read_confirmed_at,
    remove,
    replace_recovery_codes,
)
from operis_api.credentials.totp import enrolment_uri, show_secret
from operis_api.kit.sessions import Sessions
from operis_api.mail.notifying import notify
from operis_api.mail.outbox import Outbox
from operis_api.signing_in.schemas import CodeBody, Enrolment, RecoveryCodes, SecondFactorView
from operis_api.signing_in.sessions import require_fresh
from operis_api.throttling.policies import PROOF
from operis_api.throttling.throttles import Throttles, Try
from operis_db.people import User


@get("/", opt={"permission": "own", "enrolling": True}, operation_id="get_second_factor")
async def show(identity: Identity, session: AsyncSession) -> SecondFactorView:
    """Return since when there is a second factor, and how many recovery codes are left."""
    return SecondFactorView(
        enabled_at=await read_confirmed_at(session, identity.user_id),
        recovery_codes_left=await count_recovery_codes(session, identity.user_id),
        passkeys=await count_passkeys(session, identity.user_id),
    )


@post("/totp", opt={"permission": "own", "enrolling": True}, operation_id="enrol_second_factor")
async def begin(identity: Identity, state: State, session: AsyncSession) -> Enrolment:
    """Return a new secret for an authenticator; it counts once a code of it is confirmed."""
    await require_fresh(session, identity.session_id)
    secret = await enrol(session, _safe(state), identity.user_id)
    record_event(session, identity.origin, action="second_factor.enrol", target=("user", identity.user_id))
    return Enrolment(secret=show_secret(secret), uri=enrolment_uri(secret, account=identity.email))


@post(
    "/totp/confirm", opt={"permission": "own", "enrolling": True}, status_code=200, operation_id="confirm_second_factor"
)
async def finish(identity: Identity, state: State, data: JSONBody[CodeBody]) -> RecoveryCodes:
    """Turn the second factor on with a code of it. The recovery codes are shown this once."""
    one, throttles = Try(PROOF, str(identity.user_id)), cast("Throttles", state["throttles"])
    await throttles.take(identity.origin.address, one)
    async with cast("Sessions", state["sessions"]).begin() as session:
        await require_fresh(session, identity.session_id)
        codes = await confirm(session, _safe(state), identity.user_id, data.code)
        await _tell(session, state, identity, "second_factor_enabled", "second_factor.enable")
    await throttles.forgive(one)
    return RecoveryCodes(recovery_codes=codes)


@delete("/totp", opt={"permission": "own"}, operation_id="remove_second_factor")
async def turn_off(identity: Identity, state: State, session: AsyncSession) -> None:
    """Turn the authenticator off; asks for a recent proof of who one is."""
    await require_fresh(session, identity.session_id)
    if await remove(session, identity.user_id):
        await _tell(session, state, identity, "second_factor_disabled", "second_factor.disable")


@post("/recovery-codes", opt={"permission": "own"}, operation_id="replace_recovery_codes")
async def replace(identity: Identity, state: State, session: AsyncSession) -> RecoveryCodes:
    """Make new recovery codes, shown this once; the old ones are void."""
    await require_fresh(session, identity.session_id)
    if not await list_methods(session, identity.user_id):
        raise SecondFactorMissing("Turn it on first.")
    codes = await replace_recovery_codes(session, _safe(state), identity.user_id)
    await _tell(session, state, identity, "recovery_codes_replaced", "second_factor.replace_codes")
    return RecoveryCodes(recovery_codes=codes)


async def _tell(session: AsyncSession, state: State, identity: Identity, template: str, action: str) -> None:
    """Write the change into the log, and to the user."""
    user = await session.get_one(User, identity.user_id)
    notify(session, cast("Outbox", state["outbox"]), user, template, identity.origin)
    record_event(session, identity.origin, action=action, target=("user", identity.user_id))


def _safe(state: State) -> Safe:
    return cast("Safe", state["safe"])


router = Router("/me/mfa", route_handlers=[show, begin, finish, turn_off, replace], tags=["me"])
