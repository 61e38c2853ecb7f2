"""Price versions between the wire and their table. Their one rule: a version is added, never edited."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, cast

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.admin.errors import PriceExists
from operis_api.admin.schemas import Price, PriceTier
from operis_api.audit.recording import State, record_event
from operis_api.catalog.pricing import METERS
from operis_api.kit.errors import InvalidField
from operis_api.kit.ids import new_id
from operis_api.kit.money import MICRO, format_micro, parse_micro
from operis_api.kit.origin import Origin
from operis_db import catalog as tables

PRICE_MICRO_MAX = 1_000_000 * MICRO
TIERS_MAX = 8
TIER_TOKENS_MAX = 100_000_000
RATES = (*METERS, *(f"cost_{meter}" for meter in METERS))
"""The columns of a price version: what is asked for each meter, and what its upstream asks."""


class RatesBody(Protocol):
    """What has `RATES` as texts, and tiers of them."""

    @property
    def tiers(self) -> list[PriceTier]: ...


class Rates(msgspec.Struct, frozen=True):
    """What a price version says, in microcredits per million, by column; and what each of its tiers says otherwise."""

    named: Mapping[str, int]
    tiers: Sequence[Mapping[str, int]] = ()


def read_rates(body: RatesBody) -> Rates:
    """Return what a body says, or raise `InvalidField` with the path of the field that cannot be used."""
    if len(body.tiers) > TIERS_MAX:
        raise InvalidField("tiers", f"use at most {TIERS_MAX}.")
    below = 0
    tiers: list[dict[str, int]] = []
    for nth, tier in enumerate(body.tiers):
        path = f"tiers[{nth}]."
        if not below < tier.from_prompt_tokens <= TIER_TOKENS_MAX:
            raise InvalidField(
                f"{path}from_prompt_tokens", f"use {below + 1} to {TIER_TOKENS_MAX}; tiers begin later one by one."
            )
        below = tier.from_prompt_tokens
        named = _named(tier, path)
        if not named:
            raise InvalidField(f"tiers[{nth}]", "name at least one price that differs.")
        tiers.append({"from_prompt_tokens": below, **named})
    return Rates(_named(body, ""), tiers)


async def add_price(
    session: AsyncSession, origin: Origin, rates: Rates, *, model_id: str, begin: datetime, now: datetime
) -> tables.Price:
    """Add a version in the caller's transaction, which has touched the catalog."""
    row = tables.Price(
        id=new_id(),
        model_id=model_id,
        effective_from=begin,
        created_by=origin.actor_id,
        created_at=now,
        tiers=[dict(tier) for tier in rates.tiers],
        **rates.named,
    )
    session.add(row)
    try:
        await session.flush()
    except IntegrityError:
        raise PriceExists(f"{model_id} has one; choose another moment.", field="effective_from") from None
    shown: State = {name: format_micro(rate) for name, rate in rates.named.items()}
    tiers = {f"from_{tier['from_prompt_tokens']}": _show_tier_facts(tier) for tier in rates.tiers}
    record_event(
        session,
        origin,
        action="price.create",
        target=("price", row.id),
        after={"model": model_id, **shown, **tiers, "effective_from": begin.isoformat()},
    )
    return row


def show_price(row: tables.Price) -> Price:
    return Price(
        id=row.id,
        model_id=row.model_id,
        effective_from=row.effective_from,
        tiers=[_show_tier(tier) for tier in row.tiers],
        created_at=row.created_at,
        **{name: _show(cast("int | None", getattr(row, name))) for name in RATES},  # pyright: ignore[reportArgumentType]  # input and output are never None
    )


def _named(body: object, path: str) -> dict[str, int]:
    given = {name: cast("str | None", getattr(body, name)) for name in RATES}
    return {name: _rate(path + name, text) for name, text in given.items() if text is not None}


def _rate(field: str, text: str) -> int:
    price = parse_micro(field, text)
    if price > PRICE_MICRO_MAX:
        raise InvalidField(field, f"use at most {format_micro(PRICE_MICRO_MAX)} credits per million.")
    return price


def _show(rate: int | None) -> str | None:
    return None if rate is None else format_micro(rate)


def _show_tier(tier: Mapping[str, int]) -> PriceTier:
    shown = {name: format_micro(rate) for name, rate in tier.items() if name != "from_prompt_tokens"}
    return PriceTier(from_prompt_tokens=tier["from_prompt_tokens"], **shown)


def _show_tier_facts(tier: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {format_micro(rate)}" for name, rate in tier.items() if name != "from_prompt_tokens")
