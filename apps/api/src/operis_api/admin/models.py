"""Models, which upstreams serve them, and their prices, for operators."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from litestar import Router, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET
from sqlalchemy import literal, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.errors import NameTaken, PriceExists, UpstreamFixed
from operis_api.admin.schemas import (
    AddModelUpstreamBody,
    CreateModelBody,
    CreatePriceBody,
    ModelRow,
    ModelUpstream,
    Price,
    UpdateModelBody,
)
from operis_api.audit.recording import record_event
from operis_api.catalog.offers import touch_catalog
from operis_api.kit.errors import InvalidField, NotFound
from operis_api.kit.ids import new_id
from operis_api.kit.lists import After, Limit
from operis_api.kit.moments import check_moment
from operis_api.kit.money import MICRO, format_micro, parse_micro
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_db import catalog as tables

PRICE_MICRO_MAX = 1_000_000 * MICRO
TOKENS_MAX = 100_000_000
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}", re.ASCII)


@get("/models", opt={"permission": "admin.models.view"}, operation_id="list_model_rows")
async def list_models(session: AsyncSession) -> Page[ModelRow]:
    """List every model with its upstreams and the price in force, offered or not."""
    models = (await session.scalars(select(tables.Model).order_by(tables.Model.id).limit(2000))).all()
    return Page(items=await _model_rows(session, models))


@post("/models", opt={"permission": "admin.models.edit"}, operation_id="create_model")
async def create_model(identity: Identity, session: AsyncSession, data: JSONBody[CreateModelBody]) -> ModelRow:
    """Add a model served by an upstream. It is offered once it has a price."""
    if not _MODEL_ID.fullmatch(data.id):
        raise InvalidField("id", "use 1 to 128 letters, digits and . _ : / @ + - , like openai/gpt-5.")
    await touch_catalog(session)
    model = tables.Model(
        id=data.id,
        name=data.id if data.name is UNSET else _clean_name(data.name),
        enabled=True,
        context_tokens=_clean_tokens("context_tokens", data.context_tokens),
        max_output_tokens=_clean_tokens("max_output_tokens", data.max_output_tokens),
        default_output_tokens=_clean_tokens("default_output_tokens", data.default_output_tokens),
        min_output_tokens=min(16, data.default_output_tokens),
    )
    session.add(model)
    try:
        await session.flush()
    except IntegrityError:
        raise NameTaken(f"There is a model {data.id}; change that one.", field="id") from None
    await _link(session, model.id, data.upstream_id, data.upstream_model, weight=1, priority=0)
    record_event(session, identity.origin, action="model.create", target=("model", model.id))
    return (await _model_rows(session, [model]))[0]


@patch("/models/{model_id:path}", opt={"permission": "admin.models.edit"}, operation_id="update_model")
async def update_model(
    identity: Identity, session: AsyncSession, model_id: FromPath[str], data: JSONBody[UpdateModelBody]
) -> ModelRow:
    """Change a model; in force for the next call."""
    await touch_catalog(session)
    model = await _read_model(session, model_id)
    before = {"name": model.name, "enabled": model.enabled, "default_output_tokens": model.default_output_tokens}
    if data.name is not UNSET:
        model.name = _clean_name(data.name)
    if data.enabled is not UNSET:
        model.enabled = data.enabled
    if data.context_tokens is not UNSET:
        model.context_tokens = _clean_tokens("context_tokens", data.context_tokens)
    if data.max_output_tokens is not UNSET:
        model.max_output_tokens = _clean_tokens("max_output_tokens", data.max_output_tokens)
    if data.default_output_tokens is not UNSET:
        _clean_tokens("default_output_tokens", data.default_output_tokens)
        model.default_output_tokens = data.default_output_tokens
        model.min_output_tokens = min(model.min_output_tokens, data.default_output_tokens)
    await session.flush()
    record_event(
        session,
        identity.origin,
        action="model.update",
        target=("model", model.id),
        before=dict(before),
        after={
            "name": model.name,
            "enabled": model.enabled,
            "default_output_tokens": model.default_output_tokens,
        },
    )
    return (await _model_rows(session, [model]))[0]


@post("/models/{model_path:path}", opt={"permission": "admin.models.edit"}, operation_id="add_model_upstream")
async def add_model_upstream(
    identity: Identity, session: AsyncSession, model_path: FromPath[str], data: JSONBody[AddModelUpstreamBody]
) -> ModelUpstream:
    """Let a further upstream serve a model: lower priority first, within one by weight."""
    # The path is /admin/models/{id}/upstreams; model ids contain slashes, so it is taken apart here.
    model_id, _, rest = model_path.rpartition("/")
    if rest != "upstreams":
        raise NotFound("There is POST /admin/models/{id}/upstreams.")
    if not 1 <= data.weight <= 1000:
        raise InvalidField("weight", "use 1 to 1000.")
    if not 0 <= data.priority <= 1000:
        raise InvalidField("priority", "use 0 to 1000; 0 is tried first.")
    await touch_catalog(session)
    model = await _read_model(session, model_id)
    link, upstream = await _link(
        session, model.id, data.upstream_id, data.upstream_model, weight=data.weight, priority=data.priority
    )
    record_event(
        session,
        identity.origin,
        action="model.add_upstream",
        target=("model", model.id),
        after={"upstream": upstream.name, "upstream_model": link.upstream_model},
    )
    return _model_upstream(link, upstream)


@get("/prices", opt={"permission": "admin.prices.view"}, operation_id="list_prices")
async def list_prices(
    session: AsyncSession, model_id: FromQuery[str | None] = None, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[Price]:
    """List price versions, the latest `effective_from` first."""
    query = select(tables.Price).order_by(tables.Price.effective_from.desc(), tables.Price.id.desc()).limit(limit + 1)
    if model_id is not None:
        query = query.where(tables.Price.model_id == model_id)
    if after:
        moment, price_id = decode_cursor(after, tuple[datetime, UUID])
        query = query.where(
            tuple_(tables.Price.effective_from, tables.Price.id)
            < tuple_(literal(check_moment("after", moment)), literal(price_id))
        )
    rows = (await session.scalars(query)).all()
    return page(rows, limit=limit, position=lambda row: (row.effective_from, row.id), item=_price)


@post("/prices", opt={"permission": "admin.prices.edit"}, operation_id="create_price")
async def create_price(identity: Identity, session: AsyncSession, data: JSONBody[CreatePriceBody]) -> Price:
    """Add a version of a model's price; without `effective_from` it is in force for the next call."""
    await touch_catalog(session)
    model = await _read_model(session, data.model_id)
    now = datetime.now(UTC)
    begin = check_moment("effective_from", data.effective_from) if data.effective_from else now
    if data.effective_from is not None and begin < now:
        raise InvalidField("effective_from", "a price cannot begin in the past; leave it out to begin now.")
    row = tables.Price(
        id=new_id(),
        model_id=model.id,
        effective_from=begin,
        created_by=identity.user_id,
        created_at=now,
        input=_rate("input", data.input),
        output=_rate("output", data.output),
        cached_input=_optional_rate("cached_input", data.cached_input),
        cache_write_5m=_optional_rate("cache_write_5m", data.cache_write_5m),
        cache_write_1h=_optional_rate("cache_write_1h", data.cache_write_1h),
        reasoning=_optional_rate("reasoning", data.reasoning),
        per_request=_optional_rate("per_request", data.per_request),
        cost_input=_optional_rate("cost_input", data.cost_input),
        cost_output=_optional_rate("cost_output", data.cost_output),
    )
    session.add(row)
    try:
        await session.flush()
    except IntegrityError:
        raise PriceExists("Choose another moment.", field="effective_from") from None
    record_event(
        session,
        identity.origin,
        action="price.create",
        target=("price", row.id),
        after={"model": model.id, "input": data.input, "output": data.output, "effective_from": begin.isoformat()},
    )
    return _price(row)


