"""The arithmetic of prices: over all of them, a call within its bounds never costs more than its quote."""

from datetime import UTC, datetime
from fractions import Fraction
from uuid import UUID

import msgspec
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from operis_api.catalog.offers import resolve_price
from operis_api.catalog.pricing import (
    COUNT_MAX,
    METERS,
    NANO_MAX,
    ONE,
    Meters,
    Price,
    Tier,
    charge,
    exact_quote,
    quote,
    upstream_cost,
)
from operis_db import catalog as tables

RATES = st.one_of(st.integers(0, 5), st.integers(0, 10**12))
MULTIPLIERS = st.one_of(st.just(ONE), st.builds(Fraction, st.integers(0, 10**6), st.integers(1, 10**6)))
PROMPT = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "audio_input")
ANSWER = ("output", "reasoning", "audio_output", "image")


def price_of(*tiers: Tier) -> Price:
    return Price(id=UUID(int=0), model_id="acme/large", effective_from=datetime.now(UTC), tiers=tiers)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    begins = [0, *sorted(draw(st.sets(st.integers(1, 3000), max_size=3)))]
    rates = st.builds(Meters, **dict.fromkeys(METERS, RATES))
    return price_of(*(Tier(from_prompt_tokens=begin, sale=draw(rates), cost=draw(rates)) for begin in begins))


@st.composite
def shares(draw: st.DrawFn, total: int, meters: tuple[str, ...]) -> dict[str, int]:
    """Divide up to `total` tokens among meters, leaving none out but by chance."""
    cuts = sorted(draw(st.lists(st.integers(0, total), min_size=len(meters), max_size=len(meters))))
    return {meter: cut - before for meter, cut, before in zip(meters, cuts, [0, *cuts], strict=False)}


@settings(max_examples=1500, deadline=None)
@given(
    data=st.data(),
    price=prices(),
    multiplier=MULTIPLIERS,
    prompt_max=st.integers(0, 4000),
    limit=st.integers(0, 2000),
    answers=st.integers(1, 4),
)
def test_a_call_within_its_bounds_never_costs_more_than_its_quote(
    data: st.DataObject, price: Price, multiplier: Fraction, prompt_max: int, limit: int, answers: int
) -> None:
    quoted = quote(price, prompt_tokens_max=prompt_max, output_tokens=limit, answers=answers, multiplier=multiplier)
    usage = Meters(**data.draw(shares(prompt_max, PROMPT)), **data.draw(shares(limit * answers, ANSWER)), per_request=1)
    assert usage.prompt_tokens <= prompt_max
    assert usage.completion_tokens <= limit * answers
    assert 0 <= charge(price, usage, multiplier) <= quoted.nano
    exact = exact_quote(price, Meters(input=usage.input, output=usage.output, per_request=1), multiplier)
    assert exact.nano == charge(price, Meters(input=usage.input, output=usage.output, per_request=1), multiplier)


@settings(max_examples=800, deadline=None)
@given(
    price=prices(),
    multiplier=MULTIPLIERS,
    prompt_max=st.integers(0, 4000),
    limit=st.integers(0, 2000),
    answers=st.integers(1, 4),
    amount_nano=st.one_of(st.integers(0, 100), st.integers(0, 10**15)),
)
@example(
    price=price_of(Tier(from_prompt_tokens=0, sale=Meters(input=1, output=3), cost=None)),
    multiplier=Fraction(2, 3),
    prompt_max=100,
    limit=1000,
    answers=1,
    amount_nano=1,
)
def test_what_an_amount_affords_is_the_most_that_fits_it(
    price: Price, multiplier: Fraction, prompt_max: int, limit: int, answers: int, amount_nano: int
) -> None:
    quoted = quote(price, prompt_tokens_max=prompt_max, output_tokens=limit, answers=answers, multiplier=multiplier)
    assume(quoted.nano < NANO_MAX)
    tokens = quoted.affordable_tokens(amount_nano)
    assert 0 <= tokens <= limit
    fits = quoted.nano_for(0) <= amount_nano
    assert not tokens or quoted.nano_for(tokens) <= amount_nano
    assert not fits or tokens == limit or quoted.nano_for(tokens + 1) > amount_nano


