"""Quotes and charges: pure integer arithmetic.

Prices are microcredits per million units, which is picocredits per unit; amounts are nanocredits.
"""

from datetime import datetime
from uuid import UUID

import msgspec

PICO_PER_NANO = 1000
COUNT_MAX = 10**12
"""The most units of one meter a single call can use; what an upstream reports beyond it is not believed."""


class Meters(msgspec.Struct, frozen=True, kw_only=True):
    """Units of each kind, disjoint: a cached token is not also an input token, a reasoning token not also output.

    Of rates, the same shape holds the price of a unit in picocredits.
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
        return self.output + self.reasoning + self.audio_output


METERS = Meters.__struct_fields__


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model's price, its fallbacks resolved: every meter has a rate."""

    id: UUID
    model_id: str
    effective_from: datetime
    sale: Meters
    cost: Meters | None
    """What the upstream asks; None where the operator has not said."""

    @property
    def dearest_input(self) -> int:
        sale = self.sale
        return max(sale.input, sale.cached_input, sale.cache_write_5m, sale.cache_write_1h, sale.audio_input)

    @property
    def dearest_output(self) -> int:
        return max(self.sale.output, self.sale.reasoning, self.sale.audio_output)


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The worst case of a call: what it costs before the first output token, and what each further one adds."""

    prompt_pico: int
    output_pico: int
    """For one more token in each of the `n` answers."""
    output_tokens: int

    @property
    def nano(self) -> int:
        return self.nano_for(self.output_tokens)

    def nano_for(self, output_tokens: int) -> int:
        return round_up(self.prompt_pico + output_tokens * self.output_pico)

    def affordable_tokens(self, amount_nano: int) -> int:
        """Return how many output tokens `amount_nano` pays for, at most what was asked; 0 where not even the prompt."""
        left = amount_nano * PICO_PER_NANO - self.prompt_pico
        if left < 0:
            return 0
        return self.output_tokens if self.output_pico == 0 else min(self.output_tokens, left // self.output_pico)


def round_up(pico: int) -> int:
    """Return nanocredits, rounded up."""
    return -(-pico // PICO_PER_NANO)


def charge(rates: Meters, usage: Meters) -> int:
    """Return what `usage` costs at `rates`, in nanocredits, rounded up once on the total."""
    return round_up(sum(getattr(rates, meter) * getattr(usage, meter) for meter in METERS))


def quote(price: Price, *, prompt_tokens_max: int, output_tokens: int, answers: int) -> Quote:
    """Return the most a call can cost.

    `prompt_tokens_max` is a strict upper bound, priced at the dearest input meter, since nobody knows before the call
    what will be cached; `output_tokens` is the limit of each of the `answers`.
    """
    return Quote(
        prompt_pico=prompt_tokens_max * price.dearest_input + price.sale.per_request,
        output_pico=answers * price.dearest_output,
        output_tokens=output_tokens,
    )


def exact_quote(price: Price, usage: Meters) -> Quote:
    """Return the quote of a call whose usage is known before it is made."""
    pico = sum(getattr(price.sale, meter) * getattr(usage, meter) for meter in METERS)
    output = usage.output * price.sale.output
    return Quote(prompt_pico=pico - output, output_pico=price.sale.output, output_tokens=usage.output)
