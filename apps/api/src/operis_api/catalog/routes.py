"""The models on offer with the prices in force."""

from typing import cast

from litestar import Router, get
from litestar.datastructures import State

from operis_api.catalog.offers import Catalog, Offer
from operis_api.catalog.pricing import Price
from operis_api.catalog.schemas import Model
from operis_api.kit.money import format_micro
from operis_api.kit.paging import Page


@get("/", opt={"permission": "models.view"}, operation_id="list_models")
async def list_models(state: State) -> Page[Model]:
    """List every model on offer, by id, with its prices in credits per million units."""
    catalog = cast("Catalog", state["catalog"])
    await catalog.refresh()
    return Page(items=[_model(offer, price) for offer, price in catalog.list_offered()])


def _model(offer: Offer, price: Price) -> Model:
    sale = price.sale
    return Model(
        id=offer.id,
        name=offer.name,
        context_tokens=offer.context_tokens,
        max_output_tokens=offer.max_output_tokens,
        default_output_tokens=offer.default_output_tokens,
        input=format_micro(sale.input),
        output=format_micro(sale.output),
        cached_input=format_micro(sale.cached_input) if sale.cached_input != sale.input else None,
        cache_write_5m=format_micro(sale.cache_write_5m) if sale.cache_write_5m != sale.input else None,
        cache_write_1h=format_micro(sale.cache_write_1h) if sale.cache_write_1h != sale.input else None,
        reasoning=format_micro(sale.reasoning) if sale.reasoning != sale.output else None,
        per_request=format_micro(sale.per_request) if sale.per_request else None,
        effective_from=price.effective_from,
    )


router = Router("/models", route_handlers=[list_models], tags=["models"])
