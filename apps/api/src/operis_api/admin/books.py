"""The books, for operators: whether they hold, and checking them now."""

from typing import cast

from litestar import Router, get, post
from litestar.datastructures import State
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.schemas import LedgerCheck, LedgerVerification
from operis_api.kit.sessions import Sessions
from operis_api.ledger.checking import Checked, check_books, read_last_check


@get("/ledger/verify", opt={"permission": "admin.ledger.view"}, operation_id="get_ledger_verification")
async def get_verification(session: AsyncSession) -> LedgerVerification:
    """Return what the last check of the books found; a job checks them every minute."""
    return _show(await read_last_check(session))


@post("/ledger/verify", opt={"permission": "admin.ledger.verify"}, status_code=200, operation_id="verify_ledger")
async def verify(identity: Identity, state: State) -> LedgerVerification:
    """Check every invariant of the books now."""
    return _show(await check_books(cast("Sessions", state["sessions"]), actor_id=identity.user_id))


def _show(checked: Checked) -> LedgerVerification:
    return LedgerVerification(
        holds=checked.holds,
        checked_at=checked.checked_at,
        duration_ms=checked.duration_ms,
        checks=[LedgerCheck(name=check.name, findings=check.findings) for check in checked.checks],
    )


router = Router("/", route_handlers=[get_verification, verify])
