"""Minting, changing and revoking keys. Each change raises the key's version, which admission compares."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.keys.errors import TooManyKeys
from operis_api.keys.secret import SHOWN_CHARACTERS, hash_secret, new_secret
from operis_api.kit.errors import InvalidField, NotFound
from operis_api.kit.ids import new_id
from operis_api.kit.moments import check_moment
from operis_db.people import ApiKey, Spending, User

KEYS_MAX = 500
NAME_CHARACTERS_MAX = 80
MODELS_MAX = 200


class KeyRow(msgspec.Struct, frozen=True):
    """A key with its owner's address and what settlement has counted for it."""

    key: ApiKey
    owner_email: str
    spent_nano: int
    requests: int
    last_used_at: datetime | None


async def mint_key(
    session: AsyncSession,
    *,
    organization_id: UUID,
    user_id: UUID,
    name: str,
    models: list[str],
    expires_at: datetime | None,
    pepper: bytes,
) -> tuple[ApiKey, str]:
    """Return a new key and its secret, which is not stored; raises `TooManyKeys` or `InvalidField`."""
    active = await session.scalar(
        select(func.count()).where(ApiKey.organization_id == organization_id, ApiKey.revoked_at.is_(None))
    )
    if (active or 0) >= KEYS_MAX:
        raise TooManyKeys(f"Revoke one first: an organization may have {KEYS_MAX}.", limit=KEYS_MAX)
    secret = new_secret()
    key = ApiKey(
        organization_id=organization_id,
        id=new_id(),
        user_id=user_id,
        name=clean_name(name),
        secret_hash=hash_secret(secret, pepper),
        prefix=secret[:SHOWN_CHARACTERS],
        last_four=secret[-4:],
        models=clean_models(models),
        version=1,
        created_at=datetime.now(UTC),
        expires_at=clean_expiry(expires_at),
    )
    session.add(key)
    await session.flush()
    return key, secret


async def list_keys(
    session: AsyncSession, organization_id: UUID, *, before: UUID | None, limit: int
) -> Sequence[KeyRow]:
    """Return the organization's keys, newest first, one more than `limit`."""
    query = _rows(organization_id).order_by(ApiKey.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(ApiKey.id < before)
    return [KeyRow(*row) for row in await session.execute(query)]


async def read_key(session: AsyncSession, organization_id: UUID, key_id: UUID) -> KeyRow:
    row = (await session.execute(_rows(organization_id).where(ApiKey.id == key_id))).first()
    if row is None:
        raise NotFound(f"There is no key {key_id} in this organization.")
    return KeyRow(*row)


async def lock_key(session: AsyncSession, organization_id: UUID, key_id: UUID) -> ApiKey:
    key = await session.get(ApiKey, (organization_id, key_id), with_for_update=True)
    if key is None:
        raise NotFound(f"There is no key {key_id} in this organization.")
    return key


def revoke(key: ApiKey) -> None:
    """Revoke the key; once revoked it stays so, and the first time counts."""
    if key.revoked_at is None:
        key.revoked_at = datetime.now(UTC)
        key.version += 1


async def revoke_keys(session: AsyncSession, organization_id: UUID, *, of: UUID | None = None) -> None:
    """Revoke the organization's keys, or those of one member; keys of the organization itself are no member's."""
    theirs = ApiKey.organization_id == organization_id, ApiKey.revoked_at.is_(None)
    if of is not None:
        theirs += ApiKey.user_id == of, ~ApiKey.service
    await session.execute(update(ApiKey).where(*theirs).values(revoked_at=func.now(), version=ApiKey.version + 1))


def clean_name(name: str) -> str:
    shown = " ".join(name.split())
    if not 0 < len(shown) <= NAME_CHARACTERS_MAX or not shown.isprintable():
        raise InvalidField("name", f"use 1 to {NAME_CHARACTERS_MAX} printable characters.")
    return shown


def clean_models(models: list[str]) -> list[str]:
    if len(models) > MODELS_MAX or any(not 0 < len(model) <= 128 for model in models):
        raise InvalidField("models", f"name up to {MODELS_MAX} models; leave the list empty to allow all.")
    return sorted(set(models))


def clean_expiry(expires_at: datetime | None) -> datetime | None:
    if expires_at is None:
        return None
    moment = check_moment("expires_at", expires_at)
    if moment <= datetime.now(UTC):
        raise InvalidField("expires_at", "this is in the past.")
    return moment


def _rows(organization_id: UUID):  # noqa: ANN202  # a typed SELECT of five columns says its type itself
    spending = (Spending.organization_id == ApiKey.organization_id) & (Spending.subject_id == ApiKey.id)
    return (
        select(
            ApiKey,
            User.email,
            func.coalesce(Spending.spent_nano, 0),
            func.coalesce(Spending.requests, 0),
            Spending.last_used_at,
        )
        .join(User, User.id == ApiKey.user_id)
        .outerjoin(Spending, spending)
        .where(ApiKey.organization_id == organization_id)
    )
