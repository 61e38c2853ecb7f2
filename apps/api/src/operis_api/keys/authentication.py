"""From a bearer credential to its caller: an API key, or a signed-in user's access token (the playground's).

Known keys cost no query. The cache only says whose key it is and what it was limited to: whether it is still good is
decided by admission, inside its transaction, so a revocation is exact in every process.
"""

from collections import OrderedDict
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select

from operis_api.access.permissions import allows
from operis_api.keys.errors import InvalidApiKey, OwnerSuspended
from operis_api.keys.secret import hash_secret, is_well_formed
from operis_api.kit.errors import Forbidden
from operis_api.kit.sessions import Sessions
from operis_api.kit.tokens import AccessToken, TokenSigner
from operis_db.people import ApiKey, Membership, Organization, Session, User

CACHED_KEYS_MAX = 50_000


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls the gateway and on whose money. Either key or session is set."""

    organization_id: UUID
    user_id: UUID
    key_id: UUID | None = None
    key_version: int | None = None
    session_id: UUID | None = None
    plan_id: UUID | None = None
    """Of the organization: it decides on the price's multiplier."""
    models: frozenset[str] = frozenset()
    """Models the key may call; empty: all."""


class KeyRing:
    """Resolves credentials, remembering API keys by their hash."""

    def __init__(self, sessions: Sessions, signer: TokenSigner, pepper: bytes) -> None:
        self._sessions = sessions
        self._signer = signer
        self._pepper = pepper
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()

    async def authenticate(self, credential: str, organization_id: UUID | None, *, fresh: bool = False) -> Caller:
        """Return the caller, or raise `InvalidApiKey` or `Unauthenticated`; `fresh` reads the key from the database."""
        if not credential.startswith("sk-"):
            return await self._authenticate_user(self._signer.read_access(credential), organization_id)
        if not is_well_formed(credential):
            raise InvalidApiKey("The key is incomplete or mistyped: its checksum does not fit.")
        digest = hash_secret(credential, self._pepper)
        caller = None if fresh else self._callers.get(digest)
        return caller or await self._read_key(digest)

    async def _read_key(self, digest: bytes) -> Caller:
        async with self._sessions() as session:
            found = (
                await session.execute(
                    select(ApiKey, Organization.plan_id, (User.status == "active") & (Organization.status == "active"))
                    .join(User, User.id == ApiKey.user_id)
                    .join(Organization, Organization.id == ApiKey.organization_id)
                    .join(
                        Membership,
                        (Membership.user_id == User.id) & (Membership.organization_id == Organization.id),
                    )
                    .where(ApiKey.secret_hash == digest)
                )
            ).tuples()
        key, plan_id, active = found.first() or (None, None, False)
        now = datetime.now(UTC)
        if key is None or key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
            self._callers.pop(digest, None)
            raise InvalidApiKey("The key is unknown, revoked or expired.")
        if not active:
            raise OwnerSuspended("The key's user or organization is suspended; ask the operator.")
        caller = Caller(
            organization_id=key.organization_id,
            user_id=key.user_id,
            key_id=key.id,
            key_version=key.version,
            plan_id=plan_id,
            models=frozenset(key.models),
        )
        self._callers[digest] = caller
        if len(self._callers) > CACHED_KEYS_MAX:
            self._callers.popitem(last=False)
        return caller

    async def _authenticate_user(self, token: AccessToken, organization_id: UUID | None) -> Caller:
        query = (
            select(Membership.organization_id, Membership.role, Organization.plan_id)
            .join(Organization, Organization.id == Membership.organization_id)
            .join(User, User.id == Membership.user_id)
            .join(Session, Session.user_id == User.id)
            .where(
                Membership.user_id == token.user_id,
                User.status == "active",
                Session.id == token.session_id,
                Session.revoked_at.is_(None),
                Session.expires_at > func.now(),
            )
        )
        own = Organization.personal & (Organization.owner_id == token.user_id)
        query = query.where(own if organization_id is None else Organization.id == organization_id)
        async with self._sessions() as session:
            found = (await session.execute(query)).first()
        if found is None:
            raise InvalidApiKey("The session has ended, or you are no member of that organization.")
        if not allows("models.call", organization_role=found.role, operator_role="user"):
            raise Forbidden("Your role in this organization may not call models.")
        return Caller(
            organization_id=found.organization_id,
            user_id=token.user_id,
            session_id=token.session_id,
            plan_id=found.plan_id,
        )
