"""Looking at the product as one of its users, to help them."""

from typing import cast
from uuid import UUID

from litestar import Router, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.access.impersonations import PERMISSION
from operis_api.admin.operators import lock_subject
from operis_api.admin.schemas import ReasonBody, StartedImpersonation
from operis_api.admin.wording import clean_reason
from operis_api.kit.tokens import TokenSigner
from operis_api.mail.notifying import notify
from operis_api.mail.outbox import Outbox
from operis_api.signing_in.impersonating import LIFE, start_impersonation
from operis_api.signing_in.sessions import require_fresh


@post("/users/{user_id:uuid}/impersonate", opt={"permission": PERMISSION}, operation_id="impersonate_user")
async def impersonate(
    identity: Identity, state: State, session: AsyncSession, user_id: FromPath[UUID], data: JSONBody[ReasonBody]
) -> StartedImpersonation:
    """Return a token that reads as the user for a quarter of an hour and changes nothing; they are told by mail.

    Asks for a recent proof of who one is. It ends with the operator's session too, and when it is told to.
    """
    reason = clean_reason(data.reason)
    await require_fresh(session, identity.session_id)
    assert identity.session_id is not None, "no scope opens this to keys"
    user = await lock_subject(session, identity, user_id)
    started = await start_impersonation(
        session,
        cast("TokenSigner", state["signer"]),
        user,
        session_id=identity.session_id,
        origin=identity.origin,
        reason=reason,
    )
    minutes = str(LIFE.seconds // 60)
    notify(session, cast("Outbox", state["outbox"]), user, "impersonated", identity.origin, minutes=minutes)
    return StartedImpersonation(user_id=user_id, token=started.token, expires_at=started.expires_at)


router = Router("/", route_handlers=[impersonate])
