"""The signed-in user's sessions."""

from uuid import UUID

from litestar import Router, delete, get, patch
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.audit.recording import record_event
from operis_api.kit.lists import After, Limit
from operis_api.kit.naming import clean_name
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.signing_in.listing import NAME_CHARACTERS_MAX, find_session, list_sessions
from operis_api.signing_in.schemas import NameSessionBody, SessionView
from operis_api.signing_in.sessions import end_all_sessions, end_session
from operis_db.people import Session


@get("/", opt={"permission": "own"}, operation_id="list_sessions")
async def list_own(
    identity: Identity, session: AsyncSession, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[SessionView]:
    """List the user's living sessions, newest first."""
    before = decode_cursor(after, UUID) if after else None
    rows = await list_sessions(session, identity.user_id, before=before, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.id, item=lambda row: _view(row, identity))


@patch("/{session_id:uuid}", opt={"permission": "own"}, operation_id="name_session")
async def name(
    identity: Identity, session: AsyncSession, session_id: FromPath[UUID], data: JSONBody[NameSessionBody]
) -> SessionView:
    """Give a session a name to know it by."""
    row = await find_session(session, identity.user_id, session_id)
    before, row.name = row.name, clean_name(data.name, characters_max=NAME_CHARACTERS_MAX)
    record_event(
        session,
        identity.origin,
        action="session.name",
        target=("session", session_id),
        before={"name": before},
        after={"name": row.name},
    )
    await session.flush()
    return _view(row, identity)


@delete("/{session_id:uuid}", opt={"permission": "own"}, operation_id="end_session")
async def end(identity: Identity, session: AsyncSession, session_id: FromPath[UUID]) -> None:
    """End one of the user's sessions; in force at once in every process."""
    row = await find_session(session, identity.user_id, session_id)
    await end_session(session, row.id, "ended_by_user")
    record_event(session, identity.origin, action="session.end", target=("session", session_id))


@delete("/", opt={"permission": "own"}, operation_id="end_other_sessions")
async def end_others(identity: Identity, session: AsyncSession) -> None:
    """End all of the user's sessions but this one."""
    await end_all_sessions(session, identity.user_id, "ended_by_user", but=identity.session_id)
    record_event(session, identity.origin, action="session.end_others", target=("user", identity.user_id))


def _view(row: Session, identity: Identity) -> SessionView:
    return SessionView(
        id=row.id,
        name=row.name,
        address=row.address,
        agent=row.agent,
        created_at=row.created_at,
        last_seen_at=row.rotated_at,
        expires_at=row.expires_at,
        current=row.id == identity.session_id,
    )


router = Router("/me/sessions", route_handlers=[list_own, name, end, end_others], tags=["me"])
