"""What is refused because a limit binds: the answer names its scope, value, what is used and held, when to retry."""

from datetime import datetime

import msgspec

from operis_api.kit.errors import DomainError
from operis_api.kit.money import format_nano

SHORTLY_SECONDS = 2
"""When to try again where only requests in progress stand in the way."""


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """The limit that refused a call, as `place_holds` answers it. Budgets in nanocredits."""

    scope: str
    name: str
    value: int
    used: int
    held: int
    resets_at: datetime | None
    decided_at: datetime

    @property
    def wait_seconds(self) -> int | None:
        """Until it resets, rounded up."""
        if self.resets_at is None:
            return None
        return max(int((self.resets_at - self.decided_at).total_seconds()) + 1, 1)


class BudgetExhausted(DomainError):
    status, code, title = 402, "budget_exhausted", "A budget does not cover this request."


class RateLimited(DomainError):
    status, code, title = 429, "rate_limit_exceeded", "Too many requests or tokens in a minute."


class ConcurrencyLimited(DomainError):
    status, code, title = 429, "concurrency_limit_exceeded", "Too many requests at once."


def exhaust_budget(binding: Binding, *, required_nano: int) -> BudgetExhausted:
    """Return the refusal of a call that a budget does not cover."""
    waiting_helps = binding.held > 0 and binding.value - binding.used >= required_nano
    value, used, held, required = (
        format_nano(amount) for amount in (binding.value, binding.used, binding.held, required_nano)
    )
    remedy = (
        "Wait for those."
        if waiting_helps
        else "It begins anew then."
        if binding.resets_at
        else "Raise it, or use another key."
    )
    until = f" until {_moment(binding)}" if binding.resets_at else ""
    return BudgetExhausted(
        f"The {_words(binding)} of {value} credits{until} has {used} spent and {held} held by requests in progress; "
        f"this request needs up to {required}. {remedy}",
        retry_after_seconds=SHORTLY_SECONDS if waiting_helps else binding.wait_seconds,
        limit=binding.name,
        scope=binding.scope,
        value=value,
        used=used,
        held=held,
        required=required,
        resets_at=_moment(binding),
    )


def limit_rate(binding: Binding, *, tokens: int) -> RateLimited:
    """Return the refusal of a call for which this minute has no request, or not so many tokens, left."""
    counted = "requests" if binding.name == "rpm" else "tokens"
    asks = f"; this request may use {tokens}" if counted == "tokens" else ""
    too_large = counted == "tokens" and tokens > binding.value
    remedy = "Ask for less output." if too_large else f"Try again at {_moment(binding)}."
    return RateLimited(
        f"The {_words(binding)} is {binding.value} {counted} a minute, {binding.used} are used{asks}. {remedy}",
        retry_after_seconds=binding.wait_seconds,
        limit=binding.name,
        scope=binding.scope,
        value=str(binding.value),
        used=str(binding.used),
        required=str(tokens if counted == "tokens" else 1),
        resets_at=_moment(binding),
    )


def limit_concurrency(binding: Binding) -> ConcurrencyLimited:
    return ConcurrencyLimited(
        f"The {_words(binding)} is {binding.value} requests at once, and {binding.used} are in progress. "
        "Wait for one to end.",
        retry_after_seconds=1,
        limit=binding.name,
        scope=binding.scope,
        value=str(binding.value),
        used=str(binding.used),
    )


def _words(binding: Binding) -> str:
    kinds = {
        "budget": "budget",
        "budget_daily": "daily budget",
        "budget_weekly": "weekly budget",
        "budget_monthly": "monthly budget",
        "rpm": "request rate",
        "tpm": "token rate",
        "concurrency": "concurrency",
    }
    return f"{binding.scope}'s {kinds[binding.name]}"


def _moment(binding: Binding) -> str | None:
    return None if binding.resets_at is None else binding.resets_at.strftime("%Y-%m-%dT%H:%M:%SZ")
