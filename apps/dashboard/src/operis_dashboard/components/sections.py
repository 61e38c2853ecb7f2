"""Pages that belong together, as a row of links above each of them."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components.links import page_link
from operis_dashboard.wording import t

_LINK = "shrink-0 border-b-2 px-1 pb-2 text-sm transition-colors "
_SETTINGS = (
    ("/settings", "settings.profile"),
    ("/settings/security", "settings.security"),
    ("/settings/sessions", "settings.sessions"),
)


def settings_sections(*children: rx.Component, here: str) -> rx.Component:
    """Show a page of the settings below the links to all of them."""
    return rx.el.div(
        rx.el.nav(
            *(_link(href, t(text), here=href == here) for href, text in _SETTINGS),
            aria_label=t("nav.settings"),
            class_name="flex gap-5 overflow-x-auto border-b border-border",
        ),
        rx.el.div(*children, class_name="flex w-full max-w-3xl flex-col gap-6"),
        class_name="flex flex-col gap-6",
    )


def _link(href: str, text: Any, *, here: bool) -> rx.Component:
    look = (
        _LINK + "border-foreground font-medium text-foreground "
        if here
        else _LINK + "border-transparent text-muted-foreground hover:text-foreground "
    )
    return page_link(text, href=href, aria_current="page" if here else "false", class_name=look + theme.FOCUS)
