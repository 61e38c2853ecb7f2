"""The models on offer with the prices in force."""

from fractions import Fraction
from typing import TypedDict, cast

from litestar import Router, get
from litestar.datastructures import State
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.catalog.offers import Catalog, Offer
from operis_api.catalog.pricing import Price, Tier
from operis_api.catalog.schemas import Model, ModelTier
from operis_api.kit.money import format_micro, format_ratio
from operis_api.kit.paging import Page
from operis_db.people import Organization


@get("/", opt={"permission": "models.view"}, operation_id="list_models")
async def list_models(identity: Identity, session: AsyncSession, state: State) -> Page[Model]:
    """List every model on offer, by id, with its prices in credits per million units and what the plan pays of them."""
    catalog = cast("Catalog", state["catalog"])
    plan_id = await session.scalar(select(Organization.plan_id).where(Organization.id == identity.organization_id))
    await catalog.refresh()
    return Page(
        items=[_model(offer, price, catalog.multiplier(plan_id, offer.id)) for offer, price in catalog.list_offered()]
    )


def _model(offer: Offer, price: Price, multiplier: Fraction) -> Model:
    return Model(
        id=offer.id,
        name=offer.name,
        context_tokens=offer.context_tokens,
        max_output_tokens=offer.max_output_tokens,
        default_output_tokens=offer.default_output_tokens,
        **_rates(price.base),
        tiers=[ModelTier(from_prompt_tokens=tier.from_prompt_tokens, **_rates(tier)) for tier in price.tiers[1:]],
        multiplier=format_ratio(multiplier),
        effective_from=price.effective_from,
    )


class _Rates(TypedDict):
    input: str
    output: str
    cached_input: str | None
    cache_write_5m: str | None
    cache_write_1h: str | None
    reasoning: str | None
    audio_input: str | None
    audio_output: str | None
    image: str | None
    per_request: str | None


def _rates(tier: Tier) -> _Rates:
    """Return the prices that are not what they would fall back to."""
    sale = tier.sale

    def apart(rate: int, fallback: int) -> str | None:
        return None if rate == fallback else format_micro(rate)

    return _Rates(
        input=format_micro(sale.input),
        output=format_micro(sale.output),
        cached_input=apart(sale.cached_input, sale.input),
        cache_write_5m=apart(sale.cache_write_5m, sale.input),
        cache_write_1h=apart(sale.cache_write_1h, sale.input),
        reasoning=apart(sale.reasoning, sale.output),
        audio_input=apart(sale.audio_input, sale.input),
        audio_output=apart(sale.audio_output, sale.output),
        image=apart(sale.image, sale.output),
        per_request=apart(sale.per_request, 0),
    )


router = Router("/models", route_handlers=[list_models], tags=["models"], opt={"scope": "models"})
