"""Who asks on the management API: default deny, decided before any handler runs.

Every route under /api/v1 needs a live session unless it says `opt={"public": True}`; those of the back office need an
administrator's. The session is read from the database on every request, so signing out is in force at once.
"""

from typing import cast
from uuid import UUID

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from sqlalchemy import func, select

from operis_api.kit.errors import Forbidden, InvalidField, NotFound
from operis_api.kit.origin import Origin, origin_of
from operis_api.kit.sessions import Sessions
from operis_api.kit.tokens import TokenSigner, Unauthenticated
from operis_db.people import Membership, Organization, Session, User

AnyConnection = ASGIConnection[BaseRouteHandler, object, object, State]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in user, and the organization the request is about."""

    user_id: UUID
    session_id: UUID
    email: str
    is_admin: bool
    organization_id: UUID
    organization_role: str
    origin: Origin


class SignedIn(msgspec.Struct, frozen=True):
    user_id: UUID
    session_id: UUID
    email: str
    is_admin: bool


class IdentityMiddleware(AbstractAuthenticationMiddleware):
    async def authenticate_request(self, connection: AnyConnection) -> AuthenticationResult:
        """Return the live session's user, or raise `Unauthenticated`."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send an access token as `Authorization: Bearer ...`.")
        claims = cast("TokenSigner", connection.app.state["signer"]).read_access(token)
        async with cast("Sessions", connection.app.state["sessions"])() as session:
            row = (
                await session.execute(
                    select(User.id, User.email, User.role, User.status)
                    .join(Session, Session.user_id == User.id)
                    .where(
                        Session.id == claims.session_id,
                        User.id == claims.user_id,
                        Session.revoked_at.is_(None),
                        Session.expires_at > func.now(),
                    )
                )
            ).first()
        if row is None:
            raise Unauthenticated("The session has ended; sign in again.")
        if row.status != "active":
            raise Unauthenticated("The account is suspended.")
        user = SignedIn(row.id, claims.session_id, row.email, row.role == "admin")
        return AuthenticationResult(user=user, auth=claims)


async def provide_identity(request: Request[SignedIn, object, State]) -> Identity:
    """Return who asks with their active organization: X-Organization-Id, else their own."""
    user = request.user
    chosen = request.headers.get("x-organization-id")
    query = (
        select(Membership.organization_id, Membership.role)
        .join(Organization, Organization.id == Membership.organization_id)
        .where(Membership.user_id == user.user_id)
        .order_by((Organization.owner_id == user.user_id).desc(), Organization.created_at)
        .limit(1)
    )
    if chosen:
        query = query.where(Organization.id == _organization_id(chosen))
    async with cast("Sessions", request.app.state["sessions"])() as session:
        row = (await session.execute(query)).first()
    if row is None:
        raise NotFound("There is no such organization, or you are not in it.")
    return Identity(
        user_id=user.user_id,
        session_id=user.session_id,
        email=user.email,
        is_admin=user.is_admin,
        organization_id=row.organization_id,
        organization_role=row.role,
        origin=origin_of(cast("Request[object, object, State]", request), user.user_id),
    )


def require_admin(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Let administrators pass alone: the back office's guard."""
    if not cast("SignedIn", connection.user).is_admin:
        raise Forbidden("This needs an administrator.")


def _organization_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidField("X-Organization-Id", "this is not an organization's id.") from None
