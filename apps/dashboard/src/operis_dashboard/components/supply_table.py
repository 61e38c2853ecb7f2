"""Upstreams in a list: how each is, a test, and the switch that takes it out of service."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components.display import badge, quiet_badge
from operis_dashboard.components.tables import Column, actions, table
from operis_dashboard.supplying import UpstreamRow
from operis_dashboard.wording import t


def upstream_table(
    rows: rx.Var[list[UpstreamRow]],
    *,
    testing_id: rx.Var[str],
    on_open: Any,
    on_test: Any,
    on_enable: Any,
    on_disable: Any,
) -> rx.Component:
    return table(
        [
            Column(t("upstreams.name")),
            Column(t("upstreams.health")),
            Column(t("upstreams.protocol"), from_width="lg"),
            Column(t("upstreams.key"), from_width="lg"),
            Column(t("upstreams.models"), number=True, from_width="md"),
            Column(rx.el.span(t("table.actions"), class_name="sr-only"), from_width="sm"),
        ],
        rows,
        lambda row: [
            rx.el.div(
                rx.el.button(
                    row.name,
                    type="button",
                    on_click=on_open(row.id).stop_propagation,
                    class_name="max-w-32 truncate text-left font-medium cursor-pointer hover:underline rounded-sm "
                    "sm:max-w-72 " + theme.FOCUS,
                ),
                rx.el.span(row.base_url, class_name="max-w-32 truncate text-xs text-muted-foreground sm:max-w-72"),
                class_name="flex flex-col gap-0.5",
            ),
            _health(row),
            rx.el.span(row.protocol, class_name="text-muted-foreground"),
            rx.el.div(
                rx.el.span(row.key, class_name="font-mono text-xs text-muted-foreground"),
                rx.cond(row.further > 0, quiet_badge(f"+{row.further}"), rx.fragment()),
                class_name="flex items-center gap-2",
            ),
            rx.el.span(row.models, class_name=theme.NUMBER),
            actions(
                rx.cond(
                    row.builtin,
                    rx.fragment(),
                    rx.el.button(
                        rx.cond(testing_id == row.id, t("upstreams.testing"), t("upstreams.test")),
                        type="button",
                        disabled=testing_id == row.id,
                        on_click=on_test(row.id, row.name).stop_propagation,
                        class_name=theme.BUTTON_SMALL,
                    ),
                ),
                switch(row, on_enable=on_enable, on_disable=on_disable),
            ),
        ],
        label=t("nav.admin_upstreams"),
        on_open=lambda row: on_open(row.id),
    )


def switch(row: rx.Var[UpstreamRow], *, on_enable: Any, on_disable: Any) -> rx.Component:
    """Offer to disable an upstream, or to enable it again."""
    return rx.cond(
        row.enabled,
        rx.el.button(
            t("upstreams.disable"),
            type="button",
            on_click=on_disable(row.id, row.name).stop_propagation,
            class_name=theme.BUTTON_SMALL_DANGER + " shrink-0",
        ),
        rx.el.button(
            t("upstreams.enable"),
            type="button",
            on_click=on_enable(row.id).stop_propagation,
            class_name=theme.BUTTON_SMALL + " shrink-0",
        ),
    )


def _health(row: rx.Var[UpstreamRow]) -> rx.Component:
    return rx.el.div(
        badge(row.status),
        rx.cond(
            row.note.text != "",
            rx.el.span(
                rx.cond(row.status == "resting", t("upstreams.until", at=row.note.text), row.note.text),
                title=row.note.exact,
                class_name="max-w-28 truncate text-xs tabular-nums text-muted-foreground sm:max-w-56",
            ),
            rx.fragment(),
        ),
        class_name="flex flex-col items-start gap-1",
    )
