"""What narrows a list. The choice goes into the address, and the page reads it from there."""

from typing import Any

import reflex as rx

from operis_dashboard import theme


def choice_filter(
    label: Any, everything: Any, value: rx.Var[str], *options: rx.Component, on_change: Any
) -> rx.Component:
    """Offer one of the options, or everything."""
    return rx.el.select(
        rx.el.option(everything, value=""),
        *options,
        value=value,
        on_change=on_change,
        aria_label=label,
        class_name=theme.SELECT,
    )


def day_filter(label: Any, value: rx.Var[str], *, on_change: Any) -> rx.Component:
    """Offer a day of the reader's calendar."""
    return rx.el.label(
        rx.el.span(label, class_name="shrink-0 text-sm text-muted-foreground"),
        rx.el.input(type="date", value=value, on_change=on_change, class_name=theme.INPUT),
        class_name="flex min-w-0 items-center gap-2",
    )
