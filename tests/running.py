"""Real processes for tests: a database built by the migrations, and the API on a port of its own."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import asyncpg
import httpx
import msgspec
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from sqlalchemy.ext.asyncio import async_sessionmaker

from operis_api.books.verifying import verify_all
from operis_api.bootstrap import create_admin
from operis_api.kit.sessions import create_engine
from operis_api.migrating import APP_ROLE, upgrade, with_database
from operis_api.settings import read_settings
from operis_client import ApiError, AsyncOperis
from operis_db.embedded import EmbeddedPostgres

ADMIN_EMAIL = "admin@example.com"
ADMIN_PASSWORD = "correct horse battery staple"
START_SECONDS = 60
PATIENCE_SECONDS = 60
Answer = TypeVar("Answer")
NANO_PRICE = UUID("00000000-0000-7000-8000-00000000aaaa")
NANO_MODEL = "test/nano"
"""A model that is not on offer, at one nanocredit for each token: tests of the ledger charge any amount with it."""


class Database(msgspec.Struct, frozen=True):
    """One database, seen by its three roles."""

    app_url: str
    owner_url: str
    superuser_url: str

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Read as the superuser, for facts no route shows."""
        connection = await asyncpg.connect(self.superuser_url)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def broken_invariants(self) -> list[str]:
        """Return what `operis verify` finds."""
        engine = create_engine(self.app_url, APP_ROLE)
        report = await verify_all(async_sessionmaker(engine, expire_on_commit=False))
        await engine.dispose()
        return [f"{check.name}: {finding}" for check in report.checks for finding in check.findings]


class Api:
    """A running API process."""

    def __init__(self, process: asyncio.subprocess.Process, base_url: str, database: Database, log: Path) -> None:
        self.process = process
        self.base_url = base_url
        self.database = database
        self.log = log
        self.http = httpx.AsyncClient(timeout=60)
        self._sdks: list[AsyncOpenAI | AsyncAnthropic] = []

    @property
    def dashboard_port(self) -> int:
        return next_to(int(self.base_url.rpartition(":")[2]))

    def client(self, token: str | None = None) -> AsyncOperis:
        return AsyncOperis(self.base_url, token=token, http=self.http)

    def openai(self, secret: str) -> AsyncOpenAI:
        """Return the official SDK, without its retries: each refusal is seen."""
        sdk = AsyncOpenAI(base_url=f"{self.base_url}/v1", api_key=secret, max_retries=0)
        self._sdks.append(sdk)
        return sdk

    def anthropic(self, secret: str) -> AsyncAnthropic:
        """Return Anthropic's official SDK, without its retries."""
        sdk = AsyncAnthropic(base_url=self.base_url, api_key=secret, max_retries=0)
        self._sdks.append(sdk)
        return sdk

    async def close_clients(self) -> None:
        await self.http.aclose()
        for sdk in self._sdks:
            await sdk.close()

    async def sign_in(self, email: str, password: str) -> AsyncOperis:
        client = self.client()
        answer = await patiently(lambda: client.login(email=email, password=password))
        client.token = answer.access_token
        return client

    async def admin(self) -> AsyncOperis:
        return await self.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD)

    async def kill(self) -> None:
        """End the process at once, as a power cut would."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """End the process as an operator would; returns its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 60)


async def patiently(attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return what the attempt answers, waiting where the throttle asks: a quick machine signs up many a minute."""
    for _ in range(PATIENCE_SECONDS):
        try:
            return await attempt()
        except ApiError as error:
            if error.code != "too_many_attempts":
                raise
            await asyncio.sleep(1)
    return await attempt()


async def make_database(postgres: EmbeddedPostgres, **settings: str) -> Database:
    """Make a database by the migrations, with its first administrator; of a platform with these settings."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres.owner_url("postgres"))
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    database = Database(
        app_url=with_database(postgres.app_url(), name),
        owner_url=with_database(postgres.owner_url(), name),
        superuser_url=with_database(postgres.superuser_url(), name),
    )
    with tempfile.TemporaryDirectory() as home:
        found = read_settings(environment(database, Path(home), 3001, **settings))
        await upgrade(found)
        await create_admin(found, email=ADMIN_EMAIL, password=ADMIN_PASSWORD)
    await database.fetch(
        "INSERT INTO models (id, name, enabled) VALUES ($1, 'One nanocredit a token', false)", NANO_MODEL
    )
    await database.fetch(
        "INSERT INTO prices (id, model_id, effective_from, input, output) VALUES ($1, $2, '2020-01-01Z', 1000, 1000)",
        NANO_PRICE,
        NANO_MODEL,
    )
    return database


def environment(database: Database, home: Path, port: int, **settings: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database.app_url,
        "OPERIS_MIGRATE_DATABASE_URL": database.owner_url,
        "OPERIS_HOME": str(home),
        "OPERIS_API_PORT": str(port),
        "OPERIS_DASHBOARD_PORT": str(next_to(port)),
        "OPERIS_SECRET_KEY": "for-tests-alone-0123456789-abcdefghijklmnop",
        **settings,
    }


def next_to(port: int) -> int:
    return port + 1 if port < 65535 else port - 1


@asynccontextmanager
async def run_api(database: Database, **settings: str) -> AsyncGenerator[Api]:
    """Run the API with these settings until the block ends."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "api.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "operis_api.cli",
                "api",
                env=environment(database, Path(home), port, **settings),
                stdout=output,
                stderr=output,
            )
        api = Api(process, f"http://127.0.0.1:{port}", database, log)
        try:
            await wait_until_ready(api)
            yield api
        finally:
            await api.close_clients()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def wait_until_ready(api: Api) -> None:
    async with httpx.AsyncClient() as http:
        for _ in range(START_SECONDS * 20):
            assert api.process.returncode is None, f"the API ended: {api.log.read_text()}"
            with contextlib.suppress(httpx.TransportError):
                if (await http.get(f"{api.base_url}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.05)
    raise AssertionError(f"the API is not ready after {START_SECONDS} seconds: {api.log.read_text()}")


def kill_postgres(postgres: EmbeddedPostgres) -> None:
    """End the whole server at once: a backend that outlives its postmaster may still answer one more statement."""
    pid = int((postgres.ground / "data" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in (pid, *map(int, children)):
        with contextlib.suppress(ProcessLookupError):  # one that had just ended
            os.kill(each, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
