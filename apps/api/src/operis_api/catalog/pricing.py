"""Quotes and charges: pure integer arithmetic.

Prices are microcredits per million units, which is picocredits per unit; amounts are nanocredits. Its one rule: a call
whose prompt and answer keep to the bounds of its quote is never charged more than the quote.
"""

from bisect import bisect_right
from datetime import datetime
from fractions import Fraction
from operator import mul
from uuid import UUID

import msgspec

PICO_PER_NANO = 1000
NANO_MAX = 2**62
"""No quote and no charge is beyond it, so that each fits its column."""
ONE = Fraction(1)
"""The multiplier of a plan that has none."""
COUNT_MAX = 10**12
"""The most units of one meter a single call can use; what an upstream reports beyond it is not believed."""


class Meters(msgspec.Struct, frozen=True, kw_only=True):
    """Units of each kind, disjoint: a cached token is not also an input token, a reasoning token not also output.

    `image` is tokens of images in the answer; those of the prompt count as input, as providers count them. Of rates,
    the same shape holds the price of a unit in picocredits.
    """

    input: int = 0
    cached_input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image: int = 0
    per_request: int = 0

    @property
    def prompt_tokens(self) -> int:
        return self.input + self.cached_input + self.cache_write_5m + self.cache_write_1h + self.audio_input

    @property
    def completion_tokens(self) -> int:
        return self.output + self.reasoning + self.audio_output + self.image


METERS = Meters.__struct_fields__


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of calls whose prompt has so many tokens or more, fallbacks resolved: every meter has a rate."""

    from_prompt_tokens: int
    sale: Meters
    cost: Meters | None
    """What the upstream asks; None where the operator has not said."""

    @property
    def dearest_input(self) -> int:
        sale = self.sale
        return max(sale.input, sale.cached_input, sale.cache_write_5m, sale.cache_write_1h, sale.audio_input)

    @property
    def dearest_output(self) -> int:
        return max(self.sale.output, self.sale.reasoning, self.sale.audio_output, self.sale.image)


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model's price."""

    id: UUID
    model_id: str
    effective_from: datetime
    tiers: tuple[Tier, ...]
    """Never empty, by `from_prompt_tokens`; the first from 0."""

    @property
    def base(self) -> Tier:
        return self.tiers[0]

    def tier_of(self, usage: Meters) -> Tier:
        """Return the tier that prices all meters of a call: its whole prompt chooses it, cached or not."""
        return self.tiers[bisect_right(self.tiers, usage.prompt_tokens, key=lambda tier: tier.from_prompt_tokens) - 1]


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The worst case of a call: what it costs before the first output token, and what each further one adds."""

    prompt_pico: int
    output_pico: int
    """For one more token in each of the `n` answers."""
    output_tokens: int
    multiplier: Fraction = ONE

    @property
    def nano(self) -> int:
        return self.nano_for(self.output_tokens)

    def nano_for(self, output_tokens: int) -> int:
        return _round_up(self.prompt_pico + output_tokens * self.output_pico, self.multiplier)

    def affordable_tokens(self, amount_nano: int) -> int:
        """Return how many output tokens `amount_nano` pays for, at most what was asked; 0 where not even the prompt."""
        times, over = self.multiplier.as_integer_ratio()
        left = amount_nano * PICO_PER_NANO * over - self.prompt_pico * times
        if left < 0:
            return 0
        each = self.output_pico * times
        return self.output_tokens if each == 0 else min(self.output_tokens, left // each)


def charge(price: Price, usage: Meters, multiplier: Fraction = ONE) -> int:
    """Return what a customer pays, in nanocredits, rounded up once on the multiplied total."""
    return _round_up(_total(price.tier_of(usage).sale, usage), multiplier)


def upstream_cost(price: Price, usage: Meters) -> int | None:
    """Return what the upstream asks, in nanocredits; None where that is not known."""
    rates = price.tier_of(usage).cost
    return None if rates is None else _round_up(_total(rates, usage), ONE)


def quote(
    price: Price, *, prompt_tokens_max: int, output_tokens: int, answers: int, multiplier: Fraction = ONE
) -> Quote:
    """Return the most a call can cost.

    `prompt_tokens_max` is a strict upper bound, priced at the dearest input meter, since nobody knows before the call
    what will be cached, and at the dearest tier that it can reach; `output_tokens` is the limit of each of the
    `answers`.
    """
    ends = [tier.from_prompt_tokens - 1 for tier in price.tiers[1:]] + [prompt_tokens_max]
    reached = [
        (tier, min(end, prompt_tokens_max))
        for tier, end in zip(price.tiers, ends, strict=True)
        if tier.from_prompt_tokens <= prompt_tokens_max
    ]
    return Quote(
        prompt_pico=max(tokens * tier.dearest_input + tier.sale.per_request for tier, tokens in reached),
        output_pico=answers * max(tier.dearest_output for tier, _ in reached),
        output_tokens=output_tokens,
        multiplier=multiplier,
    )


def exact_quote(price: Price, usage: Meters, multiplier: Fraction = ONE) -> Quote:
    """Return the quote of a call whose usage is known before it is made."""
    rates = price.tier_of(usage).sale
    output = usage.output * rates.output
    return Quote(
        prompt_pico=_total(rates, usage) - output,
        output_pico=rates.output,
        output_tokens=usage.output,
        multiplier=multiplier,
    )


def _total(rates: Meters, usage: Meters) -> int:
    return sum(map(mul, msgspec.structs.astuple(rates), msgspec.structs.astuple(usage)))


def _round_up(pico: int, multiplier: Fraction) -> int:
    """Return nanocredits, rounded up, at most `NANO_MAX`."""
    times, over = multiplier.as_integer_ratio()
    return min(-(-pico * times // (PICO_PER_NANO * over)), NANO_MAX)
