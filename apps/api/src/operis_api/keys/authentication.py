"""From a bearer credential to its caller: an API key, or a signed-in user's access token (the playground's).

Known keys cost no query. The cache only says whose key it is and what it was limited to: whether it is still good is
decided by admission, inside its transaction, so a revocation is exact in every process. What the cache would refuse is
read afresh first.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from datetime import UTC, datetime
from email.utils import format_datetime
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec
from sqlalchemy import func, select, update

from operis_api.access.errors import SecondFactorRequired
from operis_api.access.identity import SignedIn, has_second_factor
from operis_api.access.permissions import allows
from operis_api.access.rights import Rights, allows_address, holds_scope
from operis_api.access.suspending import lift_what_is_over
from operis_api.audit.sealing import PersonKeys, seal_address
from operis_api.keys.errors import AddressNotAllowed, InvalidApiKey, KeyDisabled, OwnerSuspended, ScopeRequired
from operis_api.keys.minting import rights_of
from operis_api.keys.secret import Peppers, is_well_formed
from operis_api.keys.uses import KeyUses, Use
from operis_api.kit.encryption import Vault
from operis_api.kit.errors import DomainError, Forbidden
from operis_api.kit.sessions import Sessions
from operis_api.kit.tokens import AccessToken, TokenSigner
from operis_db.people import ApiKey, KeySecret, Membership, Organization, Session, User
from operis_db.records import PersonKey

CACHED_KEYS_MAX = 50_000
ROLE_OF_SERVICE_KEYS = "admin"
"""They belong to the organization, and their scopes alone narrow them."""
CACHED_SECONDS = 5
"""What admission does not compare, the role of a key's owner, is never older than that."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls and on whose money. Either key or session is set."""

    organization_id: UUID
    user_id: UUID
    role: str
    """The owner's in the organization."""
    service: bool = False
    """Whether the key is the organization's own; `user_id` only made it then."""
    key_id: UUID | None = None
    key_name: str = ""
    key_version: int | None = None
    secret_id: UUID | None = None
    secret_expires_at: datetime | None = None
    """Of a secret that was rotated: when its overlap ends."""
    session_id: UUID | None = None
    plan_id: UUID | None = None
    """Of the organization: it decides on the price's multiplier."""
    rights: Rights = Rights()
    read_at: float = 0.0
    """On the monotonic clock."""
    person_key: Vault | None = None
    """Of the user: what is kept of where they call from is sealed with it."""

    def seal_address(self, address: str | None) -> str | None:
        """Return what is kept of the address, so that erasing the user erases it; nothing without their key."""
        return seal_address(self.person_key, address) if self.person_key and address else None

    @property
    def announcements(self) -> dict[str, str]:
        """Return the headers that tell a caller of the end of their secret."""
        end = self.secret_expires_at
        if end is None:
            return {}
        return {
            "x-operis-key-expires-at": end.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "sunset": format_datetime(end, usegmt=True),
        }


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """A request's credential, where it comes from, and the scope that opens what it asks for."""

    credential: str
    scope: str | None
    """None: any key may."""
    organization_id: UUID | None
    """Which one an access token asks for; a key has its own."""
    address: str | None
    agent: str | None


_Found = tuple[ApiKey, KeySecret, str, Organization, str | None, datetime, bytes | None]


