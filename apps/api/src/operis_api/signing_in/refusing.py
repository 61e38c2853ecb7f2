"""Proofs that failed: written down, for nobody as for somebody."""

from uuid import UUID

import structlog

from operis_api.audit.recording import record_event
from operis_api.kit.origin import Origin
from operis_api.kit.sessions import Sessions
from operis_db.people import User

log = structlog.get_logger()


async def note_refusal(sessions: Sessions, origin: Origin, user: User | None, action: str) -> None:
    """Write a failed proof into the log and the audit log; for nobody the same work is done."""
    log.warning("sign_in_refused", action=action, address=origin.address, request_id=origin.request_id)
    target: tuple[str, UUID | str] = ("user", user.id) if user else ("address", "unknown")
    async with sessions.begin() as session:
        record_event(session, origin, action=action, target=target)
