"""A wallet's grants in the order in which they are used up, and its free window."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components.cards import figure
from operis_dashboard.components.display import moment, money
from operis_dashboard.components.tables import Column, table
from operis_dashboard.components.words import source_name
from operis_dashboard.granting import FreeWindowShown, GrantRow
from operis_dashboard.wording import t


def free_window(window: rx.Var[FreeWindowShown], *, loaded: rx.Var[bool]) -> rx.Component:
    """Show what is left of it and when the next one begins; nothing where the plan has none."""
    return rx.cond(
        window.length != "",
        figure(
            t("wallet.window"),
            rx.fragment(
                rx.el.span(window.remaining.text, title=window.remaining.exact),
                rx.el.span(
                    " / ",
                    rx.el.span(window.amount.text, title=window.amount.exact),
                    class_name="text-base font-normal text-muted-foreground",
                ),
            ),
            loaded=loaded,
            note=rx.cond(
                window.runs,
                rx.el.span(t("wallet.window_resets", at=window.resets.text), title=window.resets.exact),
                t("wallet.window_opens", length=window.length),
            ),
        ),
        rx.fragment(),
    )


def grants_table(grants: rx.Var[list[GrantRow]], *, action: Any = None) -> rx.Component:
    """List grants; with `action(grant)`, a last column offers it."""
    columns = [
        Column(t("wallet.source")),
        Column(t("wallet.left"), number=True),
        Column(t("wallet.held"), number=True, from_width="md"),
        Column(t("wallet.priority"), number=True, from_width="md"),
        Column(t("wallet.given"), from_width="lg"),
        Column(t("wallet.expires")),
    ]
    if action is not None:
        columns.append(Column(rx.el.span(t("table.actions"), class_name="sr-only")))

    def cells(grant: rx.Var[Any]) -> list[rx.Component]:
        found = [
            rx.el.span(source_name(grant.source), class_name="font-medium"),
            _left(grant),
            money(grant.held, theme.NUMBER + " text-muted-foreground"),
            rx.el.span(grant.priority, class_name=theme.NUMBER + " text-muted-foreground"),
            moment(grant.given),
            rx.cond(grant.ends, moment(grant.expires), rx.el.span(t("wallet.never_expires"), class_name=_QUIET)),
        ]
        return [*found, action(grant)] if action is not None else found

    return table(columns, grants, cells, label=t("wallet.grants"))


_QUIET = "text-muted-foreground"


def _left(grant: rx.Var[Any]) -> rx.Component:
    return rx.el.div(
        rx.el.span(
            money(grant.remaining, theme.NUMBER + " font-medium"),
            rx.el.span(" / ", money(grant.amount), class_name=_QUIET),
        ),
        rx.el.div(
            rx.el.div(style={"width": grant.left}, class_name="h-full rounded-full bg-accent"),
            class_name="h-1 w-16 sm:w-24 overflow-hidden rounded-full bg-muted",
            aria_hidden=True,
        ),
        class_name="flex flex-col items-end gap-1.5 sm:whitespace-nowrap",
    )
