"""A second process on the same database, and an API in production on a database of its own."""

import secrets
from collections.abc import AsyncGenerator

import httpx
import pytest

from operis_db.embedded import EmbeddedPostgres
from tests.fakes.mail_server import MailServer, run_mail_server
from tests.running import Api, Database, make_database, run_api


@pytest.fixture(scope="session")
async def second_api(database: Database, api: Api) -> AsyncGenerator[Api]:
    dashboard = f"http://127.0.0.1:{api.dashboard_port}"
    async with run_api(database, OPERIS_HOME=str(api.log.parent), OPERIS_PUBLIC_DASHBOARD_URL=dashboard) as running:
        yield running


@pytest.fixture(scope="session")
async def mail_server() -> AsyncGenerator[MailServer]:
    async with run_mail_server() as running:
        yield running


@pytest.fixture(scope="session")
async def production_settings(mail_server: MailServer) -> dict[str, str]:
    return {
        "OPERIS_ENV": "production",
        "OPERIS_PUBLIC_API_URL": "https://api.operis.test",
        "OPERIS_PUBLIC_DASHBOARD_URL": "https://operis.test",
        "OPERIS_SECRET_KEY": secrets.token_hex(32),
        "OPERIS_SMTP_URL": mail_server.url,
        "OPERIS_TRUSTED_PROXIES": "127.0.0.0/8",
    }


@pytest.fixture(scope="session")
async def production(postgres: EmbeddedPostgres, production_settings: dict[str, str]) -> AsyncGenerator[Api]:
    database = await make_database(postgres, OPERIS_SECRET_KEY=production_settings["OPERIS_SECRET_KEY"])
    async with run_api(database, **production_settings) as running:
        running.http.event_hooks["request"].append(come_from_elsewhere)
        yield running


async def come_from_elsewhere(request: httpx.Request) -> None:
    """Let each request come from another network, unless it says from which: production throttles each."""
    address = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"
    request.headers.setdefault("x-forwarded-for", address)