async def _read_model(session: AsyncSession, model_id: str) -> tables.Model:
    model = await session.get(tables.Model, model_id.removeprefix("/"))
    if model is None:
        raise NotFound(f"There is no model {model_id.removeprefix('/')}.")
    return model


async def _link(
    session: AsyncSession, model_id: str, upstream_id: UUID, upstream_model: str, *, weight: int, priority: int
) -> tuple[tables.ModelUpstream, tables.Upstream]:
    upstream = await session.get(tables.Upstream, upstream_id)
    if upstream is None:
        raise InvalidField("upstream_id", f"there is no upstream {upstream_id}.")
    if upstream.protocol == "echo":
        raise UpstreamFixed("The built-in echo serves operis/echo alone.")
    if not 1 <= len(upstream_model) <= 128:
        raise InvalidField("upstream_model", "use 1 to 128 characters.")
    link = tables.ModelUpstream(
        id=new_id(),
        model_id=model_id,
        upstream_id=upstream_id,
        upstream_model=upstream_model,
        weight=weight,
        priority=priority,
    )
    session.add(link)
    try:
        await session.flush()
    except IntegrityError:
        raise NameTaken("This upstream serves the model under that name already.", field="upstream_model") from None
    return link, upstream


async def _model_rows(session: AsyncSession, models: Sequence[tables.Model]) -> list[ModelRow]:
    ids = [model.id for model in models]
    links = (
        await session.execute(
            select(tables.ModelUpstream, tables.Upstream)
            .join(tables.Upstream, tables.Upstream.id == tables.ModelUpstream.upstream_id)
            .where(tables.ModelUpstream.model_id.in_(ids))
            .order_by(tables.ModelUpstream.priority, tables.Upstream.name)
        )
    ).all()
    prices = await session.scalars(
        select(tables.Price)
        .distinct(tables.Price.model_id)
        .where(tables.Price.model_id.in_(ids), tables.Price.effective_from <= datetime.now(UTC))
        .order_by(tables.Price.model_id, tables.Price.effective_from.desc())
    )
    in_force = {price.model_id: _price(price) for price in prices}
    return [
        ModelRow(
            id=model.id,
            name=model.name,
            enabled=model.enabled,
            context_tokens=model.context_tokens,
            max_output_tokens=model.max_output_tokens,
            default_output_tokens=model.default_output_tokens,
            min_output_tokens=model.min_output_tokens,
            upstreams=[_model_upstream(link, upstream) for link, upstream in links if link.model_id == model.id],
            price=in_force.get(model.id),
        )
        for model in models
    ]


