"""Cards: a titled box, a visitor's one card, and a figure with its name."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components.links import page_link
from operis_dashboard.components.states import skeleton
from operis_dashboard.wording import t


def card(*children: rx.Component, title: Any = None, action: rx.Component | None = None) -> rx.Component:
    head = (
        rx.el.div(
            rx.el.h2(title, class_name="text-sm font-medium"),
            action if action is not None else rx.fragment(),
            class_name="flex flex-wrap items-center justify-between gap-2",
        )
        if title is not None
        else rx.fragment()
    )
    return rx.el.section(head, *children, class_name=theme.CARD + " flex flex-col gap-4 p-5 min-w-0")


def entrance(*children: rx.Component, title: Any, text: Any) -> rx.Component:
    """The one card of a page that is open to visitors."""
    return rx.el.div(
        rx.el.div(
            rx.el.h1(title, class_name="text-xl font-semibold tracking-tight"),
            rx.el.p(text, class_name="text-sm text-muted-foreground break-words"),
            class_name="flex flex-col gap-1",
        ),
        *children,
        class_name=theme.CARD + " flex w-full max-w-sm flex-col gap-6 p-6 shadow-sm",
    )


def awaited() -> rx.Component:
    """An entrance that does not know yet what it will say."""
    return rx.el.div(
        rx.el.h1(t("state.loading"), class_name="sr-only"),
        skeleton("h-6 w-40"),
        skeleton("h-4 w-full"),
        skeleton("h-9 w-full"),
        aria_busy="true",
        class_name=theme.CARD + " flex w-full max-w-sm flex-col gap-4 p-6 shadow-sm",
    )


def figure(
    name: Any, value: Any, *, loaded: rx.Var[bool], exact: Any = "", note: Any = None, href: str | None = None
) -> rx.Component:
    """A figure in large type; with `href`, the card leads to the rows it was made of."""
    content = rx.fragment(
        rx.el.p(name, class_name="text-sm text-muted-foreground"),
        rx.cond(
            loaded,
            rx.el.p(value, title=exact, class_name="text-2xl font-semibold tracking-tight tabular-nums truncate"),
            skeleton("h-8 w-24"),
        ),
        rx.el.p(note, class_name="text-xs text-muted-foreground") if note is not None else rx.fragment(),
    )
    look = theme.CARD + " flex flex-col gap-1 p-5 min-w-0"
    if href is None:
        return rx.el.div(content, class_name=look)
    return page_link(content, href=href, class_name=look + " transition-colors hover:bg-muted/60 " + theme.FOCUS)


def facts(*pairs: tuple[Any, Any]) -> rx.Component:
    """Name and value, line by line."""
    return rx.el.dl(
        *(
            rx.el.div(
                rx.el.dt(name, class_name="text-sm text-muted-foreground"),
                rx.el.dd(value, class_name="text-sm text-right min-w-0 break-words"),
                class_name="flex items-baseline justify-between gap-4 border-b border-border py-2 last:border-0",
            )
            for name, value in pairs
        )
    )
