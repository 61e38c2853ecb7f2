"""The one thing an impersonator may do: stop."""

from litestar import Router, post
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.kit.errors import NotFound
from operis_api.signing_in.impersonating import end_impersonation


@post(
    "/impersonation/end",
    opt={"permission": "own", "impersonated": True},
    status_code=204,
    operation_id="end_impersonation",
)
async def end(identity: Identity, session: AsyncSession) -> None:
    """End the impersonation whose token this is asked with."""
    if identity.impersonator is None:
        raise NotFound("You act as nobody but yourself.")
    await end_impersonation(session, identity.impersonator.impersonation_id, origin=identity.origin)


router = Router("/auth", route_handlers=[end], tags=["sign-in"])
