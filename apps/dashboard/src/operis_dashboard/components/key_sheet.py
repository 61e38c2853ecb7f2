"""An API key from inside: what it has done, what is left of its limits, what it may do."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components.cards import facts
from operis_dashboard.components.display import badge, moment, money, quiet_badge
from operis_dashboard.components.words import limit_name, limit_scope
from operis_dashboard.keyring import KeyRow, LimitRow
from operis_dashboard.wording import t


def key_badges(key: rx.Var[KeyRow]) -> rx.Component:
    return rx.el.div(
        badge(key.status),
        rx.cond(key.service, quiet_badge(t("keys.service")), rx.fragment()),
        class_name="flex flex-wrap gap-1",
    )


def key_detail(key: rx.Var[KeyRow], *, for_operator: bool = False) -> rx.Component:
    """Everything of a key but its secret."""
    return rx.fragment(
        key_badges(key),
        rx.cond(
            key.reason != "",
            rx.el.p(
                rx.cond(key.by_operator, t("keys.by_operator", reason=key.reason), key.reason),
                class_name="rounded bg-warning-soft px-3 py-2 text-sm break-words text-warning",
            ),
            rx.fragment(),
        ),
        rx.cond(
            key.old_secret_ends.exact != "",
            rx.el.p(
                t("keys.old_secret_ends"),
                " ",
                rx.el.span(key.old_secret_ends.text, title=key.old_secret_ends.exact, class_name="font-medium"),
                class_name="rounded bg-warning-soft px-3 py-2 text-sm text-warning",
            ),
            rx.fragment(),
        ),
        facts(
            (t("keys.prefix"), rx.el.span(key.prefix, class_name="font-mono text-[13px]")),
            *([(t("users.organization"), key.organization)] if for_operator else []),
            (t("keys.owner"), rx.el.span(key.owner, class_name="break-all")),
            (t("keys.spent"), money(key.spent, theme.NUMBER + " font-semibold")),
            (t("keys.requests"), rx.el.span(key.requests, class_name=theme.NUMBER)),
            (t("keys.errors"), rx.el.span(key.errors, class_name=theme.NUMBER)),
            (t("keys.last_used"), moment(key.last_used)),
            (t("keys.last_model"), rx.el.span(key.last_model, class_name="break-all")),
            (t("keys.last_from"), rx.el.span(key.last_from, class_name="break-all")),
            (t("keys.created"), moment(key.created)),
            (t("keys.expires"), rx.cond(key.expires.exact != "", moment(key.expires), t("keys.never"))),
        ),
        rx.el.section(
            rx.el.h3(t("keys.limits"), class_name="text-sm font-medium"),
            rx.cond(
                key.limits.length() > 0,
                rx.el.ul(rx.foreach(key.limits, _limit), class_name="flex flex-col gap-3"),
                rx.el.p(t("keys.no_limits"), class_name="text-sm text-muted-foreground"),
            ),
            class_name="flex flex-col gap-2",
        ),
        facts(
            (t("keys.models"), _words(key.models, t("keys.all_models"))),
            (t("keys.scopes"), _words(key.scopes, "")),
            (t("keys.cidrs"), _words(key.cidrs, t("keys.everywhere"))),
        ),
    )


def binding_limit(key: rx.Var[KeyRow]) -> rx.Component:
    """The limit with the smallest part left, in a cell."""
    limit = key.binding
    return rx.cond(
        key.limited,
        rx.el.div(
            rx.el.span(limit_name(limit.name), class_name="truncate text-xs"),
            _bar(limit),
            rx.el.span(
                t("keys.left_of", left=limit.left.text, value=limit.value.text),
                title=limit.left.exact + " / " + limit.value.exact,
                class_name="text-xs tabular-nums text-muted-foreground",
            ),
            class_name="flex w-36 flex-col gap-1",
        ),
        rx.el.span(t("keys.unlimited"), class_name="text-muted-foreground"),
    )


def _limit(limit: rx.Var[LimitRow]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.span(limit_name(limit.name), class_name="font-medium"),
            rx.el.span(limit_scope(limit.scope), class_name="text-xs text-muted-foreground"),
            rx.cond(limit.binds, badge("binds"), rx.fragment()),
            rx.el.span(
                t("keys.used_of", used=limit.used.text, value=limit.value.text),
                title=limit.used.exact + " / " + limit.value.exact,
                class_name="ml-auto tabular-nums whitespace-nowrap",
            ),
            class_name="flex flex-wrap items-baseline gap-x-2 gap-y-1 text-sm",
        ),
        _bar(limit),
        rx.cond(
            limit.resets.exact != "",
            rx.el.p(t("keys.resets"), " ", moment(limit.resets), class_name=theme.HINT),
            rx.fragment(),
        ),
        class_name="flex flex-col gap-1.5",
    )


def _bar(limit: rx.Var[LimitRow]) -> rx.Component:
    """How much of a limit is gone, calls in progress included."""
    return rx.el.div(
        rx.el.div(
            style={"width": limit.width},
            class_name=rx.cond(limit.spent, "h-full rounded-full bg-destructive", "h-full rounded-full bg-accent"),
        ),
        class_name="h-1.5 overflow-hidden rounded-full bg-muted",
        aria_hidden=True,
    )


def _words(words: rx.Var[list[str]], none: Any) -> rx.Component:
    return rx.cond(words.length() > 0, rx.el.span(words.join(", "), class_name="break-all"), none)
