"""Handing out and erasing a person's data at their asking, where they cannot do it themselves."""

from typing import cast
from uuid import UUID

from litestar import Router, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.errors import NotYourself
from operis_api.admin.operators import lock_subject
from operis_api.admin.schemas import EraseUserBody, ReasonBody
from operis_api.admin.wording import clean_reason
from operis_api.audit.recording import record_event
from operis_api.leaving.erasing import ask_erasure, undo_erasure
from operis_api.leaving.exporting import Export, export_person
from operis_api.leaving.schemas import PendingErasure
from operis_api.mail.outbox import Outbox
from operis_api.settings import Settings
from operis_api.signing_in.sessions import require_fresh

ERASES = {"permission": "admin.users.erase"}


@post("/users/{user_id:uuid}/export", opt=ERASES, status_code=200, operation_id="export_user")
async def export(
    identity: Identity, session: AsyncSession, user_id: FromPath[UUID], data: JSONBody[ReasonBody]
) -> Export:
    """Return all that is known of a user, for them. Asks the operator for a recent proof."""
    reason = clean_reason(data.reason)
    await require_fresh(session, identity.session_id)
    user = await lock_subject(session, identity, user_id, leaving=True)
    record_event(session, identity.origin, action="user.export", target=("user", user_id), reason=reason)
    return await export_person(session, user)


@post("/users/{user_id:uuid}/erase", opt=ERASES, status_code=202, operation_id="erase_user")
async def erase(
    identity: Identity, state: State, session: AsyncSession, user_id: FromPath[UUID], data: JSONBody[EraseUserBody]
) -> PendingErasure:
    """Erase a user who asked for it, as they could themselves; they are told by mail, and can undo it for a while."""
    reason = clean_reason(data.reason)
    await require_fresh(session, identity.session_id)
    if user_id == identity.user_id:
        raise NotYourself("Ask for it in your settings.")
    erase_at = await ask_erasure(
        session,
        cast("Outbox", state["outbox"]),
        await lock_subject(session, identity, user_id),
        undo_days=cast("Settings", state["settings"]).erasure_undo_days,
        forfeit_credits=data.forfeit_credits,
        origin=identity.origin,
        reason=reason,
    )
    return PendingErasure(erase_at=erase_at)


@post("/users/{user_id:uuid}/erase/undo", opt=ERASES, status_code=204, operation_id="undo_user_erasure")
async def undo(identity: Identity, session: AsyncSession, user_id: FromPath[UUID], data: JSONBody[ReasonBody]) -> None:
    """Undo an erasure while there is time, for somebody who cannot sign in with a password."""
    reason = clean_reason(data.reason)
    await require_fresh(session, identity.session_id)
    undo_erasure(await lock_subject(session, identity, user_id, leaving=True))
    record_event(session, identity.origin, action="user.undo_erasure", target=("user", user_id), reason=reason)


router = Router("/", route_handlers=[export, erase, undo])
