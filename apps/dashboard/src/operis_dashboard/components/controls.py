"""What a person fills in and presses."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.wording import t

LANGUAGE_NAMES = [("en", "English"), ("vi", "Tiếng Việt")]
"""As their readers call them."""


def field(label: str | rx.Var[str], control: rx.Component, *, name: str, hint: Any = None) -> rx.Component:
    """Put a label, and perhaps a hint, to the control whose id is `name`."""
    return rx.el.div(
        rx.el.label(label, html_for=name, class_name=theme.LABEL),
        control,
        rx.el.p(hint, id=f"{name}-hint", class_name=theme.HINT) if hint is not None else rx.fragment(),
        class_name="flex flex-col gap-1.5",
    )


def text_input(name: str, **props: Any) -> rx.Component:
    return rx.el.input(id=name, name=name, class_name=theme.INPUT, **props)


def select(name: str, options: list[tuple[str, Any]], **props: Any) -> rx.Component:
    """Offer fixed choices as (value, text)."""
    return rx.el.select(
        *(rx.el.option(text, value=value) for value, text in options),
        id=name,
        name=name,
        class_name=theme.SELECT,
        **props,
    )


def submit(
    text: str | rx.Var[str], *, busy: rx.Var[bool], look: str = theme.BUTTON, wide: bool = False
) -> rx.Component:
    """Send the form. Disabled until the page listens: a form sent earlier would leave without its handler."""
    return rx.el.button(
        rx.cond(busy, rx.icon("loader-circle", size=16, class_name="animate-spin"), rx.fragment()),
        text,
        type="submit",
        disabled=~rx.State.is_hydrated | busy,
        class_name=look + (" w-full" if wide else ""),
    )


def press(text: str | rx.Var[str], *, on_click: Any, busy: rx.Var[bool], look: str = theme.BUTTON) -> rx.Component:
    """A button that does one thing, and shows that it is being done."""
    return rx.el.button(
        rx.cond(busy, rx.icon("loader-circle", size=16, class_name="animate-spin"), rx.fragment()),
        text,
        type="button",
        on_click=on_click,
        disabled=~rx.State.is_hydrated | busy,
        class_name=look,
    )


def alert(message: rx.Var[str]) -> rx.Component:
    """Say what went wrong, above the form that keeps its input."""
    return rx.cond(
        message != "",
        rx.el.div(
            rx.icon("circle-alert", size=16, class_name="mt-0.5 shrink-0"),
            rx.el.span(message),
            role="alert",
            class_name="flex items-start gap-2 rounded bg-destructive-soft px-3 py-2 text-sm text-destructive",
        ),
        rx.fragment(),
    )


def notice(message: rx.Var[str] | str) -> rx.Component:
    """Say what went well, or what to do next."""
    return rx.el.div(
        rx.icon("circle-check", size=16, class_name="mt-0.5 shrink-0"),
        rx.el.span(message, class_name="min-w-0 break-words"),
        role="status",
        class_name="flex items-start gap-2 rounded bg-success-soft px-3 py-2 text-sm text-success",
    )


def search_box(name: str, label: rx.Var[str], value: rx.Var[str], on_change: Any) -> rx.Component:
    """Search as one types, a quarter of a second after the last key."""
    return rx.el.div(
        rx.icon("search", size=16, class_name="pointer-events-none absolute left-3 top-2.5 text-muted-foreground"),
        rx.debounce_input(
            rx.el.input(
                id=name,
                type="search",
                placeholder=label,
                aria_label=label,
                value=value,
                on_change=on_change,
                class_name=theme.INPUT + " pl-9",
            ),
            debounce_timeout=250,
        ),
        class_name="relative w-full sm:w-72",
    )


def choice(name: rx.Var[str] | str, text: Any, *, checked: rx.Var[bool], on_change: Any) -> rx.Component:
    """A check box with its text."""
    return rx.el.label(
        rx.el.input(
            type="checkbox",
            checked=checked,
            on_change=on_change,
            class_name="size-4 accent-[var(--primary)] rounded " + theme.FOCUS,
        ),
        rx.el.span(text, class_name="truncate"),
        title=name,
        class_name="flex items-center gap-2 text-sm cursor-pointer min-w-0",
    )


def disclosure(title: Any, *children: rx.Component) -> rx.Component:
    """What is seldom needed, behind its name."""
    return rx.el.details(
        rx.el.summary(title, class_name="w-fit cursor-pointer rounded-sm text-sm font-medium " + theme.FOCUS),
        rx.el.div(*children, class_name="pt-4"),
        class_name="rounded-lg border border-border p-4",
    )


def segments(options: list[tuple[str, Any]], *, chosen: rx.Var[str], on_choose: Any, label: Any) -> rx.Component:
    """A row of exclusive choices as (value, text)."""
    return rx.el.div(
        *(
            rx.el.button(
                text,
                type="button",
                aria_pressed=rx.cond(chosen == value, "true", "false"),
                on_click=on_choose(value),
                class_name=rx.cond(
                    chosen == value,
                    "h-7 rounded-md bg-card px-3 text-xs font-medium text-foreground shadow-sm border border-border "
                    + theme.FOCUS,
                    "h-7 rounded-md px-3 text-xs font-medium text-muted-foreground hover:text-foreground "
                    "cursor-pointer border border-transparent " + theme.FOCUS,
                ),
            )
            for value, text in options
        ),
        role="group",
        aria_label=label,
        class_name="inline-flex items-center gap-0.5 rounded-lg bg-muted p-0.5 w-fit",
    )


def copy_button(
    value: rx.Var[str] | str, label: rx.Var[str] | None = None, look: str = theme.BUTTON_SMALL
) -> rx.Component:
    return rx.el.button(
        rx.icon("copy", size=14),
        label if label is not None else t("action.copy"),
        type="button",
        on_click=[rx.set_clipboard(value), rx.toast.success(t("toast.copied"))],
        class_name=look,
    )
