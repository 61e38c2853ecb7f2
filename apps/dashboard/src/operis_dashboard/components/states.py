"""The four states of every list: loading, failed, empty, full."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.wording import t


def four_states(
    *, loaded: rx.Var[bool], failure: rx.Var[str], count: Any, retry: Any, empty: rx.Component, full: rx.Component
) -> rx.Component:
    """Show what fits: the failure with a retry, a skeleton, what an empty list is for, or the list."""
    return rx.cond(
        failure != "",
        failed(failure, retry),
        rx.cond(loaded, rx.cond(count == 0, empty, full), skeleton_rows()),
    )


def failed(message: rx.Var[str], retry: Any) -> rx.Component:
    return rx.el.div(
        rx.icon("cloud-off", size=20, class_name="text-muted-foreground"),
        rx.el.p(t("state.failed"), class_name="text-sm font-medium"),
        rx.el.p(message, class_name="max-w-md text-sm text-muted-foreground"),
        rx.el.button(
            rx.icon("rotate-cw", size=14),
            t("action.retry"),
            type="button",
            on_click=retry,
            class_name=theme.BUTTON_SMALL,
        ),
        role="alert",
        class_name=theme.CARD + " flex flex-col items-center gap-2 px-6 py-12 text-center",
    )


def empty_state(icon: str, title: rx.Var[str], text: rx.Var[str], action: rx.Component | None = None) -> rx.Component:
    """Say what will stand here and what to do next."""
    return rx.el.div(
        rx.el.div(
            rx.icon(icon, size=20), class_name="rounded-lg border border-border bg-muted p-2.5 text-muted-foreground"
        ),
        rx.el.p(title, class_name="mt-1 text-sm font-medium"),
        rx.el.p(text, class_name="max-w-md text-sm text-muted-foreground"),
        rx.el.div(action, class_name="mt-2") if action is not None else rx.fragment(),
        class_name=theme.CARD + " flex flex-col items-center gap-1.5 px-6 py-14 text-center",
    )


def skeleton(class_name: str) -> rx.Component:
    return rx.el.div(class_name="animate-pulse rounded-md bg-muted " + class_name)


def skeleton_rows() -> rx.Component:
    """Rows that are on their way."""
    return rx.el.div(
        *(
            rx.el.div(
                skeleton("h-4 w-1/4"),
                skeleton("h-4 w-1/6"),
                skeleton("ml-auto h-4 w-16"),
                class_name="flex items-center gap-6 border-b border-border px-4 py-3.5 last:border-0",
            )
            for _ in range(6)
        ),
        aria_busy="true",
        aria_label=t("state.loading"),
        role="status",
        class_name=theme.CARD,
    )