class KeyRing:
    """Resolves credentials, remembering API keys by their hash."""

    def __init__(
        self,
        sessions: Sessions,
        signer: TokenSigner,
        peppers: Peppers,
        uses: KeyUses,
        *,
        vault: Vault,
        operators_need_second_factor: bool = False,
    ) -> None:
        self._person_keys = PersonKeys(vault)
        self._sessions = sessions
        self._signer = signer
        self._peppers = peppers
        self._uses = uses
        self._operators_need_second_factor = operators_need_second_factor
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()
        self._reading: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def authenticate(self, asking: Asking, *, fresh: bool = False) -> Caller:
        """Return the caller, or raise why the credential is not good for this; `fresh` reads the key again."""
        if not asking.credential.startswith("sk-"):
            return await self._authenticate_user(self._signer.read_access(asking.credential), asking.organization_id)
        if not is_well_formed(asking.credential):
            raise InvalidApiKey("The key is incomplete or mistyped: its checksum does not fit.")
        hashes = self._peppers.hashes(asking.credential)
        known = None if fresh else self._callers.get(hashes[0])
        young = known is not None and time.monotonic() - known.read_at < CACHED_SECONDS
        if known is not None and young and _find_refusal(known, asking) is None:
            return known
        caller = await self._read_once(hashes)
        if refusal := _find_refusal(caller, asking):
            raise refusal
        return caller

    async def use(self, asking: Asking) -> Caller:
        """Authenticate for something that has no admission: what is known is read afresh, and the use is noted."""
        caller = await self.authenticate(asking, fresh=True)
        if caller.key_id is not None:
            self._uses.note(
                Use(
                    organization_id=caller.organization_id,
                    key_id=caller.key_id,
                    used_at=datetime.now(UTC),
                    address=asking.address,
                    agent=asking.agent,
                )
            )
        return caller

    async def open(
        self, credential: str, *, scope: str, address: str | None, agent: str | None
    ) -> tuple[SignedIn, dict[str, str]]:
        """Let a key into the management API, as its owner but with its own rights."""
        caller = await self.use(
            Asking(credential=credential, scope=scope, organization_id=None, address=address, agent=agent)
        )
        user = SignedIn(
            user_id=caller.user_id,
            session_id=None,
            key_id=caller.key_id,
            rights=caller.rights,
            service=caller.service,
            email=f"key {caller.key_name}",
            role="user",
            organization_id=caller.organization_id,
            organization_role=caller.role,
        )
        return user, caller.announcements

    async def _read_once(self, hashes: list[bytes]) -> Caller:
        """Read the key, once for all who ask for it at the same time: by a read that began after each of them came."""
        came_at = time.monotonic()
        lock = self._reading.get(hashes[0])
        if lock is None:
            lock = self._reading[hashes[0]] = asyncio.Lock()
        async with lock:
            known = self._callers.get(hashes[0])
            return known if known is not None and known.read_at >= came_at else await self._read_key(hashes)

    async def _read_key(self, hashes: list[bytes]) -> Caller:
        began_at = time.monotonic()
        async with self._sessions.begin() as session:
            query = (
                select(
                    ApiKey, KeySecret, User.status, Organization, Membership.role, func.now(), PersonKey.key_encrypted
                )
                .join(
                    KeySecret, (KeySecret.organization_id == ApiKey.organization_id) & (KeySecret.key_id == ApiKey.id)
                )
                .join(User, User.id == ApiKey.user_id)
                .join(Organization, Organization.id == ApiKey.organization_id)
                .outerjoin(
                    Membership,
                    (Membership.user_id == ApiKey.user_id) & (Membership.organization_id == ApiKey.organization_id),
                )
                .outerjoin(PersonKey, PersonKey.user_id == ApiKey.user_id)
                .where(KeySecret.secret_hash.in_(hashes))
            )
            found = (await session.execute(query)).tuples().first()
            if found is not None and found[2] == "suspended" and await lift_what_is_over(session, found[0].user_id):
                found = (await session.execute(query)).tuples().first()
            try:
                caller = _judge(found, began_at)
            except (InvalidApiKey, KeyDisabled, OwnerSuspended):
                self._callers.pop(hashes[0], None)
                raise
            assert found is not None
            secret = found[1]
            person_key = self._open_person_key(caller.user_id, found[6])
            caller = msgspec.structs.replace(caller, person_key=person_key)
            if secret.secret_hash != hashes[0]:
                await session.execute(
                    update(KeySecret)
                    .where(KeySecret.id == secret.id, KeySecret.organization_id == secret.organization_id)
                    .values(secret_hash=hashes[0], pepper_version=self._peppers.newest.version)
                )
        self._callers[hashes[0]] = caller
        if len(self._callers) > CACHED_KEYS_MAX:
            self._callers.popitem(last=False)
        return caller

    async def _authenticate_user(self, token: AccessToken, organization_id: UUID | None) -> Caller:
        query = (
            select(
                Membership.organization_id,
                Membership.role,
                Organization.plan_id,
                User.role.label("operator_role"),
                has_second_factor().label("has_second_factor"),
                PersonKey.key_encrypted,
            )
            .join(Organization, Organization.id == Membership.organization_id)
            .join(User, User.id == Membership.user_id)
            .join(Session, Session.user_id == User.id)
            .outerjoin(PersonKey, PersonKey.user_id == User.id)
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
        if self._operators_need_second_factor and found.operator_role != "user" and not found.has_second_factor:
            raise SecondFactorRequired
        if not allows("models.call", organization_role=found.role, operator_role="user"):
            raise Forbidden("Your role in this organization may not call models.")
        return Caller(
            organization_id=found.organization_id,
            user_id=token.user_id,
            role=found.role,
            session_id=token.session_id,
            plan_id=found.plan_id,
            person_key=self._open_person_key(token.user_id, found.key_encrypted),
        )

    def _open_person_key(self, user_id: UUID, sealed: bytes | None) -> Vault | None:
        """Return None where there is none, or a root secret that is forgotten sealed it: calls work without."""
        with contextlib.suppress(ValueError):
            return None if sealed is None else self._person_keys.open_key(user_id, sealed)
        return None


def _judge(found: _Found | None, began_at: float) -> Caller:
    """Return whose key was found, or raise why it is not good."""
    if found is None:
        raise InvalidApiKey("The key is unknown, revoked or expired.")
    key, secret, user_status, organization, role, now, _ = found
    ends = [end for end in (key.expires_at, secret.expires_at) if end is not None]
    if key.revoked_at is not None or any(end <= now for end in ends):
        raise InvalidApiKey("The key is unknown, revoked or expired.")
    if organization.status != "active" or (user_status != "active" and not key.service):
        raise OwnerSuspended("The key's user or organization is suspended; ask the operator.")
    if key.service:
        role = ROLE_OF_SERVICE_KEYS
    if role is None:
        raise InvalidApiKey("The key's owner is no member of the organization any more.")
    if key.disabled_at is not None:
        raise KeyDisabled(f"The {key.disabled_by} disabled this key.", disabled_by=key.disabled_by)
    return Caller(
        organization_id=key.organization_id,
        user_id=key.user_id,
        role=role,
        service=key.service,
        plan_id=organization.plan_id,
        key_id=key.id,
        key_name=key.name,
        key_version=key.version,
        secret_id=secret.id,
        secret_expires_at=secret.expires_at,
        rights=rights_of(key),
        read_at=began_at,
    )


def _find_refusal(caller: Caller, asking: Asking) -> DomainError | None:
    """Return what of the caller's own rights stands against it."""
    rights = caller.rights
    if caller.secret_expires_at is not None and caller.secret_expires_at <= datetime.now(UTC):
        return InvalidApiKey("This secret was replaced by rotation, and its overlap is over.")
    if not allows_address(rights.cidrs, asking.address):
        return AddressNotAllowed(
            f"This key may not be used from {asking.address}.",
            address=asking.address,
            cidrs=sorted(rights.cidrs),
        )
    if (
        asking.scope is not None
        and asking.scope.startswith("inference")
        and not allows("models.call", organization_role=caller.role, operator_role="user")
    ):
        return Forbidden("The role of the key's owner does not allow calls of models any more.")
    if asking.scope is not None and not holds_scope(rights.scopes, asking.scope):
        return ScopeRequired(
            f"This needs the scope {asking.scope}; the key has {', '.join(sorted(rights.scopes)) or 'none'}.",
            scope=asking.scope,
            scopes=sorted(rights.scopes),
        )
    return None
