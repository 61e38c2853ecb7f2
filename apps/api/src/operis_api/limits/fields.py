"""Limits on the wire: how they are shown, and how a body sets them. One shape for everything that has limits."""

import msgspec
from msgspec import UNSET, UnsetType

from operis_api.kit.errors import InvalidField
from operis_api.kit.money import NANO, format_nano, parse_nano
from operis_db.people import Limited

BUDGETS = ("budget", "budget_daily", "budget_weekly", "budget_monthly")
COUNTS_MAX = {"rpm": 10_000_000, "tpm": 1_000_000_000_000, "concurrency": 1_000_000}
BUDGET_NANO_MAX = 1_000_000_000 * NANO


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Every limit; null: none. Budgets in credits."""

    budget: str | None
    budget_daily: str | None
    budget_weekly: str | None
    budget_monthly: str | None
    rpm: int | None
    tpm: int | None
    concurrency: int | None


class LimitsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits to set: a field that is left out stays as it is, null takes its limit away."""

    budget: str | UnsetType | None = UNSET
    budget_daily: str | UnsetType | None = UNSET
    budget_weekly: str | UnsetType | None = UNSET
    budget_monthly: str | UnsetType | None = UNSET
    rpm: int | UnsetType | None = UNSET
    tpm: int | UnsetType | None = UNSET
    concurrency: int | UnsetType | None = UNSET


def set_limits(row: Limited, body: LimitsBody) -> None:
    """Set what the body names, or raise `InvalidField`."""
    for name in BUDGETS:
        text: str | UnsetType | None = getattr(body, name)
        if text is not UNSET:
            setattr(row, f"{name}_nano", None if text is None else _parse_budget(name, text))
    for name, most in COUNTS_MAX.items():
        count: int | UnsetType | None = getattr(body, name)
        if count is UNSET:
            continue
        if count is not None and not 1 <= count <= most:
            raise InvalidField(name, f"use 1 to {most}, or null for no limit.")
        setattr(row, name, count)


def show_limits(row: Limited) -> Limits:
    budgets: dict[str, int | None] = {name: getattr(row, f"{name}_nano") for name in BUDGETS}
    return Limits(
        **{name: None if nano is None else format_nano(nano) for name, nano in budgets.items()},
        rpm=row.rpm,
        tpm=row.tpm,
        concurrency=row.concurrency,
    )


def limit_facts(row: Limited) -> dict[str, str | int | bool | None]:
    """Return the limits for an audit event."""
    return msgspec.structs.asdict(show_limits(row))


def _parse_budget(name: str, text: str) -> int:
    nano = parse_nano(name, text)
    if not 0 <= nano <= BUDGET_NANO_MAX:
        raise InvalidField(name, f"use 0 to {format_nano(BUDGET_NANO_MAX)} credits, or null for no limit.")
    return nano
