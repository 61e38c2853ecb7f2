"""The frame around every page: sidebar or drawer, header, content. `@page` is how a page enters the app."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal

import reflex as rx
from reflex_components_radix.primitives.dialog import dialog as radix

from operis_dashboard import theme
from operis_dashboard.components.forms import plain_form
from operis_dashboard.components.links import page_link, place_link
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

Role = Literal["visitor", "user", "admin"]
View = Callable[[], rx.Component]


@dataclass(frozen=True)
class Page:
    route: str
    title: str
    role: Role
    view: View
    on_load: Any


PAGES: list[Page] = []
"""Every page, in the order of import; `app.py` adds them to the application."""

_CUSTOMER_LINKS = (
    ("/", "nav.overview", "layout-dashboard"),
    ("/keys", "nav.keys", "key-round"),
    ("/requests", "nav.requests", "list"),
    ("/wallet", "nav.wallet", "wallet"),
    ("/models", "nav.models", "boxes"),
    ("/playground", "nav.playground", "message-square-text"),
    ("/team", "nav.team", "users-round"),
)
_ADMIN_LINKS = (
    ("/admin", "nav.admin_overview", "chart-column"),
    ("/admin/users", "nav.admin_users", "users"),
    ("/admin/organizations", "nav.admin_organizations", "building-2"),
    ("/admin/keys", "nav.admin_keys", "key-square"),
    ("/admin/requests", "nav.admin_requests", "list-tree"),
    ("/admin/ledger", "nav.admin_ledger", "book-open"),
    ("/admin/checks", "nav.admin_checks", "shield-check"),
    ("/admin/holds", "nav.admin_holds", "hourglass"),
    ("/admin/upstreams", "nav.admin_upstreams", "server"),
    ("/admin/models", "nav.admin_models", "tags"),
    ("/admin/prices", "nav.admin_prices", "percent"),
    ("/admin/audit", "nav.admin_audit", "scroll-text"),
)


def page(*, route: str, title: str, role: Role, on_load: Any) -> Callable[[View], View]:
    """Register the decorated view at `route`; `title` is a catalogue key.

    `on_load` runs on every visit and is what the gate stops for those who may not be here.
    """

    def register(view: View) -> View:
        @wraps(view)  # keeps the view's module: the build makes one script per module
        def framed() -> rx.Component:
            return _visitor_frame(view()) if role == "visitor" else _frame(view(), route=route, title=title)

        PAGES.append(Page(route=route, title=title, role=role, view=framed, on_load=on_load))
        return framed

    return register


def _frame(content: rx.Component, *, route: str, title: str) -> rx.Component:
    return rx.el.div(
        rx.el.nav(
            place_link(
                t("nav.skip"),
                href="#content",
                class_name="sr-only focus:not-sr-only focus:fixed focus:left-4 focus:top-3 focus:z-50 focus:rounded "
                "focus:bg-primary focus:px-4 focus:py-2 focus:text-sm focus:text-primary-foreground",
            ),
            aria_label=t("nav.skip"),
        ),
        rx.el.aside(
            _navigation(route),
            class_name="fixed inset-y-0 left-0 z-20 hidden w-60 flex-col border-r border-border bg-sidebar lg:flex",
        ),
        rx.el.div(
            rx.el.header(
                rx.el.div(
                    _drawer(route),
                    rx.el.h1(t(title), class_name="truncate text-lg font-semibold tracking-tight"),
                    rx.el.div(
                        rx.el.div(_organization_switch(), class_name="hidden w-48 md:block"),
                        _language_switch(),
                        _theme_switch(),
                        class_name="ml-auto flex items-center gap-1",
                    ),
                    class_name="mx-auto flex h-14 w-full max-w-[78rem] items-center gap-3 px-4 md:px-6",
                ),
                class_name="sticky top-0 z-10 border-b border-border bg-background/95 backdrop-blur",
            ),
            rx.el.main(
                content,
                id="content",
                tab_index=-1,
                class_name="mx-auto flex w-full max-w-[78rem] flex-col gap-6 px-4 py-6 outline-none md:px-6",
            ),
            class_name="min-w-0 overflow-x-clip lg:pl-60",
        ),
        class_name="min-h-dvh bg-background text-foreground",
    )


def _visitor_frame(content: rx.Component) -> rx.Component:
    return rx.el.div(
        rx.el.header(
            _brand(),
            rx.el.div(
                _mailbox_link(), _language_switch(), _theme_switch(), class_name="ml-auto flex items-center gap-1"
            ),
            class_name="flex h-14 items-center px-4 md:px-6",
        ),
        rx.el.main(content, class_name="flex flex-1 flex-col items-center justify-center px-4 pb-24 pt-8"),
        class_name="flex min-h-dvh flex-col bg-sidebar text-foreground",
    )


def _mailbox_link() -> rx.Component:
    """In development, the way to what was mailed."""
    return rx.cond(
        Viewer.development,
        page_link(
            rx.icon("mail", size=16),
            rx.el.span(t("mailbox.title"), class_name="sr-only sm:not-sr-only"),
            href="/mailbox",
            class_name=theme.BUTTON_GHOST + " text-xs",
        ),
        rx.fragment(),
    )


def _brand() -> rx.Component:
    return rx.el.span(
        rx.icon("circle-dot", size=20, class_name="text-foreground"),
        "Operis",
        class_name="inline-flex items-center gap-2.5 text-base font-semibold tracking-tight",
    )


def _navigation(route: str) -> rx.Component:
    return rx.fragment(
        rx.el.div(
            page_link(_brand(), href="/", class_name="rounded " + theme.FOCUS),
            class_name="flex h-14 shrink-0 items-center px-5",
        ),
        rx.el.div(_organization_switch(), class_name="px-3 pb-2 md:hidden"),
        rx.el.nav(
            *(_link(*link, route=route) for link in _CUSTOMER_LINKS),
            rx.cond(
                Viewer.admin,
                rx.el.div(
                    rx.el.p(t("nav.platform"), class_name="px-3 pb-1 pt-5 text-xs font-medium text-muted-foreground"),
                    *(_link(*link, route=route) for link in _ADMIN_LINKS),
                    class_name="flex flex-col gap-0.5",
                ),
                rx.fragment(),
            ),
            aria_label=t("nav.label"),
            class_name="flex flex-1 flex-col gap-0.5 overflow-y-auto px-2 py-2",
        ),
        rx.el.div(_mailbox_link(), class_name="flex px-3 pb-2"),
        rx.el.div(
            page_link(
                rx.el.span(Viewer.organization, class_name="truncate text-sm font-medium text-foreground"),
                rx.el.span(Viewer.email, class_name="truncate text-xs text-muted-foreground"),
                href="/settings",
                aria_current="page" if route.startswith("/settings") else "false",
                class_name="flex min-w-0 flex-1 flex-col rounded-md px-2 py-1 hover:bg-muted " + theme.FOCUS,
            ),
            plain_form(
                rx.el.button(
                    rx.icon("log-out", size=16),
                    type="submit",
                    title=t("action.sign_out"),
                    aria_label=t("action.sign_out"),
                    class_name=theme.BUTTON_ICON,
                ),
                action="/_auth/logout",
                class_name="shrink-0",
            ),
            class_name="flex items-center gap-1 border-t border-border p-2",
        ),
    )


def _link(href: str, text: str, icon: str, *, route: str) -> rx.Component:
    here = href == route
    look = (
        "flex h-9 shrink-0 items-center gap-3 rounded-md bg-muted px-3 text-sm font-medium text-foreground "
        if here
        else "flex h-9 shrink-0 items-center gap-3 rounded-md px-3 text-sm text-muted-foreground "
        "hover:bg-muted hover:text-foreground transition-colors "
    )
    return page_link(
        rx.icon(icon, size=16),
        t(text),
        href=href,
        aria_current="page" if here else "false",
        class_name=look + theme.FOCUS,
    )


def _drawer(route: str) -> rx.Component:
    """The navigation on narrow screens, behind a button."""
    return radix.root(
        radix.trigger(
            rx.el.button(
                rx.icon("menu", size=18),
                type="button",
                aria_label=t("nav.open"),
                class_name=theme.BUTTON_ICON + " -ml-2 lg:hidden",
            ),
            as_child=True,
        ),
        radix.portal(
            radix.overlay(class_name="fixed inset-0 z-40 bg-black/50 operis-fade lg:hidden"),
            radix.content(
                radix.title(t("nav.label"), class_name="sr-only"),
                radix.description("", class_name="sr-only"),
                _navigation(route),
                class_name="fixed inset-y-0 left-0 z-50 flex w-72 max-w-[85vw] flex-col border-r border-border "
                "bg-sidebar shadow-xl outline-none lg:hidden",
            ),
        ),
    )


def _organization_switch() -> rx.Component:
    """Where one is at work. Narrow screens have it in the drawer."""
    return rx.el.select(
        rx.foreach(Viewer.organizations, lambda place: rx.el.option(place.name, value=place.id)),
        rx.el.option(t("team.create_option"), value="new"),
        value=Viewer.organization_id,
        on_change=Viewer.choose_organization,
        aria_label=t("nav.organization"),
        class_name=theme.SELECT + " truncate",
    )


def _language_switch() -> rx.Component:
    return rx.el.button(
        rx.icon("languages", size=16),
        rx.cond(Viewer.vietnamese, "English", "Tiếng Việt"),
        type="button",
        lang=rx.cond(Viewer.vietnamese, "en", "vi"),
        on_click=Viewer.choose_language(rx.cond(Viewer.vietnamese, "en", "vi")),
        class_name=theme.BUTTON_GHOST + " text-xs",
    )


def _theme_switch() -> rx.Component:
    return rx.el.button(
        rx.icon("moon", size=16, class_name="dark:hidden"),
        rx.icon("sun", size=16, class_name="hidden dark:block"),
        type="button",
        title=t("action.theme"),
        aria_label=t("action.theme"),
        on_click=rx.toggle_color_mode,
        class_name=theme.BUTTON_ICON,
    )
