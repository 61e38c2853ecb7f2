"""Finding keys, and their states: disabled and enabled, revoked for good, deleted from lists while history stays."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.audit.sealing import PersonKeys, open_address
from operis_api.keys.errors import DisabledByOperator
from operis_api.keys.minting import refuse_revoked
from operis_api.kit.encryption import Vault
from operis_api.kit.errors import NotFound
from operis_api.limits.states import LimitState, list_states_of_keys
from operis_db.people import ApiKey, KeySecret, KeyUse, Organization, Spending, User


class KeyRow(msgspec.Struct, frozen=True):
    """A key with its owner, what was counted for it, and what is left of its limits."""

    key: ApiKey
    owner_email: str
    organization_name: str
    spent_nano: int
    requests: int
    errors: int
    last_used_at: datetime | None
    last_address: str | None
    last_agent: str | None
    last_model: str | None
    old_secret_expires_at: datetime | None
    states: list[LimitState]


class KeyFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator's list is narrowed to; None means all."""

    organization_id: UUID | None = None
    owner_id: UUID | None = None
    status: str | None = None
    search: str | None = None


async def list_keys(session: AsyncSession, filters: KeyFilters, *, before: UUID | None, limit: int) -> Sequence[KeyRow]:
    """Return keys that are not deleted, newest first, one more than `limit`."""
    query = _rows().where(ApiKey.deleted_at.is_(None), *_conditions(filters))
    if before is not None:
        query = query.where(ApiKey.id < before)
    rows = (await session.execute(query.order_by(ApiKey.id.desc()).limit(limit + 1))).all()
    states = await list_states_of_keys(session, [(row.ApiKey.organization_id, row.ApiKey.id) for row in rows])
    return await _open_addresses(session, [KeyRow(*row, states=states.get(row.ApiKey.id, [])) for row in rows])


async def read_key(session: AsyncSession, key_id: UUID, organization_id: UUID | None = None) -> KeyRow:
    """Return a key that is not deleted; without an organization, whosever it is: an operator's."""
    query = _rows().where(ApiKey.id == key_id, ApiKey.deleted_at.is_(None))
    if organization_id is not None:
        query = query.where(ApiKey.organization_id == organization_id)
    row = (await session.execute(query)).first()
    if row is None:
        raise NotFound(f"There is no key {key_id}.")
    key: ApiKey = row.ApiKey
    states = await list_states_of_keys(session, [(key.organization_id, key.id)])
    (shown,) = await _open_addresses(session, [KeyRow(*row, states=states.get(key.id, []))])
    return shown


async def _open_addresses(session: AsyncSession, rows: list[KeyRow]) -> list[KeyRow]:
    """Open what admission sealed for each key's user."""
    keys = PersonKeys(cast("Vault", session.info["vault"]))
    found = await keys.read(session, list({row.key.user_id for row in rows}))
    return [
        msgspec.structs.replace(row, last_address=open_address(found.get(row.key.user_id), row.last_address))
        for row in rows
    ]


async def lock_key(session: AsyncSession, key_id: UUID, organization_id: UUID | None = None) -> ApiKey:
    """Return the key with its row locked, so that its changes come one after the other."""
    query = select(ApiKey).where(ApiKey.id == key_id, ApiKey.deleted_at.is_(None)).with_for_update()
    if organization_id is not None:
        query = query.where(ApiKey.organization_id == organization_id)
    key = await session.scalar(query)
    if key is None:
        raise NotFound(f"There is no key {key_id}.")
    return key


def disable(key: ApiKey, *, by: str, reason: str | None = None) -> None:
    """Refuse the key's calls until it is enabled; what an operator disabled stays the operator's."""
    refuse_revoked(key)
    if key.disabled_at is None or by == "operator":
        key.disabled_at = key.disabled_at or datetime.now(UTC)
        key.disabled_by, key.reason = by, reason
        key.version += 1


