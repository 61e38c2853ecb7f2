"""Models on offer and their prices as text: what is asked, what it costs, what is left."""

from dataclasses import dataclass
from dataclasses import field as default

from operis_client.models import ModelRow, Price
from operis_dashboard.formatting import NOTHING, Shown, Writer


@dataclass(frozen=True)
class OfferRow:
    id: str = ""
    upstreams: str = ""
    status: str = ""
    enabled: bool = True
    priced: bool = False
    input: Shown = default(default_factory=Shown)
    output: Shown = default(default_factory=Shown)
    cost: str = ""
    margin: str = ""
    since: Shown = default(default_factory=Shown)


@dataclass(frozen=True)
class PriceRow:
    since: Shown = default(default_factory=Shown)
    input: Shown = default(default_factory=Shown)
    output: Shown = default(default_factory=Shown)
    cost_input: Shown = default(default_factory=Shown)
    cost_output: Shown = default(default_factory=Shown)


def write_offer(model: ModelRow, writer: Writer) -> OfferRow:
    price = model.price
    status = "disabled" if not model.enabled else "enabled" if price else "unpriced"
    return OfferRow(
        id=model.id,
        upstreams=", ".join(f"{upstream.upstream_name}: {upstream.upstream_model}" for upstream in model.upstreams),
        status=status,
        enabled=model.enabled,
        priced=price is not None,
        input=writer.price(price.input if price else None),
        output=writer.price(price.output if price else None),
        cost=" / ".join(
            writer.price(cost).text for cost in ((price.cost_input, price.cost_output) if price else (None, None))
        ),
        margin=" / ".join(
            (writer.margin(price.input, price.cost_input), writer.margin(price.output, price.cost_output))
            if price
            else (NOTHING, NOTHING)
        ),
        since=writer.moment(price.effective_from if price else None),
    )


def write_price(price: Price, writer: Writer) -> PriceRow:
    return PriceRow(
        since=writer.moment(price.effective_from),
        input=writer.price(price.input),
        output=writer.price(price.output),
        cost_input=writer.price(price.cost_input),
        cost_output=writer.price(price.cost_output),
    )


def write_draft(price: Price) -> dict[str, str]:
    """Return the version in force as the next one's draft."""
    return {
        "input": price.input,
        "output": price.output,
        "cached_input": price.cached_input or "",
        "cost_input": price.cost_input or "",
        "cost_output": price.cost_output or "",
    }
