"""API keys as text, and the form of one read back: what it may do, what it has used, which limit binds."""

from dataclasses import dataclass
from dataclasses import field as default
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

from msgspec import UNSET, UnsetType

from operis_client.models import ApiKey, LimitState
from operis_dashboard.formatting import NOTHING, Shown, Writer, share
from operis_dashboard.forms import read_amount, read_field

SCOPES = (
    "inference",
    "inference:chat",
    "inference:responses",
    "inference:messages",
    "inference:embeddings",
    "models",
    "usage",
    "billing",
    "billing:read",
    "billing:write",
    "keys",
    "keys:read",
    "keys:write",
)
SCOPES_DEFAULT = ["inference", "models"]
BUDGETS = ("budget", "budget_daily", "budget_weekly", "budget_monthly")
COUNTS = ("rpm", "tpm", "concurrency")
LIFETIMES_DAYS = {"7": 7, "30": 30, "90": 90, "365": 365}
KEEP_EXPIRY = "keep"
_LIST_CHARACTERS_MAX = 10_000


class LimitWishes(TypedDict):
    """The limits that a form sets, as the client's methods take them; None takes one away."""

    budget: str | None
    budget_daily: str | None
    budget_weekly: str | None
    budget_monthly: str | None
    rpm: int | None
    tpm: int | None
    concurrency: int | None


class Wishes(LimitWishes):
    """What a form asks a key to be, as the client's methods take it."""

    name: str
    scopes: list[str]
    models: list[str]
    cidrs: list[str]
    expires_at: datetime | UnsetType | None


@dataclass(frozen=True)
class LimitRow:
    scope: str = ""
    name: str = ""
    used: Shown = default(default_factory=Shown)
    value: Shown = default(default_factory=Shown)
    left: Shown = default(default_factory=Shown)
    width: str = "0%"
    resets: Shown = default(default_factory=Shown)
    binds: bool = False
    spent: bool = False


@dataclass(frozen=True)
class KeyRow:
    id: str = ""
    name: str = ""
    prefix: str = ""
    status: str = ""
    service: bool = False
    owner: str = ""
    organization: str = ""
    organization_id: str = ""
    spent: Shown = default(default_factory=Shown)
    requests: str = ""
    errors: str = ""
    last_used: Shown = default(default_factory=Shown)
    last_from: str = ""
    last_model: str = ""
    created: Shown = default(default_factory=Shown)
    expires: Shown = default(default_factory=Shown)
    old_secret_ends: Shown = default(default_factory=Shown)
    by_operator: bool = False
    reason: str = ""
    models: list[str] = default(default_factory=list)
    scopes: list[str] = default(default_factory=list)
    cidrs: list[str] = default(default_factory=list)
    limits: list[LimitRow] = default(default_factory=list)
    limited: bool = False
    binding: LimitRow = default(default_factory=LimitRow)


def write_key(key: ApiKey, writer: Writer) -> KeyRow:
    limits = [write_limit(state, writer) for state in key.states]
    binding = next((limit for limit in limits if limit.binds), None)
    return KeyRow(
        id=key.id,
        name=key.name,
        prefix=f"{key.prefix}…{key.last_four}",
        status=key.status,
        service=key.service,
        owner=key.owner_email,
        organization=key.organization_name,
        organization_id=key.organization_id,
        spent=writer.money(key.spent),
        requests=writer.count(key.requests),
        errors=writer.count(key.errors),
        last_used=writer.moment(key.last_used_at),
        last_from=" · ".join(part for part in (key.last_address, key.last_agent) if part) or NOTHING,
        last_model=key.last_model or NOTHING,
        created=writer.moment(key.created_at),
        expires=writer.moment(key.expires_at),
        old_secret_ends=writer.moment(key.old_secret_expires_at),
        by_operator=key.disabled_by == "operator",
        reason=key.reason or "",
        models=key.models,
        scopes=key.scopes,
        cidrs=key.cidrs,
        limits=limits,
        limited=binding is not None,
        binding=binding or LimitRow(),
    )


def write_limit(state: LimitState, writer: Writer) -> LimitRow:
    def shown(amount: str) -> Shown:
        return writer.money(amount) if state.name in BUDGETS else Shown(writer.number(amount), amount)

    return LimitRow(
        scope=state.scope,
        name=state.name,
        used=shown(state.used),
        value=shown(state.value),
        left=shown(state.remaining),
        width=f"{100 - share(state.remaining, state.value) / 10:.1f}%",
        resets=writer.moment(state.resets_at),
        binds=state.binds,
        spent=not state.remaining.strip("0."),
    )


def write_form(key: ApiKey) -> dict[str, str]:
    """Return what a key is now, as its form's first values."""
    return {
        "name": key.name,
        "cidrs": "\n".join(key.cidrs),
        **{name: getattr(key, name) or "" for name in BUDGETS},
        **{name: str(getattr(key, name) or "") for name in COUNTS},
    }


def read_wishes(form: dict[str, Any], *, scopes: list[str], models: list[str]) -> Wishes:
    """Return what the form asks for. Raises ValueError like `read_limits`."""
    return Wishes(
        name=read_field(form, "key_name").strip(),
        scopes=scopes,
        models=[*models, *_read_list(form, "patterns")],
        cidrs=_read_list(form, "cidrs"),
        expires_at=_read_expiry(form),
        **read_limits(form),
    )


def read_limits(form: dict[str, Any]) -> LimitWishes:
    """Return the limits of a form; an empty one is none. Raises ValueError for a count that is no number."""
    counts = {name: read_field(form, name).strip() for name in COUNTS}
    if any(text and not text.isdecimal() for text in counts.values()):
        raise ValueError
    rpm, tpm, concurrency = (int(counts[name]) if counts[name] else None for name in COUNTS)
    budget, daily, weekly, monthly = (read_amount(form, name) or None for name in BUDGETS)
    return LimitWishes(
        budget=budget,
        budget_daily=daily,
        budget_weekly=weekly,
        budget_monthly=monthly,
        rpm=rpm,
        tpm=tpm,
        concurrency=concurrency,
    )


def _read_expiry(form: dict[str, Any]) -> datetime | UnsetType | None:
    lifetime = read_field(form, "lifetime")
    if lifetime == KEEP_EXPIRY:
        return UNSET
    days = LIFETIMES_DAYS.get(lifetime)
    return datetime.now(UTC) + timedelta(days=days) if days else None


def _read_list(form: dict[str, Any], name: str) -> list[str]:
    """Return the words of a field, whether commas or lines part them."""
    return read_field(form, name, characters_max=_LIST_CHARACTERS_MAX).replace(",", " ").split()
