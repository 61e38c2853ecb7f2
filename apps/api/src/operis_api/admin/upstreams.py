"""Upstreams, for operators. Their credentials go in and never come out."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, cast
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.errors import NameTaken, UpstreamFixed
from operis_api.admin.schemas import (
    AddUpstreamKeyBody,
    CreateUpstreamBody,
    UpdateUpstreamBody,
    Upstream,
    UpstreamHealth,
    UpstreamKey,
    UpstreamTest,
)
from operis_api.audit.recording import record_event
from operis_api.catalog.offers import open_api_key, seal_api_key, seal_pool_key, touch_catalog
from operis_api.gateway.upstreams import AttemptFailed
from operis_api.gateway.upstreams.http import HttpProtocol
from operis_api.kit.encryption import Vault
from operis_api.kit.errors import InvalidField, NotFound
from operis_api.kit.idempotency import IdempotencyKey, Replay, read_body
from operis_api.kit.ids import new_id
from operis_api.kit.naming import clean_name
from operis_api.kit.network import check_host, check_url
from operis_api.kit.origin import AnyRequest
from operis_api.kit.paging import Page
from operis_api.kit.sessions import Sessions
from operis_api.settings import Settings
from operis_db import catalog as tables

NAME_CHARACTERS_MAX = 80
LISTED_MODELS_MAX = 100
UPSTREAMS_SHOWN_MAX = 1000
FURTHER_KEYS_MAX = 100
LAST_FOUR_OF_MIN = 12
"""Of a shorter credential the last four characters would say too much; nothing of it is shown."""


@get("/upstreams", opt={"permission": "admin.upstreams.view"}, operation_id="list_upstreams")
async def list_upstreams(session: AsyncSession) -> Page[Upstream]:
    """List all upstreams by name."""
    rows = await session.scalars(select(tables.Upstream).order_by(tables.Upstream.name).limit(UPSTREAMS_SHOWN_MAX))
    return Page(items=await _show(session, rows.all()))


@post("/upstreams", opt={"permission": "admin.upstreams.edit"}, operation_id="create_upstream")
async def create_upstream(
    request: AnyRequest,
    identity: Identity,
    state: State,
    session: AsyncSession,
    data: JSONBody[CreateUpstreamBody],
    idempotency_key: IdempotencyKey = None,
) -> Response[Upstream]:
    """Add an upstream. Its address is refused unless it is public or in OPERIS_UPSTREAM_ALLOWED_NETWORKS."""
    address = await _check_address(state, data.base_url)  # asks the name server: before the transaction begins
    vault = cast("Vault", state["vault"])
    replay = Replay(session, vault, user_id=identity.user_id, operation="create_upstream", key=idempotency_key)
    if kept := await replay.answer(await read_body(request)):
        return cast("Response[Upstream]", kept)
    await touch_catalog(session)
    upstream_id, api_key = new_id(), _clean_api_key(data.api_key)
    row = tables.Upstream(
        id=upstream_id,
        name=clean_name(data.name, characters_max=NAME_CHARACTERS_MAX),
        protocol=data.protocol,
        base_url=address,
        api_key_encrypted=seal_api_key(vault, upstream_id, api_key),
        api_key_last_four=_last_four(api_key),
        enabled=True,
    )
    session.add(row)
    await _flush_named(session)
    await session.refresh(row)
    record_event(
        session,
        identity.origin,
        action="upstream.create",
        target=("upstream", upstream_id),
        after={"name": row.name, "base_url": row.base_url, "api_key_last_four": row.api_key_last_four},
    )
    return cast("Response[Upstream]", replay.keep(201, (await _show(session, [row]))[0]))


@patch("/upstreams/{upstream_id:uuid}", opt={"permission": "admin.upstreams.edit"}, operation_id="update_upstream")
async def update_upstream(
    identity: Identity,
    state: State,
    session: AsyncSession,
    upstream_id: FromPath[UUID],
    data: JSONBody[UpdateUpstreamBody],
) -> Upstream:
    """Change an upstream; in force for the next call. A new address needs the credential again."""
    address = data.base_url if data.base_url is UNSET else await _check_address(state, data.base_url)
    await touch_catalog(session)
    row = await _read(session, upstream_id)
    if row.protocol == "echo" and not (data.name is UNSET and data.base_url is UNSET and data.api_key is UNSET):
        raise UpstreamFixed("The built-in echo can be disabled, nothing else.")
    before = {"name": row.name, "base_url": row.base_url, "enabled": row.enabled}
    if data.name is not UNSET:
        row.name = clean_name(data.name, characters_max=NAME_CHARACTERS_MAX)
    if address is not UNSET:
        if address != row.base_url and data.api_key is UNSET:
            raise InvalidField("api_key", "send the credential with a new base_url; the stored one stays where it was.")
        if address != row.base_url and await _list_keys(session, [row.id]):
            raise InvalidField("base_url", "remove the further keys first; they belong to the old address.")
        row.base_url = address
    if data.api_key is not UNSET:
        api_key = _clean_api_key(data.api_key)
        row.api_key_encrypted = seal_api_key(cast("Vault", state["vault"]), row.id, api_key)
        row.api_key_last_four = _last_four(api_key)
    if data.enabled is not UNSET:
        row.enabled = data.enabled
    await _flush_named(session)
    record_event(
        session,
        identity.origin,
        action="upstream.update",
        target=("upstream", upstream_id),
        before=cast("dict[str, str | int | bool | None]", before),
        after={"name": row.name, "base_url": row.base_url, "enabled": row.enabled},
    )
    return (await _show(session, [row]))[0]


@post("/upstreams/{upstream_id:uuid}/keys", opt={"permission": "admin.upstreams.edit"}, operation_id="add_upstream_key")
async def add_upstream_key(
    identity: Identity,
    state: State,
    session: AsyncSession,
    upstream_id: FromPath[UUID],
    data: JSONBody[AddUpstreamKeyBody],
) -> Upstream:
    """Give an upstream a further credential. Calls are spread over all of them; one that is limited rests alone."""
    await touch_catalog(session)
    row = await _read(session, upstream_id)
    if row.protocol == "echo":
        raise UpstreamFixed("The built-in echo has no credential.")
    if len(await _list_keys(session, [upstream_id])) >= FURTHER_KEYS_MAX:
        raise InvalidField("api_key", f"an upstream may have {FURTHER_KEYS_MAX} further keys; remove one first.")
    key_id, api_key = new_id(), _clean_api_key(data.api_key)
    session.add(
        tables.UpstreamKey(
            id=key_id,
            upstream_id=upstream_id,
            api_key_encrypted=seal_pool_key(cast("Vault", state["vault"]), upstream_id, key_id, api_key),
            api_key_last_four=_last_four(api_key),
        )
    )
    record_event(
        session,
        identity.origin,
        action="upstream.add_key",
        target=("upstream", upstream_id),
        after={"key_id": str(key_id), "api_key_last_four": _last_four(api_key)},
    )
    await session.flush()
    return (await _show(session, [row]))[0]


@delete(
    "/upstreams/{upstream_id:uuid}/keys/{key_id:uuid}",
    opt={"permission": "admin.upstreams.edit"},
    status_code=200,
    operation_id="remove_upstream_key",
)
async def remove_upstream_key(
    identity: Identity, session: AsyncSession, upstream_id: FromPath[UUID], key_id: FromPath[UUID]
) -> Upstream:
    """Take a further credential away; in force for the next call."""
    await touch_catalog(session)
    row = await _read(session, upstream_id)
    key = await session.get(tables.UpstreamKey, key_id)
    if key is None or key.upstream_id != upstream_id:
        raise NotFound(f"The upstream has no key {key_id}.")
    await session.delete(key)
    record_event(
        session,
        identity.origin,
        action="upstream.remove_key",
        target=("upstream", upstream_id),
        before={"key_id": str(key_id), "api_key_last_four": key.api_key_last_four},
    )
    await session.flush()
    return (await _show(session, [row]))[0]


@post(
    "/upstreams/{upstream_id:uuid}/test",
    opt={"permission": "admin.upstreams.edit"},
    status_code=200,
    operation_id="test_upstream",
)
async def test_upstream(state: State, upstream_id: FromPath[UUID]) -> UpstreamTest:
    """Ask the upstream for its models now, with its stored credential."""
    async with cast("Sessions", state["sessions"])() as session:  # no transaction spans the call
        row = await _read(session, upstream_id)
    if row.protocol == "echo":
        return UpstreamTest(ok=True, status=200, latency_ms=0, error=None, models=["echo"])
    began_at = time.monotonic()
    api_key = open_api_key(cast("Vault", state["vault"]), row)
    try:
        protocol = cast("Mapping[str, HttpProtocol]", state["protocols"])[row.protocol]
        models = await protocol.list_models(row.base_url, api_key)
    except AttemptFailed as failure:
        note = failure.note.replace(api_key, "[removed]")  # some servers quote the credential they refuse
        return UpstreamTest(ok=False, status=failure.status, latency_ms=_since(began_at), error=note, models=[])
    return UpstreamTest(ok=True, status=200, latency_ms=_since(began_at), error=None, models=models[:LISTED_MODELS_MAX])


async def _read(session: AsyncSession, upstream_id: UUID) -> tables.Upstream:
    row = await session.get(tables.Upstream, upstream_id)
    if row is None:
        raise NotFound(f"There is no upstream {upstream_id}.")
    return row


async def _check_address(state: State, base_url: str) -> str:
    settings = cast("Settings", state["settings"])
    networks = settings.upstream_allowed_networks
    address = check_url("base_url", base_url, networks, https_only=False)
    await check_host("base_url", address, networks)
    return address


async def _flush_named(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError:
        raise NameTaken("Choose another name.", field="name") from None


def _clean_api_key(api_key: str) -> str:
    found = api_key.strip()
    if not 1 <= len(found) <= 1000 or not found.isascii() or not found.isprintable():
        raise InvalidField("api_key", "use 1 to 1000 printable ASCII characters.")
    return found


def _last_four(api_key: str) -> str:
    return api_key[-4:] if len(api_key) >= LAST_FOUR_OF_MIN else ""


def _since(began_at: float) -> int:
    return round((time.monotonic() - began_at) * 1000)


async def _list_keys(session: AsyncSession, upstream_ids: Sequence[UUID]) -> Sequence[tables.UpstreamKey]:
    query = select(tables.UpstreamKey).where(tables.UpstreamKey.upstream_id.in_(upstream_ids))
    return (await session.scalars(query.order_by(tables.UpstreamKey.id))).all()


async def _show(session: AsyncSession, rows: Sequence[tables.Upstream]) -> list[Upstream]:
    """Return upstreams as operators see them: with their models counted, their further keys and their health."""
    ids = [row.id for row in rows]
    links = tables.ModelUpstream
    counted = await session.execute(
        select(links.upstream_id, func.count()).where(links.upstream_id.in_(ids)).group_by(links.upstream_id)
    )
    models = dict(counted.tuples().all())
    keys = await _list_keys(session, ids)
    found = await session.scalars(select(tables.UpstreamHealth).where(tables.UpstreamHealth.upstream_id.in_(ids)))
    health = {seen.upstream_id: seen for seen in found}
    return [
        _upstream(
            row, models.get(row.id, 0), [key for key in keys if key.upstream_id == row.id], _health(health.get(row.id))
        )
        for row in rows
    ]


def _health(seen: tables.UpstreamHealth | None) -> UpstreamHealth:
    if seen is None:
        seen = tables.UpstreamHealth(failures=0)
    resting = seen.resting_until is not None and seen.resting_until > datetime.now(UTC)
    known: Literal["well", "failing"] = "failing" if seen.check_ok is False or seen.failures else "well"
    return UpstreamHealth(
        state="resting" if resting else "unknown" if seen.check_ok is None and not seen.failures else known,
        checked_at=seen.checked_at,
        check_latency_ms=seen.check_latency_ms,
        check_error=seen.check_error,
        resting_until=seen.resting_until if resting else None,
        failures=seen.failures,
        last_error=seen.last_error,
        last_error_at=seen.last_error_at,
    )


def _upstream(
    row: tables.Upstream, models: int, keys: Sequence[tables.UpstreamKey], health: UpstreamHealth
) -> Upstream:
    return Upstream(
        id=row.id,
        name=row.name,
        protocol=cast("Literal['openai', 'anthropic', 'echo']", row.protocol),
        base_url=row.base_url,
        api_key_last_four=row.api_key_last_four,
        further_keys=[
            UpstreamKey(id=key.id, last_four=key.api_key_last_four, created_at=key.created_at) for key in keys
        ],
        enabled=row.enabled,
        models=models,
        health=health,
        created_at=row.created_at,
    )


router = Router(
    "/",
    route_handlers=[
        list_upstreams,
        create_upstream,
        update_upstream,
        add_upstream_key,
        remove_upstream_key,
        test_upstream,
    ],
)
