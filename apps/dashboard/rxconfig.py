"""How Reflex compiles and serves the dashboard. Where it runs comes from `operis_dashboard.settings`."""

import os
from urllib.parse import urlsplit

import reflex as rx

from operis_dashboard.plugins import SameOrigin
from operis_dashboard.settings import read_settings
from operis_dashboard.theme import TAILWIND

settings = read_settings(os.environ)

config = rx.Config(
    app_name="operis_dashboard",
    app_module_import="operis_dashboard.app",
    frontend_port=settings.port,
    backend_port=settings.port,
    cors_allowed_origins=settings.allowed_origins,
    # State shows what a page already fetched and is fetched anew after a restart, so nothing of it is
    # written to disk; sign-ins live in the session store.
    state_manager_mode="memory",
    default_color_mode="system",
    telemetry_enabled=False,
    show_built_with_reflex=False,
    # Checks the pages in tests; no page imports it, so it is in no bundle.
    frontend_packages=["axe-core@4.14.1"],
    plugins=[rx.plugins.TailwindV4Plugin(config=TAILWIND), SameOrigin()],
    disable_plugins=[rx.plugins.SitemapPlugin],
    deploy_url=f"{urlsplit(settings.public_url).scheme}://{urlsplit(settings.public_url).netloc}",
)
