"""Price files: what others publish and what operators write themselves, read as exact decimals, never through a float.

`litellm` is LiteLLM's public model_prices_and_context_window.json: dollars per token, by the provider's name of it.
`json` and `csv` are our own: credits per million, by our id of a model.
"""

import csv
import io
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import cast

import msgspec

from operis_api.admin.pricing import PRICE_MICRO_MAX, RATES, Rates, read_rates
from operis_api.admin.schemas import ImportFormat, PriceTier
from operis_api.kit.errors import InvalidField
from operis_api.kit.money import MICRO, format_micro

ENTRIES_MAX = 20_000
_DIGITS_MAX = 40
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation, ValueError)
_LITELLM = {
    "input_cost_per_token": "cost_input",
    "output_cost_per_token": "cost_output",
    "cache_read_input_token_cost": "cost_cached_input",
    "cache_creation_input_token_cost": "cost_cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cost_cache_write_1h",
    "output_cost_per_reasoning_token": "cost_reasoning",
    "input_cost_per_audio_token": "cost_audio_input",
    "output_cost_per_audio_token": "cost_audio_output",
    "output_cost_per_image_token": "cost_image",
    "input_cost_per_request": "cost_per_request",
}
_ABOVE = re.compile(r"(.+)_above_(\d{1,6})k_tokens", re.ASCII)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a price file: its prices, or why it has none that can be used."""

    rates: Rates = Rates({})
    why: str | None = None
    ignored: tuple[str, ...] = ()
    """What the file says beside, for which there is no meter."""


class OwnEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model of our own formats."""

    model_id: str
    input: str | None = None
    output: str | None = None
    cached_input: str | None = None
    cache_write_5m: str | None = None
    cache_write_1h: str | None = None
    reasoning: str | None = None
    audio_input: str | None = None
    audio_output: str | None = None
    image: str | None = None
    per_request: str | None = None
    cost_input: str | None = None
    cost_output: str | None = None
    cost_cached_input: str | None = None
    cost_cache_write_5m: str | None = None
    cost_cache_write_1h: str | None = None
    cost_reasoning: str | None = None
    cost_audio_input: str | None = None
    cost_audio_output: str | None = None
    cost_image: str | None = None
    cost_per_request: str | None = None
    tiers: list[PriceTier] = []


class _Unusable(Exception):
    """Why one entry cannot be used; the others can."""


def read_price_file(file_format: ImportFormat, text: str) -> dict[str, Listed]:
    """Return what the file lists, by the name it gives each model; raises `InvalidField` where it is no such file."""
    try:
        match file_format:
            case "litellm":
                listed = _read_litellm(text)
            case "json":
                listed = _read_own(msgspec.json.decode(text, type=list[OwnEntry]))
            case "csv":
                listed = _read_own(_read_csv(text))
    except _UNREADABLE as error:
        raise InvalidField("file", f"it cannot be read as {file_format}: {error}.") from None
    if len(listed) > ENTRIES_MAX:
        raise InvalidField("file", f"it lists more than {ENTRIES_MAX} models.")
    return listed


def _read_litellm(text: str) -> dict[str, Listed]:
    found = msgspec.json.Decoder(dict[str, dict[str, object]], float_hook=Decimal).decode(text)
    return {name: _litellm_entry(entry) for name, entry in found.items() if name != "sample_spec"}


def _litellm_entry(entry: Mapping[str, object]) -> Listed:
    named: dict[str, int] = {}
    tiers: dict[int, dict[str, int]] = {}
    ignored: list[str] = []
    try:
        for key, value in entry.items():
            above = _ABOVE.fullmatch(key)
            if key in _LITELLM:
                _put(named, _LITELLM[key], key, value)
            elif above is not None and above[1] in _LITELLM:
                _put(tiers.setdefault(int(above[2]) * 1000 + 1, {}), _LITELLM[above[1]], key, value)
            elif key == "tiered_pricing":
                _read_ranges(value, named, tiers)
            elif "cost" in key and value:
                ignored.append(key)
        if "cost_input" not in named:
            raise _Unusable("it has no price per input token.")
        if "cost_output" not in named and entry.get("mode") != "embedding":
            raise _Unusable("it has no price per output token.")
        named.setdefault("cost_output", 0)
    except _Unusable as error:
        return Listed(why=str(error), ignored=tuple(ignored))
    return Listed(rates=_in_order(named, tiers), ignored=tuple(ignored))


