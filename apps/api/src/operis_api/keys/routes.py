"""API keys of the active organization, for its members and for keys with the scope `keys`."""

from datetime import timedelta
from typing import cast
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.access.rights import Rights
from operis_api.audit.recording import record_event
from operis_api.keys.changing import KeyFilters, disable, enable, forget, list_keys, lock_key, read_key, revoke
from operis_api.keys.minting import (
    NAME_CHARACTERS_MAX,
    SCOPES_DEFAULT,
    Wish,
    clean_expiry,
    clean_models,
    clean_networks,
    clean_scopes,
    mint_key,
    refuse_excess,
    rights_of,
    rotate_key,
)
from operis_api.keys.presenting import show_key
from operis_api.keys.schemas import ApiKey, MintBody, MintedKey, RotateBody, UpdateKeyBody
from operis_api.keys.secret import Peppers
from operis_api.kit.encryption import Vault
from operis_api.kit.errors import Forbidden
from operis_api.kit.idempotency import IdempotencyKey, Replay, read_body
from operis_api.kit.lists import After, Limit
from operis_api.kit.naming import clean_name
from operis_api.kit.origin import AnyRequest
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.limits.fields import limit_facts, set_limits
from operis_db import people

MAY_MANAGE_ALL = {"owner", "admin"}
OVERLAPS = {
    "0s": timedelta(0),
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
READS = {"permission": "keys.view", "scope": "keys:read"}
WRITES = {"permission": "keys.edit", "scope": "keys:write"}


@get("/", operation_id="list_keys", opt=READS)
async def list_all(
    identity: Identity, session: AsyncSession, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[ApiKey]:
    """List the organization's keys, newest first; revoked ones stay listed until they are deleted."""
    before = decode_cursor(after, UUID) if after else None
    filters = KeyFilters(organization_id=identity.organization_id)
    rows = await list_keys(session, filters, before=before, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.key.id, item=show_key)


@post("/", operation_id="mint_key", opt=WRITES, response_description="The key with its secret, shown once")
async def mint(
    request: AnyRequest,
    identity: Identity,
    state: State,
    session: AsyncSession,
    data: JSONBody[MintBody],
    idempotency_key: IdempotencyKey = None,
) -> Response[MintedKey]:
    """Mint a key. Its secret is in this answer and nowhere else."""
    replay = _replay(session, state, identity, "mint_key", idempotency_key)
    if kept := await replay.answer(await read_body(request)):
        return cast("Response[MintedKey]", kept)
    wish = Wish(
        name=clean_name(data.name, characters_max=NAME_CHARACTERS_MAX),
        scopes=SCOPES_DEFAULT if data.scopes is UNSET else clean_scopes(data.scopes),
        models=clean_models(data.models),
        cidrs=clean_networks(data.cidrs),
        expires_at=clean_expiry(data.expires_at),
        service=_shall_serve(identity, wanted=data.service),
        limits=data,
    )
    key, secret = await mint_key(
        session,
        organization_id=identity.organization_id,
        user_id=identity.user_id,
        wish=wish,
        peppers=cast("Peppers", state["peppers"]),
    )
    refuse_excess(identity.rights, rights_of(key))
    _record(session, identity, "key.mint", key, after=_state_of(key))
    return cast("Response[MintedKey]", replay.keep(201, await _minted(session, key, secret)))


@get("/{key_id:uuid}", operation_id="get_key", opt=READS)
async def get_one(identity: Identity, session: AsyncSession, key_id: FromPath[UUID]) -> ApiKey:
    """Return one key."""
    return show_key(await read_key(session, key_id, identity.organization_id))


@patch("/{key_id:uuid}", operation_id="update_key", opt=WRITES)
async def update(
    identity: Identity, session: AsyncSession, key_id: FromPath[UUID], data: JSONBody[UpdateKeyBody]
) -> ApiKey:
    """Change a key's name or what it may do; in force for the next call."""
    key = await lock_key(session, key_id, identity.organization_id)
    own = _reach(identity, key)
    before = _state_of(key)
    if data.name is not UNSET:
        key.name = clean_name(data.name, characters_max=NAME_CHARACTERS_MAX)
    if data.scopes is not UNSET:
        key.scopes = clean_scopes(data.scopes)
    if data.models is not UNSET:
        key.models = clean_models(data.models)
    if data.cidrs is not UNSET:
        key.cidrs = clean_networks(data.cidrs)
    if data.expires_at is not UNSET:
        key.expires_at = clean_expiry(data.expires_at)
    set_limits(key, data)
    refuse_excess(own, rights_of(key))
    key.version += 1
    _record(session, identity, "key.update", key, before=before, after=_state_of(key))
    return await _shown(session, key)


@post(
    "/{key_id:uuid}/rotate", operation_id="rotate_key", opt=WRITES, response_description="The key with its new secret"
)
async def rotate(
    request: AnyRequest,
    identity: Identity,
    state: State,
    session: AsyncSession,
    key_id: FromPath[UUID],
    data: JSONBody[RotateBody],
    idempotency_key: IdempotencyKey = None,
) -> Response[MintedKey]:
    """Give the key a new secret. The old one works on for the overlap, and its answers announce its end."""
    replay = _replay(session, state, identity, "rotate_key", idempotency_key)
    if kept := await replay.answer(await read_body(request)):
        return cast("Response[MintedKey]", kept)
    key = await lock_key(session, key_id, identity.organization_id)
    _reach(identity, key)
    if (key.service or key.user_id != identity.user_id) and identity.organization_role not in MAY_MANAGE_ALL:
        raise Forbidden("The secret of another member's key is for its owner and for administrators.")
    secret = await rotate_key(session, key, overlap=OVERLAPS[data.overlap], peppers=cast("Peppers", state["peppers"]))
    _record(session, identity, "key.rotate", key, after={"prefix": key.prefix, "overlap": data.overlap})
    return cast("Response[MintedKey]", replay.keep(201, await _minted(session, key, secret)))


@post("/{key_id:uuid}/disable", operation_id="disable_key", opt=WRITES, status_code=200)
async def disable_one(identity: Identity, session: AsyncSession, key_id: FromPath[UUID]) -> ApiKey:
    """Refuse the key's calls until it is enabled again; running streams end."""
    key = await lock_key(session, key_id, identity.organization_id)
    disable(key, by="organization")
    _record(session, identity, "key.disable", key)
    return await _shown(session, key)


@post("/{key_id:uuid}/enable", operation_id="enable_key", opt=WRITES, status_code=200)
async def enable_one(identity: Identity, session: AsyncSession, key_id: FromPath[UUID]) -> ApiKey:
    """Let a disabled key work again."""
    key = await lock_key(session, key_id, identity.organization_id)
    _reach(identity, key)
    enable(key, by="organization")
    _record(session, identity, "key.enable", key)
    return await _shown(session, key)


@post("/{key_id:uuid}/revoke", operation_id="revoke_key", opt=WRITES, status_code=200)
async def revoke_one(identity: Identity, session: AsyncSession, key_id: FromPath[UUID]) -> ApiKey:
    """Revoke a key for good; from the answer on its calls are refused and its running streams end."""
    key = await lock_key(session, key_id, identity.organization_id)
    revoke(key)
    _record(session, identity, "key.revoke", key)
    return await _shown(session, key)


@delete("/{key_id:uuid}", operation_id="delete_key", opt=WRITES)
async def delete_one(identity: Identity, session: AsyncSession, key_id: FromPath[UUID]) -> None:
    """Revoke a key and list it no more. Requests and usage go on to name it."""
    key = await lock_key(session, key_id, identity.organization_id)
    forget(key)
    _record(session, identity, "key.delete", key)


def _shall_serve(identity: Identity, *, wanted: bool) -> bool:
    """Tell whether a new key shall be the organization's own: where it is wanted, and always where such a key asks."""
    if wanted and identity.organization_role not in MAY_MANAGE_ALL:
        raise Forbidden("Service keys are for owners and administrators of the organization.")
    return wanted or identity.service


def _reach(identity: Identity, key: people.ApiKey) -> Rights:
    """Return the rights of who asks, which the key's may not exceed: it would be a way to more."""
    refuse_excess(identity.rights, rights_of(key))
    return identity.rights


def _replay(
    session: AsyncSession, state: State, identity: Identity, operation: str, idempotency_key: str | None
) -> Replay:
    vault = cast("Vault", state["vault"])
    return Replay(session, vault, user_id=identity.credential_owner, operation=operation, key=idempotency_key)


def _record(
    session: AsyncSession,
    identity: Identity,
    action: str,
    key: people.ApiKey,
    *,
    before: dict[str, str | int | bool | None] | None = None,
    after: dict[str, str | int | bool | None] | None = None,
) -> None:
    record_event(
        session,
        identity.origin,
        action=action,
        target=("key", key.id),
        organization_id=key.organization_id,
        before=before,
        after=after,
    )


def _state_of(key: people.ApiKey) -> dict[str, str | int | bool | None]:
    """Return what the audit log keeps of a key."""
    return {
        "name": key.name,
        "prefix": key.prefix,
        "scopes": ",".join(key.scopes),
        "models": ",".join(key.models),
        "cidrs": ",".join(key.cidrs),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "service": key.service,
        **limit_facts(key),
    }


async def _shown(session: AsyncSession, key: people.ApiKey) -> ApiKey:
    await session.flush()
    return show_key(await read_key(session, key.id, key.organization_id))


async def _minted(session: AsyncSession, key: people.ApiKey, secret: str) -> MintedKey:
    return MintedKey(key=await _shown(session, key), secret=secret)


router = Router(
    "/keys",
    route_handlers=[
        list_all,
        mint,
        get_one,
        update,
        rotate,
        disable_one,
        enable_one,
        revoke_one,
        delete_one,
    ],
    tags=["keys"],
)
