"""Who asks on the management API, and whether they may: default deny, decided before any handler runs.

Every route under /api/v1 needs a live session unless it says `opt={"public": True}`, and names the permission it needs
as `opt={"permission": ...}`. Session, user and membership are read from the database on every request, so signing out,
suspending, removing a member and changing a role are in force at once. API keys open the routes that name a scope too,
`opt={"scope": "keys:read"}`, and no other; they act with their owner's role.

Where operators need a second factor, one who has none gets no further than the routes that lead to it,
`opt={"enrolling": True}`.
"""

from datetime import datetime
from typing import Protocol, cast
from uuid import UUID

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import HTTPScope
from sqlalchemy import exists, func, or_, select, true

from operis_api.access.errors import ImpersonationReadsOnly, SecondFactorRequired
from operis_api.access.impersonations import Operator, is_alive
from operis_api.access.permissions import OF_OPERATORS, allows
from operis_api.access.rights import Rights
from operis_api.kit.errors import Forbidden, InvalidField, NotFound
from operis_api.kit.origin import Origin, origin_of
from operis_api.kit.sessions import Sessions
from operis_api.kit.tokens import AccessToken, ImpersonationToken, TokenSigner, Unauthenticated
from operis_api.settings import Settings
from operis_db.people import Impersonation, Membership, Organization, Passkey, SecondFactor, Session, User

READS = {"GET", "HEAD"}
AnyConnection = ASGIConnection[BaseRouteHandler, object, object, State]


class Impersonator(msgspec.Struct, frozen=True, kw_only=True):
    """The operator who asks, while the user is whom they ask as."""

    impersonation_id: UUID
    operator_id: UUID
    email: str
    name: str
    expires_at: datetime


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A user with a live session or an API key of theirs, and the organization the request is about."""

    user_id: UUID
    session_id: UUID | None
    """None: it is asked with a key, or by an impersonator."""
    impersonator: Impersonator | None = None
    key_id: UUID | None = None
    service: bool = False
    """Whether that is the organization's own key, which the user only made."""
    rights: Rights = Rights()
    """The key's, which it may hand on and nothing beyond; without one, not narrowed."""
    email: str
    role: str
    """On the platform: `user`, or an operator's."""
    organization_id: UUID
    organization_role: str
    has_second_factor: bool = False

    @property
    def is_operator(self) -> bool:
        return self.role != "user"

    @property
    def credential_owner(self) -> UUID:
        """Return whose Idempotency-Keys these are: a key's are its own."""
        return self.key_id or self.user_id


class Identity(SignedIn, frozen=True, kw_only=True):
    """Who asks, as handlers get it."""

    origin: Origin


class KeyDoor(Protocol):
    """What the slice of keys gives: whether a key may."""

    async def open(
        self, credential: str, *, scope: str, address: str | None, agent: str | None
    ) -> tuple[SignedIn, dict[str, str]]:
        """Return the key's owner and what the answer has to announce; raises why the key does not open this."""
        ...


class IdentityMiddleware(AbstractAuthenticationMiddleware):
    async def authenticate_request(self, connection: AnyConnection) -> AuthenticationResult:
        """Return the live session's user or the key's owner, with their organization, or raise why there is none."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send an access token as `Authorization: Bearer ...`.")
        if token.startswith("sk-"):
            return AuthenticationResult(user=await _open_to_key(connection, token), auth=None)
        claims = cast("TokenSigner", connection.app.state["signer"]).read_bearer(token)
        if isinstance(claims, ImpersonationToken):
            return AuthenticationResult(user=await _impersonate(connection, claims), auth=claims)
        async with cast("Sessions", connection.app.state["sessions"])() as session:
            row = (await session.execute(_signed_in(claims, _chosen_organization(connection)))).first()
        if row is None:
            raise Unauthenticated("The session has ended; sign in again.")
        if row.standing != "active":
            raise Unauthenticated("The account is suspended.")
        if row.organization_id is None:
            raise NotFound("There is no such organization, or you are not in it.")
        user = SignedIn(
            user_id=row.id,
            session_id=claims.session_id,
            email=row.email,
            role=row.role,
            organization_id=row.organization_id,
            organization_role=row.organization_role,
            has_second_factor=row.has_second_factor,
        )
        return AuthenticationResult(user=user, auth=claims)


def require_permission(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Let pass who has the permission that the route declares: the guard of every route."""
    if handler.opt.get("public"):
        return
    user, permission = cast("SignedIn", connection.user), cast("str | None", handler.opt.get("permission"))
    settings = cast("Settings", connection.app.state["settings"])
    blocked = settings.operators_need_second_factor and user.is_operator and not user.has_second_factor
    if blocked and not handler.opt.get("enrolling"):
        raise SecondFactorRequired
    if not allows(permission, organization_role=user.organization_role, operator_role=user.role):
        raise Forbidden(
            "Your role on the platform does not allow this."
            if permission in OF_OPERATORS
            else "Your role in this organization does not allow this."
        )


