"""Single values: money, times, counts, statuses. Short to read, exact on hover."""

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.formatting import Shown
from operis_dashboard.wording import t

_BADGE = "inline-flex items-center rounded-md px-2 py-0.5 text-xs font-medium whitespace-nowrap "
_GOOD = _BADGE + "bg-success-soft text-success"
_BAD = _BADGE + "bg-destructive-soft text-destructive"
_CARE = _BADGE + "bg-warning-soft text-warning"
_QUIET = _BADGE + "bg-muted text-muted-foreground"

_STATUSES = {
    "active": _GOOD,
    "open": _GOOD,
    "verified": _GOOD,
    "unverified": _CARE,
    "completed": _GOOD,
    "enabled": _GOOD,
    "well": _GOOD,
    "unknown": _QUIET,
    "resting": _CARE,
    "failing": _BAD,
    "revoked": _QUIET,
    "deleted": _QUIET,
    "expired": _QUIET,
    "disabled": _QUIET,
    "unpriced": _CARE,
    "new": _GOOD,
    "changed": _CARE,
    "skipped": _QUIET,
    "disconnected": _CARE,
    "interrupted": _CARE,
    "estimated": _CARE,
    "reversed": _CARE,
    "binds": _CARE,
    "holds": _GOOD,
    "broken": _BAD,
    "lapsed": _CARE,
    "suspended": _BAD,
    "erasing": _BAD,
    "erased": _QUIET,
    "failed": _BAD,
    "admin": _BADGE + "bg-accent-soft text-accent",
}


def money(shown: rx.Var[Shown], class_name: str = theme.NUMBER) -> rx.Component:
    """Show a `Shown` amount; its exact value appears on hover."""
    return rx.el.span(shown.text, title=shown.exact, class_name=class_name)


def moment(shown: rx.Var[Shown]) -> rx.Component:
    return rx.el.span(shown.text, title=shown.exact, class_name="whitespace-nowrap tabular-nums text-muted-foreground")


def badge(status: rx.Var[str]) -> rx.Component:
    """Show a status by its own word and colour."""
    return rx.match(
        status,
        *((name, rx.el.span(t(f"status.{name}"), class_name=look)) for name, look in _STATUSES.items()),
        rx.el.span(status, class_name=_QUIET),
    )


def quiet_badge(text: str | rx.Var[str]) -> rx.Component:
    return rx.el.span(text, class_name=_QUIET)
