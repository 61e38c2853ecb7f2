"""The real product, started as `operis up` starts it, and a real browser in front of it.

Journeys are synchronous: Playwright's synchronous API and asynchronous tests cannot share a process, so
`make test` runs these by themselves.
"""

import asyncio
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from operis_client import Operis
from tests.fakes.identity_provider import IdentityProvider, run_identity_provider, setting_of
from tests.fakes.openai_upstream import API_KEY, run_openai_upstream
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, free_port

START_SECONDS = 180
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Product:
    dashboard_url: str
    api_url: str


@pytest.fixture(scope="session")
def acme() -> Generator[IdentityProvider]:
    """An identity provider that the product knows."""
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, IdentityProvider]] = queue.Queue()

    async def serve() -> None:
        async with run_identity_provider() as provider:
            stop = asyncio.Event()
            started.put((asyncio.get_running_loop(), stop, provider))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, stop, provider = started.get(timeout=30)
    yield provider
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)


@pytest.fixture(scope="session")
def product(acme: IdentityProvider) -> Generator[Product]:
    """`operis up` with a home, a database and ports of its own."""
    with tempfile.TemporaryDirectory(prefix="operis-e2e-") as directory:
        home = Path(directory)
        home.chmod(0o755)  # the embedded PostgreSQL may run as another user
        found = Product(f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}")
        log = home / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "operis_api.cli", "up"],
                cwd=home,
                env={
                    "PATH": os.environ["PATH"],
                    "OPERIS_HOME": str(home / "home"),
                    "OPERIS_DASHBOARD_PORT": found.dashboard_url.rpartition(":")[2],
                    "OPERIS_API_PORT": found.api_url.rpartition(":")[2],
                    "OPERIS_ADMIN_EMAIL": ADMIN_EMAIL,
                    "OPERIS_ADMIN_PASSWORD": ADMIN_PASSWORD,
                    "OPERIS_IDENTITY_PROVIDERS": setting_of(acme=acme),
                },
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            _wait_until_up(process, found, log)
            yield found
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, log.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="session")
def slow_model(product: Product) -> Generator[str]:
    """A model of a provider that takes a tenth of a second for each word; 2.50 and 10 credits per million tokens."""
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, str]] = queue.Queue()

    async def serve() -> None:
        async with run_openai_upstream() as provider:
            provider.script.words = [f"word{number} " for number in range(300)]
            provider.script.seconds_between_words = 0.1
            stop = asyncio.Event()
            started.put((asyncio.get_running_loop(), stop, provider.base_url))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, stop, base_url = started.get(timeout=30)
    with Operis(product.api_url) as operis:
        operis.token = operis.login(email=ADMIN_EMAIL, password=ADMIN_PASSWORD).access_token
        upstream = operis.create_upstream(name="Slow", base_url=base_url, api_key=API_KEY)
        operis.create_model(id="slow/talker", upstream_id=upstream.id, upstream_model="real-model")
        operis.create_price(model_id="slow/talker", input="2.5", output="10")
    yield "slow/talker"
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)


@pytest.fixture(scope="session")
def browser(product: Product) -> Generator[Browser]:
    del product  # started first, so that it is stopped after the browser
    executable = os.environ.get("OPERIS_TEST_BROWSER") or os.environ.get("OPERIS_BROWSER") or "/usr/bin/chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield running
        running.close()


OpenTab = Callable[..., Page]


@pytest.fixture
def open_tab(browser: Browser, product: Product) -> Generator[OpenTab]:
    """Open a window of somebody new to this browser. At the end, none of them may have logged an error."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_window(
        *, width: int = 1440, height: int = 900, dark: bool = False, language: str = "en-US", host: str = "127.0.0.1"
    ) -> Page:
        context = browser.new_context(
            base_url=product.dashboard_url.replace("127.0.0.1", host),
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale=language,
            timezone_id="Asia/Ho_Chi_Minh",
        )
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        contexts.append(context)
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert errors == []


def _wait_until_up(process: subprocess.Popen[bytes], product: Product, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"operis up ended: {log.read_text()}"
        try:
            answers = [httpx.get(f"{url}/healthz", trust_env=False) for url in (product.api_url, product.dashboard_url)]
            if all(answer.status_code == 200 for answer in answers):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"the product is not up after {START_SECONDS} seconds: {log.read_text()}")