def enable(key: ApiKey, *, by: str) -> None:
    refuse_revoked(key)
    if key.disabled_by == "operator" and by != "operator":
        raise DisabledByOperator("Ask the operator why, and to enable it.")
    if key.disabled_at is not None:
        key.disabled_at = key.disabled_by = key.reason = None
        key.version += 1


def revoke(key: ApiKey, *, reason: str | None = None) -> None:
    """Revoke the key; once revoked it stays so, and the first time counts."""
    if key.revoked_at is None:
        key.revoked_at = datetime.now(UTC)
        key.reason = reason or key.reason
        key.version += 1


async def revoke_keys(session: AsyncSession, organization_id: UUID, *, of: UUID | None = None) -> None:
    """Revoke the organization's keys, or those of one member; keys of the organization itself are no member's."""
    theirs = ApiKey.organization_id == organization_id, ApiKey.revoked_at.is_(None)
    if of is not None:
        theirs += ApiKey.user_id == of, ~ApiKey.service
    await session.execute(update(ApiKey).where(*theirs).values(revoked_at=func.now(), version=ApiKey.version + 1))


def forget(key: ApiKey) -> None:
    """Revoke the key and list it no more; the row stays, so that requests and audit still name it."""
    revoke(key)
    key.deleted_at = datetime.now(UTC)


def status_of(key: ApiKey) -> str:
    """Return active, disabled, expired or revoked: the strongest that holds."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return "expired"
    return "active" if key.disabled_at is None else "disabled"


def _conditions(filters: KeyFilters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if filters.organization_id is not None:
        found.append(ApiKey.organization_id == filters.organization_id)
    if filters.owner_id is not None:
        found.append(ApiKey.user_id == filters.owner_id)
    if filters.search:
        pattern = "%" + filters.search.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        names = (ApiKey.name, ApiKey.prefix, User.email, Organization.name)
        found.append(or_(*(name.ilike(pattern) for name in names)))
    living = ApiKey.revoked_at.is_(None)
    over = ApiKey.expires_at <= func.now()
    match filters.status:
        case "revoked":
            found.append(ApiKey.revoked_at.is_not(None))
        case "expired":
            found += [living, over]
        case "disabled":
            found += [living, over.is_not(True), ApiKey.disabled_at.is_not(None)]
        case "active":
            found += [living, over.is_not(True), ApiKey.disabled_at.is_(None)]
        case _:
            pass
    return found


def _rows():  # noqa: ANN202  # a typed SELECT of its columns says its type itself
    of_key = and_(Spending.organization_id == ApiKey.organization_id, Spending.subject_id == ApiKey.id)
    use_of_key = and_(KeyUse.organization_id == ApiKey.organization_id, KeyUse.key_id == ApiKey.id)
    called_last = func.coalesce(Spending.last_used_at >= KeyUse.last_used_at, KeyUse.last_used_at.is_(None))
    old_ends = (
        select(func.max(KeySecret.expires_at))
        .where(
            KeySecret.organization_id == ApiKey.organization_id,
            KeySecret.key_id == ApiKey.id,
            KeySecret.expires_at > func.now(),
        )
        .correlate(ApiKey)
        .scalar_subquery()
    )
    return (
        select(
            ApiKey,
            User.email,
            Organization.name,
            func.coalesce(Spending.spent_nano, 0),
            func.coalesce(Spending.requests, 0),
            func.coalesce(Spending.errors, 0),
            func.greatest(Spending.last_used_at, KeyUse.last_used_at),
            case((called_last, Spending.last_address), else_=KeyUse.last_address),
            case((called_last, Spending.last_agent), else_=KeyUse.last_agent),
            Spending.last_model,
            old_ends,
        )
        .join(User, User.id == ApiKey.user_id)
        .join(Organization, Organization.id == ApiKey.organization_id)
        .outerjoin(Spending, of_key)
        .outerjoin(KeyUse, use_of_key)
    )
