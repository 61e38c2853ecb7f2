"""Keyset paging: a cursor says after which row the next page begins; it is opaque, and refused when it is not ours."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from operis_api.kit.errors import InvalidField

LIMIT_DEFAULT = 50
LIMIT_MAX = 200

Item = TypeVar("Item")
Row = TypeVar("Row")
Position = TypeVar("Position")


class Page(msgspec.Struct, Generic[Item], frozen=True):
    items: list[Item]
    next: str | None = None


def encode_cursor(position: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(after: str, position: type[Position]) -> Position:
    """Read the position a cursor stands for, or raise `InvalidField`."""
    try:
        raw = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4))
        return msgspec.json.decode(raw, type=position)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidField("after", "use the `next` of the page before, unchanged.") from error


def page(
    rows: Sequence[Row], *, limit: int, position: Callable[[Row], object], item: Callable[[Row], Item]
) -> Page[Item]:
    """Make a page of `rows`, which were read with one row beyond `limit` to know whether there is a next page."""
    shown = rows[:limit]
    following = encode_cursor(position(shown[-1])) if len(rows) > limit else None
    return Page(items=[item(row) for row in shown], next=following)
