"""The application: pages, gate, doors and delivery, put together."""

import asyncio
import importlib
import logging
import os
import pkgutil
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import reflex as rx
from reflex.event import EventSpec
from reflex_components_core.core.banner import has_connection_errors

from operis_dashboard import pages, runtime
from operis_dashboard.delivery import Delivery
from operis_dashboard.doors import doors
from operis_dashboard.gate import Gate
from operis_dashboard.layout import PAGES
from operis_dashboard.logs import hide_headers
from operis_dashboard.texts.en import ENGLISH
from operis_dashboard.wording import t

_log = logging.getLogger(__name__)


def report_failure(exception: Exception) -> EventSpec:
    """Send a viewer whose session or membership is over to where they may be; log anything else and say so."""
    if isinstance(exception, runtime.SignedOutError):
        return rx.redirect("/login")
    if isinstance(exception, runtime.OrganizationLostError):
        return rx.call_script("window.location.assign('/')")
    if isinstance(exception, runtime.SecondFactorMissingError):
        return rx.redirect("/settings/security?enrol=1")
    _log.error("An event failed.", exc_info=exception)
    return rx.toast.error(ENGLISH["error.unexpected"])


def connection_notice() -> rx.Component:
    return rx.cond(
        has_connection_errors,
        rx.el.div(
            rx.icon("loader-circle", size=14, class_name="animate-spin"),
            t("state.reconnecting"),
            role="status",
            class_name="fixed bottom-4 left-1/2 z-50 flex -translate-x-1/2 items-center gap-2 rounded-full border "
            "border-border bg-card px-4 py-2 text-sm shadow-lg",
        ),
        rx.fragment(),
    )


@asynccontextmanager
async def connections() -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await runtime.close_http()


async def end_with_parent() -> None:
    """Stop when the server's parent is gone: killed, it takes no worker along, and that would keep the port."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110  # nothing tells a process that its parent has ended
        await asyncio.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def not_found() -> rx.Component:
    return rx.el.main(
        rx.el.h1("404", class_name="text-4xl font-semibold tracking-tight"),
        rx.el.p(t("notfound.text"), class_name="text-sm text-muted-foreground"),
        rx.el.a(t("notfound.home"), href="/", class_name="mt-2 text-sm font-medium text-accent hover:underline"),
        class_name="flex min-h-dvh flex-col items-center justify-center gap-2 bg-background text-foreground",
    )


for module in pkgutil.iter_modules(pages.__path__):
    importlib.import_module(f"{pages.__name__}.{module.name}")

hide_headers()

app = rx.App(
    stylesheets=["/globals.css"],
    head_components=[
        rx.el.script(src="/boot.js"),
        rx.el.script(src="/passkeys.js"),
        rx.el.link(rel="icon", type="image/svg+xml", href="/favicon.svg"),
    ],
    html_lang="en",
    toaster=rx.toast.provider(position="bottom-right", close_button=True),
    app_wraps={(5, "Overlay"): lambda stateful: connection_notice() if stateful else None},
    backend_exception_handler=report_failure,
    api_transformer=[doors(), Delivery],
)
app.add_middleware(Gate(), index=0)
app.register_lifespan_task(connections)
app.register_lifespan_task(end_with_parent)
for entry in PAGES:
    app.add_page(
        entry.view,
        route=entry.route,
        title=f"{ENGLISH[entry.title]} · Operis",
        on_load=entry.on_load,
    )
app.add_page(not_found, route="404", title="Not found · Operis")
