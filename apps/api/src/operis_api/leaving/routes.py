"""Taking one's data away, asking to be erased, and undoing that."""

from typing import cast

from litestar import Router, delete, get, post
from litestar.datastructures import State
from litestar.params import FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.audit.recording import record_event
from operis_api.kit.origin import AnyRequest, origin_of
from operis_api.kit.sessions import Sessions
from operis_api.leaving.erasing import ask_erasure, undo_erasure
from operis_api.leaving.exporting import Export, export_person
from operis_api.leaving.schemas import PendingErasure, UndoErasureBody
from operis_api.mail.outbox import Outbox
from operis_api.settings import Settings
from operis_api.signing_in.devices import attempt_of
from operis_api.signing_in.sessions import check_credentials, find_user, require_fresh
from operis_api.throttling.throttles import Throttles
from operis_db.people import User


@get("/me/export", opt={"permission": "own", "impersonated": False}, operation_id="export_me", tags=["me"])
async def export_own(identity: Identity, session: AsyncSession) -> Export:
    """Return all that is known of the signed-in user. Asks for a recent proof of who one is."""
    await require_fresh(session, identity.session_id)
    return await export_person(session, await session.get_one(User, identity.user_id))


@delete("/me", opt={"permission": "own"}, status_code=202, operation_id="erase_me", tags=["me"])
async def erase_own(
    identity: Identity, state: State, session: AsyncSession, forfeit_credits: FromQuery[bool] = False
) -> PendingErasure:
    """Ask to be erased: sessions and keys end at once, and the rest goes when the time to undo it is over.

    Asks for a recent proof of who one is, and for `forfeit_credits` where credits of one's own would be lost.
    """
    await require_fresh(session, identity.session_id)
    user = await session.get_one(User, identity.user_id, with_for_update={"key_share": True})
    erase_at = await ask_erasure(
        session,
        cast("Outbox", state["outbox"]),
        user,
        undo_days=cast("Settings", state["settings"]).erasure_undo_days,
        forfeit_credits=forfeit_credits,
        origin=identity.origin,
    )
    return PendingErasure(erase_at=erase_at)


@post("/auth/erasure/undo", opt={"public": True}, status_code=204, operation_id="undo_erasure", tags=["sign-in"])
async def undo_own(request: AnyRequest, state: State, data: JSONBody[UndoErasureBody]) -> None:
    """Undo one's erasure, given address and password; sign in afterwards."""
    sessions, throttles = cast("Sessions", state["sessions"]), cast("Throttles", state["throttles"])
    address = origin_of(request).address
    attempt = attempt_of(data.email, None, address)
    await throttles.take(address, *attempt.tries)
    async with sessions() as session:
        found = await find_user(session, data.email)
    user_id = (await check_credentials(found, data.password)).id
    await throttles.forgive(*attempt.forgiven)
    async with sessions.begin() as session:
        undo_erasure(await session.get_one(User, user_id, with_for_update={"key_share": True}))
        record_event(session, origin_of(request, user_id), action="user.undo_erasure", target=("user", user_id))


router = Router("/", route_handlers=[export_own, erase_own, undo_own])