@given(
    price=prices(), usage=st.builds(Meters, **dict.fromkeys(METERS, st.integers(0, COUNT_MAX))), multiplier=MULTIPLIERS
)
def test_a_charge_is_rounded_up_once_and_fits_its_column(price: Price, usage: Meters, multiplier: Fraction) -> None:
    rates = price.tier_of(usage).sale
    exact = sum(a * b for a, b in zip(msgspec.structs.astuple(rates), msgspec.structs.astuple(usage), strict=True))
    charged = charge(price, usage, multiplier)
    assert charged == NANO_MAX or charged - 1 < Fraction(exact, 1000) * multiplier <= charged
    assert charged <= NANO_MAX < 2**63


def test_a_tier_begins_with_its_first_prompt_token_and_prices_every_meter() -> None:
    low, high = Meters(input=1_000_000, output=5_000_000), Meters(input=2_000_000, output=9_000_000)
    price = price_of(
        Tier(from_prompt_tokens=0, sale=low, cost=low), Tier(from_prompt_tokens=200_001, sale=high, cost=high)
    )
    at_end = Meters(input=150_000, cached_input=30_000, cache_write_5m=20_000, output=10)
    beyond = msgspec.structs.replace(at_end, cache_write_1h=1)
    assert charge(price, at_end) == 150_000 * 1_000 + 10 * 5_000
    assert charge(price, beyond) == upstream_cost(price, beyond) == 150_000 * 2_000 + 10 * 9_000
    short = quote(price, prompt_tokens_max=200_000, output_tokens=10, answers=1)
    long = quote(price, prompt_tokens_max=200_001, output_tokens=10, answers=1)
    assert (short.nano, long.nano) == (200_050_000, 200_001 * 2_000 + 10 * 9_000)


def test_a_cheaper_tier_does_not_lower_the_quote_of_a_prompt_that_may_stay_below_it() -> None:
    dear, cheap = Meters(input=4_000_000, output=8_000_000), Meters(input=1_000_000, output=2_000_000)
    price = price_of(
        Tier(from_prompt_tokens=0, sale=dear, cost=None), Tier(from_prompt_tokens=1001, sale=cheap, cost=None)
    )
    assert quote(price, prompt_tokens_max=1100, output_tokens=10, answers=1).nano == 1000 * 4_000 + 10 * 8_000
    assert upstream_cost(price, Meters(input=5)) is None


def test_a_tier_names_what_differs_and_falls_back_to_its_own() -> None:
    row = tables.Price(
        id=UUID(int=1),
        model_id="acme/large",
        effective_from=datetime.now(UTC),
        input=1_250_000,
        output=10_000_000,
        cached_input=125_000,
        cost_input=1_000_000,
        tiers=[
            {"from_prompt_tokens": 200_001, "input": 2_500_000, "output": 15_000_000, "cost_output": 12_000_000},
            {"from_prompt_tokens": 500_001, "input": 5_000_000},
        ],
    )
    first, second, third = resolve_price(row).tiers
    assert (first.sale.cached_input, first.sale.cache_write_5m, first.sale.image) == (125_000, 1_250_000, 10_000_000)
    assert (second.sale.cached_input, second.sale.audio_input, second.sale.reasoning) == (
        125_000,
        2_500_000,
        15_000_000,
    )
    assert (third.sale.input, third.sale.output, third.sale.cache_write_1h) == (5_000_000, 15_000_000, 5_000_000)
    assert first.cost == Meters(input=1_000_000, **dict.fromkeys(PROMPT[1:], 1_000_000))
    assert second.cost is not None
    assert (second.cost.input, second.cost.reasoning) == (1_000_000, 12_000_000)
