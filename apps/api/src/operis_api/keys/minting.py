"""Minting, narrowing and rotating keys. Each change raises the key's version, which admission compares."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.rights import SCOPES, Rights, find_excess, read_network
from operis_api.keys.errors import BeyondOwnRights, KeyRevoked, TooManyKeys, TooManySecrets
from operis_api.keys.secret import SHOWN_CHARACTERS, Peppers, new_secret
from operis_api.kit.errors import InvalidField
from operis_api.kit.ids import new_id
from operis_api.kit.moments import check_moment
from operis_api.limits.fields import LimitsBody, set_limits
from operis_db.people import ApiKey, KeySecret

KEYS_MAX = 500
NAME_CHARACTERS_MAX = 80
MODELS_MAX = 200
NETWORKS_MAX = 100
SECRETS_MAX = 5
"""Of one key in force at a time: the newest, and old ones in their overlap."""
SECRETS_KEPT = timedelta(days=90)
"""After their end: a leak of one that is over is still known as ours."""
SCOPES_DEFAULT = ["inference", "models"]
_SAMPLE = "inference, inference:chat, models, usage, billing:read, keys"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is to be, checked."""

    name: str
    scopes: list[str]
    models: list[str]
    cidrs: list[str]
    expires_at: datetime | None
    service: bool
    limits: LimitsBody


async def mint_key(
    session: AsyncSession, *, organization_id: UUID, user_id: UUID, wish: Wish, peppers: Peppers
) -> tuple[ApiKey, str]:
    """Return a new key and its secret, which is not stored; raises `TooManyKeys`."""
    # One mint of an organization after the other: two that count at once must not both be the last.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"keys/{organization_id}", 0))))
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
        name=wish.name,
        scopes=wish.scopes,
        models=wish.models,
        cidrs=wish.cidrs,
        expires_at=wish.expires_at,
        prefix="",
        last_four="",
        version=1,
        service=wish.service,
        created_at=datetime.now(UTC),
    )
    set_limits(key, wish.limits)
    session.add(key)
    await session.flush()
    await _add_secret(session, key, secret, peppers)
    return key, secret


async def rotate_key(session: AsyncSession, key: ApiKey, *, overlap: timedelta, peppers: Peppers) -> str:
    """Give the key a new secret and return it; every earlier one ends when the overlap does, or sooner."""
    refuse_revoked(key)
    own = (KeySecret.organization_id == key.organization_id, KeySecret.key_id == key.id)
    living = or_(KeySecret.expires_at.is_(None), KeySecret.expires_at > func.now())
    in_force = await session.scalar(select(func.count()).where(*own, living))
    if overlap and (in_force or 0) >= SECRETS_MAX:
        raise TooManySecrets(
            "Wait until one has ended, or rotate with an overlap of 0s, which ends them all.", limit=SECRETS_MAX
        )
    # least() ignores nulls: the newest, which has no end yet, gets this one.
    ends = func.least(KeySecret.expires_at, func.now() + overlap)
    await session.execute(
        update(KeySecret).where(*own).values(expires_at=ends).execution_options(synchronize_session=False)
    )
    await session.execute(
        delete(KeySecret)
        .where(*own, KeySecret.expires_at < func.now() - SECRETS_KEPT)
        .execution_options(synchronize_session=False)
    )
    secret = new_secret()
    await _add_secret(session, key, secret, peppers)
    key.version += 1
    return secret


def refuse_revoked(key: ApiKey) -> None:
    if key.revoked_at is not None:
        raise KeyRevoked("Mint another: a revoked key never comes back.")


def refuse_excess(own: Rights, wanted: Rights) -> None:
    """Raise `BeyondOwnRights` where somebody would give away, or lay hands on, more than they have."""
    if excess := find_excess(wanted, own):
        raise BeyondOwnRights(f"The key's {excess} would go beyond your own rights.", field=excess)


def rights_of(key: ApiKey) -> Rights:
    return Rights(
        scopes=frozenset(key.scopes),
        models=frozenset(key.models),
        cidrs=frozenset(key.cidrs),
        expires_at=key.expires_at,
        limits=(
            key.budget_nano,
            key.budget_daily_nano,
            key.budget_weekly_nano,
            key.budget_monthly_nano,
            key.rpm,
            key.tpm,
            key.concurrency,
        ),
    )


def clean_scopes(scopes: list[str]) -> list[str]:
    """Return the scopes without those that another one holds already."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise InvalidField("scopes", f"name some of the documented scopes, like {_SAMPLE}.")
    return sorted({scope for scope in scopes if ":" not in scope or scope.partition(":")[0] not in scopes})


def clean_models(models: list[str]) -> list[str]:
    if len(models) > MODELS_MAX or any(not 0 < len(model) <= 128 or "*" in model[:-1] for model in models):
        raise InvalidField(
            "models",
            f"name up to {MODELS_MAX} models, or beginnings with a * behind like openai/*; empty allows all.",
        )
    return sorted(set(models))


def clean_networks(cidrs: list[str]) -> list[str]:
    if len(cidrs) > NETWORKS_MAX:
        raise InvalidField("cidrs", f"name up to {NETWORKS_MAX} networks.")
    try:
        return [str(network) for network in sorted({read_network(cidr) for cidr in cidrs}, key=str)]
    except ValueError as error:
        raise InvalidField("cidrs", f"write networks like 203.0.113.0/24 or 2001:db8::/32 ({error}).") from None


def clean_expiry(expires_at: datetime | None) -> datetime | None:
    if expires_at is None:
        return None
    moment = check_moment("expires_at", expires_at)
    if moment <= datetime.now(UTC):
        raise InvalidField("expires_at", "this is in the past.")
    return moment


async def _add_secret(session: AsyncSession, key: ApiKey, secret: str, peppers: Peppers) -> None:
    key.prefix, key.last_four = secret[:SHOWN_CHARACTERS], secret[-4:]
    session.add(
        KeySecret(
            organization_id=key.organization_id,
            id=new_id(),
            key_id=key.id,
            secret_hash=peppers.newest.hash(secret),
            pepper_version=peppers.newest.version,
            prefix=key.prefix,
            last_four=key.last_four,
        )
    )
    await session.flush()
