"""How calls are spread over the upstreams that serve a model, for operators."""

from uuid import UUID

from litestar import Router, patch
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.models import clean_priority, clean_weight, show_model_upstream
from operis_api.admin.schemas import ModelUpstream, UpdateModelUpstreamBody
from operis_api.audit.recording import record_event
from operis_api.catalog.offers import touch_catalog
from operis_api.kit.errors import NotFound
from operis_db import catalog as tables


@patch(
    "/upstreams/{upstream_id:uuid}/models/{link_id:uuid}",
    opt={"permission": "admin.models.edit"},
    operation_id="update_model_upstream",
)
async def update_model_upstream(
    identity: Identity,
    session: AsyncSession,
    upstream_id: FromPath[UUID],
    link_id: FromPath[UUID],
    data: JSONBody[UpdateModelUpstreamBody],
) -> ModelUpstream:
    """Change which share of a model's calls an upstream gets; in force for the next call."""
    await touch_catalog(session)
    link = await session.get(tables.ModelUpstream, link_id)
    if link is None or link.upstream_id != upstream_id:
        raise NotFound(f"The upstream serves no model by {link_id}.")
    upstream = await session.get_one(tables.Upstream, upstream_id)
    before = _facts(link)
    if data.weight is not UNSET:
        link.weight = clean_weight(data.weight)
    if data.priority is not UNSET:
        link.priority = clean_priority(data.priority)
    record_event(
        session,
        identity.origin,
        action="model.update_upstream",
        target=("model", link.model_id),
        before={"upstream": upstream.name, **before},
        after={"upstream": upstream.name, **_facts(link)},
    )
    return show_model_upstream(link, upstream)


def _facts(link: tables.ModelUpstream) -> dict[str, int]:
    return {"weight": link.weight, "priority": link.priority}


router = Router("/", route_handlers=[update_model_upstream])
