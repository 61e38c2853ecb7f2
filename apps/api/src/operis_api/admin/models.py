"""Models and which upstreams serve them, for operators."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from litestar import Router, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.errors import NameTaken, UpstreamFixed
from operis_api.admin.pricing import show_price
from operis_api.admin.schemas import (
    AddModelUpstreamBody,
    CreateModelBody,
    ModelRow,
    ModelUpstream,
    UpdateModelBody,
)
from operis_api.audit.recording import record_event
from operis_api.catalog.offers import touch_catalog
from operis_api.kit.errors import InvalidField, NotFound
from operis_api.kit.ids import new_id
from operis_api.kit.naming import clean_name
from operis_api.kit.paging import Page
from operis_db import catalog as tables

NAME_CHARACTERS_MAX = 128
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
        name=data.id if data.name is UNSET else clean_name(data.name, characters_max=NAME_CHARACTERS_MAX),
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
    model = await read_model(session, model_id)
    before = {"name": model.name, "enabled": model.enabled, "default_output_tokens": model.default_output_tokens}
    if data.name is not UNSET:
        model.name = clean_name(data.name, characters_max=NAME_CHARACTERS_MAX)
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
    weight, priority = clean_weight(data.weight), clean_priority(data.priority)
    await touch_catalog(session)
    model = await read_model(session, model_id)
    link, upstream = await _link(
        session, model.id, data.upstream_id, data.upstream_model, weight=weight, priority=priority
    )
    record_event(
        session,
        identity.origin,
        action="model.add_upstream",
        target=("model", model.id),
        after={"upstream": upstream.name, "upstream_model": link.upstream_model},
    )
    return show_model_upstream(link, upstream)


async def read_model(session: AsyncSession, model_id: str) -> tables.Model:
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
    in_force = {price.model_id: show_price(price) for price in prices}
    return [
        ModelRow(
            id=model.id,
            name=model.name,
            enabled=model.enabled,
            context_tokens=model.context_tokens,
            max_output_tokens=model.max_output_tokens,
            default_output_tokens=model.default_output_tokens,
            min_output_tokens=model.min_output_tokens,
            upstreams=[show_model_upstream(link, upstream) for link, upstream in links if link.model_id == model.id],
            price=in_force.get(model.id),
        )
        for model in models
    ]


def show_model_upstream(link: tables.ModelUpstream, upstream: tables.Upstream) -> ModelUpstream:
    return ModelUpstream(
        id=link.id,
        upstream_id=link.upstream_id,
        upstream_name=upstream.name,
        upstream_model=link.upstream_model,
        weight=link.weight,
        priority=link.priority,
    )


def clean_weight(weight: int) -> int:
    if not 1 <= weight <= 1000:
        raise InvalidField("weight", "use 1 to 1000.")
    return weight


def clean_priority(priority: int) -> int:
    if not 0 <= priority <= 1000:
        raise InvalidField("priority", "use 0 to 1000; 0 is tried first.")
    return priority


def _clean_tokens(field: str, tokens: int | None) -> int | None:
    if tokens is not None and not 1 <= tokens <= TOKENS_MAX:
        raise InvalidField(field, f"use 1 to {TOKENS_MAX} tokens.")
    return tokens


router = Router("/", route_handlers=[list_models, create_model, update_model, add_model_upstream])
