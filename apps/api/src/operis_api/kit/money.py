"""Money and prices as text: exact decimal strings outside, integers inside, never a float between."""

import re

from operis_api.kit.errors import InvalidField

NANO = 1_000_000_000
MICRO = 1_000_000
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
