"""Windows above the page: dialogs, confirmations and side sheets. Focus is kept inside; Escape closes."""

from typing import Any

import reflex as rx
from reflex_components_radix.primitives.dialog import dialog as radix

from operis_dashboard import theme
from operis_dashboard.wording import t

_OVERLAY = "fixed inset-0 z-40 bg-black/50 operis-fade"
_DIALOG = (
    "fixed left-1/2 top-1/2 z-50 flex max-h-[90dvh] w-[calc(100vw-2rem)] max-w-lg -translate-x-1/2 -translate-y-1/2 "
    "flex-col gap-4 overflow-y-auto rounded-xl border border-border bg-card p-6 shadow-xl outline-none operis-fade"
)
_SHEET = (
    "fixed inset-y-0 right-0 z-50 flex w-full max-w-xl flex-col gap-5 overflow-y-auto border-l border-border bg-card "
    "p-6 shadow-xl outline-none operis-slide"
)


def dialog(
    *children: rx.Component,
    title: Any,
    text: Any = None,
    is_open: rx.Var[bool],
    on_open_change: Any,
    look: str = _DIALOG,
) -> rx.Component:
    return radix.root(
        radix.portal(
            radix.overlay(class_name=_OVERLAY),
            radix.content(
                radix.title(title, class_name="pr-10 text-lg font-semibold leading-tight break-words"),
                radix.description(
                    text if text is not None else "",
                    class_name="-mt-2 text-sm text-muted-foreground" if text is not None else "sr-only",
                ),
                *children,
                # Last, so that opening puts the focus into the first field rather than here.
                radix.close(
                    rx.el.button(
                        rx.icon("x", size=16),
                        type="button",
                        aria_label=t("action.close"),
                        class_name=theme.BUTTON_ICON + " absolute right-4 top-4",
                    ),
                    as_child=True,
                ),
                class_name=look,
                on_close_auto_focus=rx.call_script("globalThis.operisReturnFocus()"),
            ),
        ),
        open=is_open,
        on_open_change=on_open_change,
    )


def sheet(
    *children: rx.Component, title: Any, text: Any = None, is_open: rx.Var[bool], on_open_change: Any
) -> rx.Component:
    """A panel from the right: details of a row, with the list still behind it."""
    return dialog(*children, title=title, text=text, is_open=is_open, on_open_change=on_open_change, look=_SHEET)


def buttons(*children: rx.Component) -> rx.Component:
    return rx.el.div(*children, class_name="flex flex-wrap justify-end gap-2 pt-1")


def cancel() -> rx.Component:
    return radix.close(rx.el.button(t("action.cancel"), type="button", class_name=theme.BUTTON_OUTLINE), as_child=True)


def confirm(
    *,
    title: Any,
    text: Any,
    action: Any,
    is_open: rx.Var[bool],
    on_open_change: Any,
    on_confirm: Any,
    busy: rx.Var[bool],
    failure: rx.Component | None = None,
) -> rx.Component:
    """Ask before something that cannot be undone; `text` names the thing."""
    return dialog(
        failure if failure is not None else rx.fragment(),
        buttons(
            cancel(),
            rx.el.button(action, type="button", on_click=on_confirm, disabled=busy, class_name=theme.BUTTON_DANGER),
        ),
        title=title,
        text=text,
        is_open=is_open,
        on_open_change=on_open_change,
    )
