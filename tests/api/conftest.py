"""A second process on the same database, and an API in production on a database of its own."""

import secrets
from collections.abc import AsyncGenerator

import pytest

from operis_db.embedded import EmbeddedPostgres
from tests.fakes.mail_server import MailServer, run_mail_server
from tests.running import Api, Database, make_database, run_api


@pytest.fixture(scope="session")
async def second_api(database: Database, api: Api) -> AsyncGenerator[Api]:
    async with run_api(database, OPERIS_HOME=str(api.log.parent)) as running:
        yield running


@pytest.fixture(scope="session")
async def mail_server() -> AsyncGenerator[MailServer]:
    async with run_mail_server() as running:
        yield running


@pytest.fixture(scope="session")
async def production(postgres: EmbeddedPostgres, mail_server: MailServer) -> AsyncGenerator[Api]:
    settings = {
        "OPERIS_ENV": "production",
        "OPERIS_PUBLIC_API_URL": "https://api.operis.test",
        "OPERIS_PUBLIC_DASHBOARD_URL": "https://operis.test",
        "OPERIS_SECRET_KEY": secrets.token_hex(32),
        "OPERIS_SMTP_URL": mail_server.url,
    }
    async with run_api(await make_database(postgres), **settings) as running:
        yield running
