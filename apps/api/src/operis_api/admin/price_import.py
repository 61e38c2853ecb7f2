"""Importing prices: first a diff that somebody reviews, then exactly that diff.

Its one rule: what is applied was reviewed. The diff has a digest over itself, the file and the catalog's version;
applying names it, and is refused where any of them changed meanwhile.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.admin.errors import ImportChanged
from operis_api.admin.price_files import Listed
from operis_api.admin.pricing import PRICE_MICRO_MAX, RATES, Rates, add_price
from operis_api.admin.schemas import ImportPricesBody, PriceChange, PriceField, PriceImport
from operis_api.audit.recording import record_event
from operis_api.catalog.offers import touch_catalog
from operis_api.kit.errors import InvalidField
from operis_api.kit.money import format_micro, format_ratio, parse_ratio
from operis_api.kit.origin import Origin
from operis_db import catalog as tables

MODELS_MAX = 2000
JUMP = 10
"""A price that becomes so many times as much, or that part of it, is flagged."""
_UNLISTED = "The file does not list it."


class _Found(msgspec.Struct, frozen=True):
    change: PriceChange
    rates: Rates | None
    """The version to add; None where there is none."""


async def review_import(
    session: AsyncSession, body: ImportPricesBody, listed: Mapping[str, Listed], begin: datetime
) -> PriceImport:
    """Return what an import would change, and the plan that applies it."""
    version = await session.scalar(select(tables.CatalogVersion.version))
    found = await _compare(session, body, listed, begin)
    return _answer(body, found, listed, plan=_digest(body, found, version or 0), added=0)


async def apply_import(
    session: AsyncSession,
    origin: Origin,
    body: ImportPricesBody,
    listed: Mapping[str, Listed],
    *,
    begin: datetime,
    now: datetime,
) -> PriceImport:
    """Add the versions of a reviewed diff, all or none; raises `ImportChanged` where it is not that diff any more."""
    await touch_catalog(session)  # from here on nobody else changes it
    version = await session.scalar(select(tables.CatalogVersion.version))
    found = await _compare(session, body, listed, begin)
    plan = _digest(body, found, (version or 0) - 1)
    if plan != body.plan:
        raise ImportChanged("The catalog or the request changed since that diff was made; review it again.")
    chosen = _choose(found, body.models)
    for model_id, rates in chosen.items():
        await add_price(session, origin, rates, model_id=model_id, begin=begin, now=now)
    record_event(
        session,
        origin,
        action="price.import",
        target=("prices", plan),
        after={"format": body.format, "markup": body.markup, "models": len(chosen), "begin": begin.isoformat()},
    )
    return _answer(body, found, listed, plan=plan, added=len(chosen))


def _choose(found: Sequence[_Found], models: Sequence[str] | None) -> dict[str, Rates]:
    """Return the versions to add: those that were named, else all that are not flagged."""
    addable = {one.change.model_id: one.rates for one in found if one.rates is not None}
    flagged = {one.change.model_id for one in found if one.change.flags}
    if models is None:
        models = [model_id for model_id in addable if model_id not in flagged]
    for model_id in models:
        if model_id not in addable:
            raise InvalidField("models", f"{model_id} is neither new nor changed in this import.")
    if not models:
        raise InvalidField("models", "there is nothing to apply; models that are flagged have to be named.")
    return {model_id: addable[model_id] for model_id in models}


async def _compare(
    session: AsyncSession, body: ImportPricesBody, listed: Mapping[str, Listed], begin: datetime
) -> list[_Found]:
    markup = parse_ratio("markup", body.markup)
    models = (await session.scalars(select(tables.Model).order_by(tables.Model.id).limit(MODELS_MAX))).all()
    links = await session.scalars(
        select(tables.ModelUpstream).order_by(tables.ModelUpstream.priority, tables.ModelUpstream.weight.desc())
    )
    names: dict[str, list[str]] = {model.id: [model.id] for model in models}
    if body.format == "litellm":
        for link in links:
            names.get(link.model_id, []).append(link.upstream_model)
    in_force = await session.scalars(
        select(tables.Price)
        .distinct(tables.Price.model_id)
        .where(tables.Price.effective_from <= begin)
        .order_by(tables.Price.model_id, tables.Price.effective_from.desc())
    )
    before = {row.model_id: row for row in in_force}
    found: list[_Found] = []
    for model in models:
        source = next((name for name in names[model.id] if name in listed), None)
        found.append(_compare_model(model.id, before.get(model.id), source, listed, markup))
    return found


def _compare_model(
    model_id: str, before: tables.Price | None, source: str | None, listed: Mapping[str, Listed], markup: Fraction
) -> _Found:
    entry = Listed(why=_UNLISTED) if source is None else listed[source]
    rates = None if entry.why else _with_sale(entry.rates, markup)
    why = entry.why or _lacks(rates)
    status = "skipped" if why else "new" if before is None else "changed"
    fields: list[PriceField] = []
    flags: list[str] = []
    if not why and rates is not None:
        old, new = _flat(_rates_of(before)), _flat(rates)
        fields = [_field(name, old.get(name), new.get(name)) for name in sorted({*old, *new}, key=_order)]
        fields = [field for field in fields if field.before != field.after]
        flags = [*_jumps(old, new), *_below_cost(new)]
        if not fields:
            status = "unchanged"
    change = PriceChange(
        model_id=model_id,
        status=status,
        source=source,
        why=why,
        fields=fields,
        flags=flags if fields else [],
        ignored=list(entry.ignored),
    )
    return _Found(change, rates if status in {"new", "changed"} else None)


def _with_sale(rates: Rates, markup: Fraction) -> Rates:
    """Return the rates with a sale price for each cost that has none: cost times markup, rounded up."""

    def marked_up(named: Mapping[str, int]) -> dict[str, int]:
        sale = {
            name.removeprefix("cost_"): -(-cost * markup.numerator // markup.denominator)
            for name, cost in named.items()
            if name.startswith("cost_")
        }
        return {**sale, **named}

    return Rates(marked_up(rates.named), [marked_up(tier) for tier in rates.tiers])


def _lacks(rates: Rates | None) -> str | None:
    """Say why these rates are no price version; None where they are one."""
    if rates is None or not {"input", "output"} <= set(rates.named):
        return "It has no prices of input and output, nor costs of both."
    if (
        max(rate for part in (rates.named, *rates.tiers) for name, rate in part.items() if name in RATES)
        > PRICE_MICRO_MAX
    ):
        return f"A price is above {format_micro(PRICE_MICRO_MAX)} credits per million."
    return None


def _rates_of(row: tables.Price | None) -> Rates:
    if row is None:
        return Rates({})
    return Rates({name: rate for name in RATES if (rate := getattr(row, name)) is not None}, row.tiers)


def _flat(rates: Rates) -> dict[str, int]:
    """Return all rates by one name each: `input`, and of a tier `input from 200001`."""
    tiers = {
        f"{name} from {tier['from_prompt_tokens']}": rate
        for tier in rates.tiers
        for name, rate in tier.items()
        if name != "from_prompt_tokens"
    }
    return {**rates.named, **tiers}


def _order(name: str) -> tuple[int, int]:
    rate, _, begin = name.partition(" from ")
    return (int(begin or 0), RATES.index(rate))


def _field(name: str, before: int | None, after: int | None) -> PriceField:
    percent = None
    if before and after is not None:
        tenths = round(Fraction((after - before) * 1000, before))
        percent = f"{'-' if tenths < 0 else '+'}{abs(tenths) // 10}.{abs(tenths) % 10}"
    return PriceField(
        field=name,
        before=None if before is None else format_micro(before),
        after=None if after is None else format_micro(after),
        percent=percent,
    )


def _jumps(old: Mapping[str, int], new: Mapping[str, int]) -> list[str]:
    both = [(name, old[name], new[name]) for name in new if name in old and old[name] != new[name]]
    return [
        f"{name} jumps from {format_micro(before)} to {format_micro(after)}"
        for name, before, after in both
        if after >= before * JUMP or after * JUMP <= before
    ]


def _below_cost(new: Mapping[str, int]) -> list[str]:
    return [f"{name} is sold below its cost" for name, rate in new.items() if rate < new.get(f"cost_{name}", 0)]


def _digest(body: ImportPricesBody, found: Sequence[_Found], version: int) -> str:
    said = (
        version,
        body.format,
        format_ratio(parse_ratio("markup", body.markup)),
        None if body.effective_from is None else body.effective_from.isoformat(),
        hashlib.sha256(body.file.encode()).hexdigest(),
        [(one.change, one.rates) for one in found],
    )
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()


def _answer(
    body: ImportPricesBody, found: Sequence[_Found], listed: Mapping[str, Listed], *, plan: str, added: int
) -> PriceImport:
    used = {one.change.source for one in found}
    return PriceImport(
        plan=plan,
        added=added,
        markup=format_ratio(parse_ratio("markup", body.markup)),
        effective_from=body.effective_from,
        changes=[one.change for one in found],
        unused=sum(name not in used for name in listed),
    )
