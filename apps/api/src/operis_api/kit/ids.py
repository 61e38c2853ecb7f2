"""Ids are UUIDv7: they sort by the millisecond they were made in, and tell it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

__all__ = ["new_id", "time_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_MAX = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
new_id = uuid7


def time_of(identifier: UUID) -> datetime:
    """Return the time in a UUIDv7, to the millisecond; of ids that are none, at most the last day there is."""
    return _EPOCH + timedelta(milliseconds=min(identifier.int >> 80, _MILLISECONDS_MAX))