def _read_ranges(ranges: object, named: dict[str, int], tiers: dict[int, dict[str, int]]) -> None:
    """Read `tiered_pricing`: prices for prompts beyond the first number of each range, the first one of which is 0."""
    if not isinstance(ranges, list):
        raise _Unusable("tiered_pricing is no list.")
    for one in cast("list[object]", ranges):
        member = cast("dict[str, object]", one) if isinstance(one, dict) else {}
        limits = member.get("range")
        begin = cast("list[object]", limits)[0] if isinstance(limits, list) and limits else None
        if not isinstance(begin, int) or begin < 0:
            raise _Unusable("tiered_pricing has a range without a beginning.")
        target = tiers.setdefault(begin + 1, {}) if begin else named
        for key, value in member.items():
            if key in _LITELLM:
                _put(target, _LITELLM[key], f"tiered_pricing.{key}", value)


def _put(target: dict[str, int], column: str, key: str, value: object) -> None:
    """Note what is asked for a token, in microcredits per million; null is as if it were not there."""
    if value is not None:
        target[column] = _per_million(key, value)


def _per_million(key: str, value: object) -> int:
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except InvalidOperation:
            raise _Unusable(f"{key} is no number.") from None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _Unusable(f"{key} is no number.")
    exact = Decimal(value)
    # A short number may still stand for one of a billion digits: look at its size before computing with it.
    if not exact.is_finite() or len(exact.as_tuple().digits) > _DIGITS_MAX or abs(exact.adjusted()) > _DIGITS_MAX:
        raise _Unusable(f"{key} is out of all reason.")
    micro = Fraction(exact) * MICRO * MICRO
    if micro < 0:
        raise _Unusable(f"{key} is negative.")
    if micro.denominator != 1:
        raise _Unusable(f"{key} is {value}, which is no whole number of microcredits per million.")
    if micro > PRICE_MICRO_MAX:
        raise _Unusable(f"{key} is above {format_micro(PRICE_MICRO_MAX)} credits per million.")
    return micro.numerator


def _in_order(named: dict[str, int], tiers: dict[int, dict[str, int]]) -> Rates:
    return Rates(named, [{"from_prompt_tokens": begin, **tier} for begin, tier in sorted(tiers.items()) if tier])


def _read_own(entries: list[OwnEntry]) -> dict[str, Listed]:
    listed: dict[str, Listed] = {}
    for entry in entries:
        if entry.model_id in listed:
            raise InvalidField("file", f"it lists {entry.model_id} twice.")
        try:
            listed[entry.model_id] = Listed(rates=read_rates(entry))
        except InvalidField as error:
            listed[entry.model_id] = Listed(why=error.detail)
    return listed


def _read_csv(text: str) -> list[OwnEntry]:
    """Read one model a line, and its tiers on lines below it that say `from_prompt_tokens`."""
    lines = csv.DictReader(io.StringIO(text), strict=True)
    known = {"model_id", "from_prompt_tokens", *RATES}
    unknown = set(lines.fieldnames or ()) - known
    if "model_id" not in (lines.fieldnames or ()) or unknown:
        raise ValueError(f"its first line names model_id and prices like {', '.join(RATES[:3])}, not {sorted(unknown)}")
    entries: dict[str, dict[str, object]] = {}
    for line in lines:
        if None in line or None in line.values():
            raise ValueError(f"line {lines.line_num} has another number of columns")
        said = {name: value.strip() for name, value in line.items() if value.strip()}
        model_id, begin = said.pop("model_id", ""), said.pop("from_prompt_tokens", None)
        if begin is None:
            if model_id in entries:
                raise ValueError(f"line {lines.line_num} lists {model_id} again")
            no_tiers: list[object] = []
            entries[model_id] = {"model_id": model_id, **said, "tiers": no_tiers}
        elif model_id in entries and begin.isascii() and begin.isdigit() and len(begin) < 10:
            cast("list[object]", entries[model_id]["tiers"]).append({"from_prompt_tokens": int(begin), **said})
        else:
            raise ValueError(f"line {lines.line_num} is a tier of no model above it, or begins at no number")
    return msgspec.convert(list(entries.values()), list[OwnEntry])