def _model_upstream(link: tables.ModelUpstream, upstream: tables.Upstream) -> ModelUpstream:
    return ModelUpstream(
        id=link.id,
        upstream_id=link.upstream_id,
        upstream_name=upstream.name,
        upstream_model=link.upstream_model,
        weight=link.weight,
        priority=link.priority,
    )


def _price(row: tables.Price) -> Price:
    return Price(
        id=row.id,
        model_id=row.model_id,
        effective_from=row.effective_from,
        input=format_micro(row.input),
        output=format_micro(row.output),
        cached_input=_shown(row.cached_input),
        cache_write_5m=_shown(row.cache_write_5m),
        cache_write_1h=_shown(row.cache_write_1h),
        reasoning=_shown(row.reasoning),
        per_request=_shown(row.per_request),
        cost_input=_shown(row.cost_input),
        cost_output=_shown(row.cost_output),
        created_at=row.created_at,
    )


def _shown(price_micro: int | None) -> str | None:
    return None if price_micro is None else format_micro(price_micro)


def _rate(field: str, text: str) -> int:
    price = parse_micro(field, text)
    if price > PRICE_MICRO_MAX:
        raise InvalidField(field, f"use at most {format_micro(PRICE_MICRO_MAX)} credits per million.")
    return price


def _optional_rate(field: str, text: str | None) -> int | None:
    return None if text is None else _rate(field, text)


def _clean_name(name: str) -> str:
    shown = " ".join(name.split())
    if not 0 < len(shown) <= 128 or not shown.isprintable():
        raise InvalidField("name", "use 1 to 128 printable characters.")
    return shown


def _clean_tokens(field: str, tokens: int | None) -> int | None:
    if tokens is not None and not 1 <= tokens <= TOKENS_MAX:
        raise InvalidField(field, f"use 1 to {TOKENS_MAX} tokens.")
    return tokens


router = Router(
    "/", route_handlers=[list_models, create_model, update_model, add_model_upstream, list_prices, create_price]
)
