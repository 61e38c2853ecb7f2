"""The dashboard in this process, with the running API behind it, and its pages' state without a browser."""

import importlib
from collections.abc import AsyncGenerator, Awaitable, Generator
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import reflex as rx
from reflex.state import State
from reflex_base.utils.format import json_dumps  # pyright: ignore[reportUnknownVariableType]

from operis_dashboard import runtime
from operis_dashboard.places import app_root
from operis_dashboard.session import Session
from operis_dashboard.viewer import Viewer
from tests.factories import PASSWORD, Account, mint, sign_up
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, Api

Page = TypeVar("Page", bound=Viewer)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dashboard-home")


@pytest.fixture(scope="session")
def dashboard(api: Api, home: Path) -> Generator[rx.App]:
    """The application, imported once: Reflex reads its configuration from the working directory."""
    settings = {
        "OPERIS_HOME": str(home),
        "OPERIS_API_URL": api.base_url,
        "OPERIS_PUBLIC_API_URL": "https://api.example.com",
        "OPERIS_SECRET_KEY": "for-tests-alone-0123456789-abcdefghijklmnop",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        for cached in (runtime.settings, runtime.sessions, runtime.cookie_name):
            cached.cache_clear()
        patch.chdir(app_root())
        module = importlib.import_module("operis_dashboard.app")
        yield module.app


@pytest.fixture
async def connections(dashboard: rx.App) -> AsyncGenerator[None]:
    yield
    await runtime.close_http()


class Tab:
    """One browser tab: its state tree, and the cookies its socket was opened with."""

    def __init__(self, app: rx.App) -> None:
        self.app = app
        self.root = State(_reflex_internal_init=True)  # pyright: ignore[reportCallIssue]  # Reflex's own way in tests
        self.cookies: dict[str, str] = {}

    def visit(self, path: str = "/", *, cookies: dict[str, str] | None = None, language: str = "en-US") -> None:
        """Load `path` in this tab, which opens a new socket with the cookies of now."""
        self.cookies = self.cookies if cookies is None else cookies
        header = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        data = {
            "pathname": path.split("?", maxsplit=1)[0],
            "asPath": path,
            "headers": {"cookie": header, "accept-language": language, "host": "127.0.0.1:3000"},
            "ip": "127.0.0.1",
        }
        root: Any = self.root
        root.router_data = root._update_router_vars(data, root.router_data)

    def sent(self) -> str:
        """Return everything of the state that goes to the browser, as it is sent."""
        root: Any = self.root
        return str(json_dumps(root.dict()))  # pyright: ignore[reportUnknownArgumentType]  # Reflex leaves it untyped

    def sign_in(self, session: Session) -> str:
        session_id = runtime.sessions().add(session)
        self.visit("/", cookies={runtime.cookie_name(): session_id})
        return session_id

    async def send(self, name: str) -> Any:
        """Send an event by its full name and return what the gate sends instead, or None where it may run."""
        from reflex_base.event import Event

        from operis_dashboard.gate import Gate

        return await Gate().preprocess(self.app, self.root, Event(name=name, payload={}))

    async def page(self, kind: type[Page], path: str, *, language: str = "en-US") -> Page:
        """Open a page as the browser does: the gate first, then its state."""
        from reflex_base.utils.format import format_event_handler

        self.visit(path, language=language)
        assert await self.send(format_event_handler(kind.event_handlers["load"])) is None
        page: Any = await self.root.get_state(kind)
        await run(page.load())
        return page


@pytest.fixture
def tab(dashboard: rx.App, connections: None) -> Tab:
    return Tab(dashboard)


@pytest.fixture
async def signed_in(api: Api, tab: Tab) -> tuple[Tab, Account]:
    """A tab of somebody who has just signed up."""
    account = await sign_up(api)
    tab.sign_in(await runtime.open_session(account.email, PASSWORD))
    return tab, account


@pytest.fixture
async def admin_tab(dashboard: rx.App, connections: None) -> Tab:
    tab = Tab(dashboard)
    tab.sign_in(await runtime.open_session(ADMIN_EMAIL, ADMIN_PASSWORD))
    return tab


async def run(handler: Any) -> list[Any]:
    """Run a handler to its end and return the events that it sent on the way."""
    if hasattr(handler, "__aiter__"):
        return [event async for event in handler if event is not None]
    answer = cast("object", await handler) if isinstance(handler, Awaitable) else handler
    return [answer] if answer is not None else []


async def say_hello(api: Api, account: Account) -> str:
    """Make one call of 5 tokens in and 5 out: 0.000015 credits."""
    openai = api.openai(await mint(account, name="laptop"))
    answer = await openai.chat.completions.with_raw_response.create(
        model="operis/echo", messages=[{"role": "user", "content": "Hello"}]
    )
    return answer.headers["x-operis-charge"]
