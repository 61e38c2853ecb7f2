"""Money and prices as text: exact decimal strings outside, integers inside, never a float between."""

import re
from fractions import Fraction

from operis_api.kit.errors import InvalidField

NANO = 1_000_000_000
MICRO = 1_000_000
RATIO_MAX = 1000
RATIO_PART_MAX = 1_000_000
_RATIO = re.compile(r"(\d{1,7})/(\d{1,7})", re.ASCII)
_DECIMAL = re.compile(r"(-?)(\d{1,10})(?:\.(\d+))?", re.ASCII)


def format_nano(amount_nano: int) -> str:
    """Write nanocredits as credits: 1500000000 -> "1.5", exact and without idle zeros."""
    return _format(amount_nano, 9)


def format_micro(price_micro: int) -> str:
    """Write microcredits as credits: 2500000 -> "2.5"."""
    return _format(price_micro, 6)


def parse_nano(field: str, text: str) -> int:
    """Read credits with up to nine decimals as nanocredits, or raise `InvalidField`."""
    return _parse(field, text, 9)


def parse_micro(field: str, text: str) -> int:
    """Read a price in credits with up to six decimals as microcredits, or raise `InvalidField`; never negative."""
    price = _parse(field, text, 6)
    if price < 0:
        raise InvalidField(field, "a price cannot be negative.")
    return price


def format_ratio(ratio: Fraction) -> str:
    """Write an exact factor: 4/5 -> "0.8", and 1/3 -> "1/3", which no decimal is."""
    micro = ratio * MICRO
    return format_micro(micro.numerator) if micro.denominator == 1 else f"{ratio.numerator}/{ratio.denominator}"


def parse_ratio(field: str, text: str) -> Fraction:
    """Read an exact factor of 0 to 1000, as a decimal or a fraction, or raise `InvalidField`."""
    parts = _RATIO.fullmatch(text)
    if parts is None:
        ratio = Fraction(_parse(field, text, 6), MICRO)
    elif 0 < int(parts[2]) <= RATIO_PART_MAX and int(parts[1]) <= RATIO_PART_MAX:
        ratio = Fraction(int(parts[1]), int(parts[2]))
    else:
        raise InvalidField(field, f"write a fraction of 0 to {RATIO_PART_MAX} over 1 to {RATIO_PART_MAX}.")
    if not 0 <= ratio <= RATIO_MAX:
        raise InvalidField(field, f"use 0 to {RATIO_MAX}.")
    return ratio


def _format(amount: int, decimals: int) -> str:
    whole, part = divmod(abs(amount), 10**decimals)
    digits = f"{part:0{decimals}d}".rstrip("0")
    return f"{'-' if amount < 0 else ''}{whole}{'.' + digits if digits else ''}"


def _parse(field: str, text: str, decimals: int) -> int:
    match = _DECIMAL.fullmatch(text)
    if match is None or len(match[3] or "") > decimals:
        raise InvalidField(
            field, f"write a decimal string like 12.5, with up to 10 digits before and {decimals} after the point."
        )
    amount = int(match[2]) * 10**decimals + int((match[3] or "0").ljust(decimals, "0"))
    return -amount if match[1] else amount
