"""Times and time zones that somebody outside names: aware, and within what the database and arithmetic can bear."""

from datetime import UTC, datetime
from functools import cache
from zoneinfo import available_timezones

from operis_api.kit.errors import InvalidField

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def check_moment(field: str, moment: datetime) -> datetime:
    """Return the moment in UTC, or raise `InvalidField` where it has no zone or is out of all reason."""
    if moment.tzinfo is None:
        raise InvalidField(field, "write the time with its zone, like 2027-01-31T12:00:00Z.")
    if not EARLIEST <= moment < LATEST:
        raise InvalidField(field, f"use a time from {EARLIEST.year} to {LATEST.year - 1}.")
    return moment.astimezone(UTC)


def check_time_zone(field: str, name: str) -> str:
    """Return the zone's name, or raise `InvalidField` where the tz database has none by it."""
    if name not in _zones():
        raise InvalidField(field, "name a zone like Europe/Berlin.")
    return name


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