def has_second_factor():  # noqa: ANN201  # a condition says its type itself
    """Select whether the query's user has a second factor that counts."""
    authenticator = exists().where(SecondFactor.user_id == User.id, SecondFactor.confirmed_at.is_not(None))
    return or_(authenticator, exists().where(Passkey.user_id == User.id))


async def provide_identity(request: Request[SignedIn, object, State]) -> Identity:
    user = request.user
    actor_id = None if user.service else user.user_id
    origin = origin_of(cast("Request[object, object, State]", request), actor_id, user.key_id)
    if user.impersonator is not None:
        origin = msgspec.structs.replace(origin, actor_id=user.impersonator.operator_id, as_user_id=user.user_id)
    return Identity(**msgspec.structs.asdict(user), origin=origin)


async def _impersonate(connection: AnyConnection, token: ImpersonationToken) -> SignedIn:
    """Return the person as whom an operator may look, and do nothing but look."""
    async with cast("Sessions", connection.app.state["sessions"])() as session:
        row = (await session.execute(_impersonated(token, _chosen_organization(connection)))).first()
    if row is None:
        raise Unauthenticated("The impersonation has ended.")
    if row.organization_id is None:
        raise NotFound("There is no such organization, or the user is not in it.")
    handler = connection.route_handler
    if not handler.opt.get("impersonated", cast("HTTPScope", connection.scope)["method"] in READS):
        raise ImpersonationReadsOnly("End the impersonation to act in your own name.")
    return SignedIn(
        user_id=row.id,
        session_id=None,
        impersonator=Impersonator(
            impersonation_id=token.impersonation_id,
            operator_id=token.operator_id,
            email=row.operator_email,
            name=row.operator_name,
            expires_at=row.ends_at,
        ),
        email=row.email,
        role=row.role,
        organization_id=row.organization_id,
        organization_role=row.organization_role,
    )


async def _open_to_key(connection: AnyConnection, credential: str) -> SignedIn:
    scope = cast("str | None", connection.route_handler.opt.get("scope"))
    if scope is None:
        raise Unauthenticated("API keys do not open this; sign in and send an access token.")
    state = cast("dict[str, object]", connection.scope["state"])
    agent = connection.headers.get("user-agent")
    user, announcements = await cast("KeyDoor", connection.app.state["keys"]).open(
        credential,
        scope=scope,
        address=cast("str | None", state.get("client_address")),
        agent=agent[:256] if agent else None,
    )
    state["announcements"] = announcements
    if _chosen_organization(connection) not in {None, user.organization_id}:
        raise NotFound("The key belongs to another organization.")
    return user


def _chosen_organization(connection: AnyConnection) -> UUID | None:
    """Return the organization in the path, else the one X-Organization-Id names; None: the user's own.

    The back office's paths name organizations that are acted upon, not acted for.
    """
    handler = connection.route_handler
    named = connection.path_params.get("organization_id")
    if named is not None and handler.opt.get("permission") not in OF_OPERATORS:
        return cast("UUID", named)
    chosen = connection.headers.get("x-organization-id")
    try:
        return UUID(chosen) if chosen else None
    except ValueError:
        raise InvalidField("X-Organization-Id", "this is not an organization's id.") from None


def _impersonated(token: ImpersonationToken, chosen: UUID | None):  # noqa: ANN202  # as below
    """Select the person of a live impersonation, its operator, and one of the person's memberships."""
    membership = _membership(chosen)
    return (
        select(
            User.id,
            User.email,
            User.role,
            Operator.email.label("operator_email"),
            Operator.name.label("operator_name"),
            Impersonation.expires_at.label("ends_at"),
            membership.c.organization_id,
            membership.c.organization_role,
        )
        .select_from(Impersonation)
        .join(User, User.id == Impersonation.user_id)
        .join(Operator, Operator.id == Impersonation.operator_id)
        .join(Session, Session.id == Impersonation.session_id)
        .outerjoin(membership, true())
        .where(
            Impersonation.id == token.impersonation_id,
            Impersonation.operator_id == token.operator_id,
            User.id == token.user_id,
            is_alive(),
        )
    )


def _membership(chosen: UUID | None):  # noqa: ANN202  # as below
    """Select one membership of `User`: in the chosen organization, else in their personal one."""
    own = Organization.personal & (Organization.owner_id == User.id)
    return (
        select(Membership.organization_id, Membership.role.label("organization_role"))
        .join(Organization, Organization.id == Membership.organization_id)
        .where(Membership.user_id == User.id, own if chosen is None else Membership.organization_id == chosen)
        .limit(1)
        .lateral()
    )


def _signed_in(claims: AccessToken, chosen: UUID | None):  # noqa: ANN202  # a typed SELECT says its type itself
    """Select the live session's user with one membership."""
    membership = _membership(chosen)
    return (
        select(
            User.id,
            User.email,
            User.role,
            User.standing,
            membership.c.organization_id,
            membership.c.organization_role,
            has_second_factor().label("has_second_factor"),
        )
        .join(Session, Session.user_id == User.id)
        .outerjoin(membership, true())
        .where(
            Session.id == claims.session_id,
            User.id == claims.user_id,
            Session.revoked_at.is_(None),
            Session.expires_at > func.now(),
        )
    )
