"""API keys of the active organization."""

from datetime import UTC, datetime
from typing import Literal, cast
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.audit.recording import record_event
from operis_api.keys.minting import (
    KeyRow,
    clean_expiry,
    clean_models,
    clean_name,
    list_keys,
    lock_key,
    mint_key,
    read_key,
    revoke,
)
from operis_api.keys.schemas import ApiKey, MintBody, MintedKey, UpdateKeyBody
from operis_api.kit.encryption import Vault
from operis_api.kit.idempotency import IdempotencyKey, Replay, read_body
from operis_api.kit.lists import After, Limit
from operis_api.kit.money import format_nano
from operis_api.kit.origin import AnyRequest
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page


@get("/", opt={"permission": "keys.view"}, operation_id="list_keys")
async def list_all(
    identity: Identity, session: AsyncSession, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[ApiKey]:
    """List the organization's keys, newest first; revoked ones stay listed."""
    before = decode_cursor(after, UUID) if after else None
    rows = await list_keys(session, identity.organization_id, before=before, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.key.id, item=_api_key)


@post(
    "/",
    opt={"permission": "keys.edit"},
    operation_id="mint_key",
    response_description="The key with its secret, shown once",
)
async def mint(
    request: AnyRequest,
    identity: Identity,
    state: State,
    session: AsyncSession,
    data: JSONBody[MintBody],
    idempotency_key: IdempotencyKey = None,
) -> Response[MintedKey]:
    """Mint a key. Its secret is in this answer and nowhere else."""
    replay = Replay(
        session,
        cast("Vault", state["vault"]),
        user_id=identity.user_id,
        operation="mint_key",
        key=idempotency_key,
    )
    if kept := await replay.answer(await read_body(request)):
        return cast("Response[MintedKey]", kept)
    key, secret = await mint_key(
        session,
        organization_id=identity.organization_id,
        user_id=identity.user_id,
        name=data.name,
        models=data.models,
        expires_at=data.expires_at,
        pepper=cast("bytes", state["pepper"]),
    )
    record_event(
        session,
        identity.origin,
        action="key.mint",
        target=("key", key.id),
        organization_id=identity.organization_id,
        after={"name": key.name, "prefix": key.prefix},
    )
    minted = MintedKey(key=_api_key(KeyRow(key, identity.email, 0, 0, None)), secret=secret)
    return cast("Response[MintedKey]", replay.keep(201, minted))


@get("/{key_id:uuid}", opt={"permission": "keys.view"}, operation_id="get_key")
async def get_one(identity: Identity, session: AsyncSession, key_id: FromPath[UUID]) -> ApiKey:
    """Return one key."""
    return _api_key(await read_key(session, identity.organization_id, key_id))


@patch("/{key_id:uuid}", opt={"permission": "keys.edit"}, operation_id="update_key")
async def update(
    identity: Identity, session: AsyncSession, key_id: FromPath[UUID], data: JSONBody[UpdateKeyBody]
) -> ApiKey:
    """Change a key's name, models or expiry; in force for the next call."""
    key = await lock_key(session, identity.organization_id, key_id)
    before = {"name": key.name, "models": ",".join(key.models), "expires_at": str(key.expires_at)}
    if data.name is not UNSET:
        key.name = clean_name(data.name)
    if data.models is not UNSET:
        key.models = clean_models(data.models)
    if data.expires_at is not UNSET:
        key.expires_at = clean_expiry(data.expires_at)
    key.version += 1
    record_event(
        session,
        identity.origin,
        action="key.update",
        target=("key", key.id),
        organization_id=identity.organization_id,
        before=cast("dict[str, str | int | bool | None]", before),
        after={"name": key.name, "models": ",".join(key.models), "expires_at": str(key.expires_at)},
    )
    await session.flush()
    return _api_key(await read_key(session, identity.organization_id, key_id))


@delete("/{key_id:uuid}", opt={"permission": "keys.edit"}, operation_id="revoke_key")
async def revoke_one(identity: Identity, session: AsyncSession, key_id: FromPath[UUID]) -> None:
    """Revoke a key for good; from the answer on its calls are refused. Its history stays."""
    key = await lock_key(session, identity.organization_id, key_id)
    revoke(key)
    record_event(
        session,
        identity.origin,
        action="key.revoke",
        target=("key", key.id),
        organization_id=identity.organization_id,
    )


def _api_key(row: KeyRow) -> ApiKey:
    key, now = row.key, datetime.now(UTC)
    status: Literal["active", "expired", "revoked"] = "active"
    if key.revoked_at is not None:
        status = "revoked"
    elif key.expires_at is not None and key.expires_at <= now:
        status = "expired"
    return ApiKey(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        last_four=key.last_four,
        status=status,
        models=list(key.models),
        owner_email=row.owner_email,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=row.last_used_at,
        spent=format_nano(row.spent_nano),
        requests=row.requests,
    )


router = Router("/keys", route_handlers=[list_all, mint, get_one, update, revoke_one], tags=["keys"])
