"""Models on offer and their prices as text: what is asked, what it costs, what is left."""

from dataclasses import dataclass
from dataclasses import field as default

from operis_client.models import ModelRow, Price, PriceTier
from operis_dashboard.formatting import NOTHING, Shown, Writer

METERS = (
    "input",
    "output",
    "cached_input",
    "cache_write_5m",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
    "image",
    "per_request",
)
RATES = (*METERS, *(f"cost_{meter}" for meter in METERS))


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
    tiers: str = ""


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
        tiers=write_tiers(price).replace("\n", "; ") or NOTHING,
    )


def write_draft(price: Price) -> dict[str, str]:
    """Return the version in force as the next one's draft."""
    return {**{name: getattr(price, name) or "" for name in RATES}, "tiers": write_tiers(price)}


def write_tiers(price: Price) -> str:
    """Write each tier as a line: what differs from so many prompt tokens on."""
    return "\n".join(
        f"{tier.from_prompt_tokens}: "
        + ", ".join(f"{name} {rate}" for name in RATES if (rate := getattr(tier, name)) is not None)
        for tier in price.tiers
    )


def read_tiers(text: str) -> list[PriceTier] | None:
    """Read tiers as they are written; None where a line is none. Whether the prices are good, the API says."""
    tiers: list[PriceTier] = []
    for line in text.splitlines():
        begin, _, prices = line.partition(":")
        pairs = [pair.split() for pair in prices.split(",")]
        digits = begin.strip()
        readable = digits.isascii() and digits.isdigit() and len(digits) < 10
        if line.strip() and readable and all(len(pair) == 2 and pair[0] in RATES for pair in pairs):
            tiers.append(PriceTier(from_prompt_tokens=int(digits), **dict(pairs)))
        elif line.strip():
            return None
    return tiers
