"""One PostgreSQL, one database built by the migrations and one API process for the whole run.

Tests share them and keep out of each other's way by signing up people of their own.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from operis_client import AsyncOperis
from operis_db.embedded import EmbeddedPostgres
from tests.factories import Account, sign_up
from tests.fakes.identity_provider import IdentityProvider, run_identity_provider, setting_of
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script, run_openai_upstream
from tests.running import Api, Database, make_database, run_api

SIGN_IN_SECONDS = 120


@pytest.fixture(scope="session")
def postgres() -> Generator[EmbeddedPostgres]:
    directory = Path(tempfile.mkdtemp(prefix="operis-test-"))
    directory.chmod(0o755)
    try:
        with EmbeddedPostgres(directory) as server:
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def own_postgres() -> Generator[EmbeddedPostgres]:
    """A server of this test's own, since it will be killed."""
    directory = Path(tempfile.mkdtemp(prefix="operis-outage-"))
    directory.chmod(0o755)
    try:
        with EmbeddedPostgres(directory) as server:
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
async def database(postgres: EmbeddedPostgres) -> Database:
    return await make_database(postgres)


@pytest.fixture(scope="session")
async def identity_provider() -> AsyncGenerator[IdentityProvider]:
    """One that the shared API knows as `acme`."""
    async with run_identity_provider() as running:
        yield running


@pytest.fixture(scope="session")
async def api(database: Database, identity_provider: IdentityProvider) -> AsyncGenerator[Api]:
    async with run_api(database, OPERIS_IDENTITY_PROVIDERS=setting_of(acme=identity_provider)) as running:
        yield running


@pytest.fixture(scope="session")
async def admin(api: Api) -> AsyncGenerator[AsyncOperis]:
    """The first administrator, signed in for as long as the tests run: longer than an access token lives."""
    client = await api.admin()

    async def stay() -> None:
        while True:
            await asyncio.sleep(SIGN_IN_SECONDS)
            client.token = (await api.admin()).token

    staying = asyncio.create_task(stay())
    yield client
    staying.cancel()


@pytest.fixture
async def ada(api: Api) -> Account:
    """Somebody who has just signed up."""
    return await sign_up(api)


@pytest.fixture(scope="session")
async def provider() -> AsyncGenerator[OpenAIUpstream]:
    async with run_openai_upstream() as running:
        yield running


@pytest.fixture(scope="session")
async def real_model(provider: OpenAIUpstream, admin: AsyncOperis) -> str:
    """A model that an administrator added, served over HTTP; 2.50 and 10 credits per million tokens."""
    upstream = await admin.create_upstream(name="Fake provider", base_url=provider.base_url, api_key=API_KEY)
    await admin.create_model(
        id="acme/large", upstream_id=upstream.id, upstream_model="real-model", default_output_tokens=1000
    )
    await admin.create_price(
        model_id="acme/large", input="2.5", output="10", cached_input="0.25", cost_input="2", cost_output="8"
    )
    return "acme/large"


@pytest.fixture
def script(provider: OpenAIUpstream) -> Script:
    """The provider's behaviour in this test, fresh."""
    provider.script = Script()
    provider.calls.clear()
    return provider.script
