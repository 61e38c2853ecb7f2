"""The dashboard from outside: HTTP and the socket, as a browser and as somebody who is none."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import pytest
import socketio  # pyright: ignore[reportMissingTypeStubs]  # it has none
import socketio.exceptions  # pyright: ignore[reportMissingTypeStubs]
from reflex_base.registry import RegistrationContext
from reflex_base.utils.format import format_event_handler

from operis_dashboard.gate import access_of
from operis_dashboard.pages.login import Login
from operis_dashboard.pages.wallet import WalletPage
from operis_dashboard.uploads import FILE_BYTES_MAX
from tests.dashboard.conftest import Tab, say_hello
from tests.dashboard.serving import Served, serve_dashboard
from tests.factories import PASSWORD, Account, mint, sign_up
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, Api

pytestmark = pytest.mark.usefixtures("dashboard")


@pytest.fixture(scope="module")
def served(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serve_dashboard(api.base_url, tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
async def browser(served: Served) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, headers={"origin": served.url}, trust_env=False) as client:
        yield client


class Socket:
    """A connection as the dashboard's own script opens it, or as anybody may."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.updates: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        client.on("event", self._receive, namespace="/_event")

    async def _receive(self, update: dict[str, Any]) -> None:
        await self.updates.put(update)

    async def send(self, name: str, path: str = "/", **payload: object) -> dict[str, Any]:
        """Send an event and return the first answer."""
        event: dict[str, object] = {
            "name": name,
            "payload": payload,
            "router_data": {"pathname": path, "asPath": path, "query": {}},
        }
        await self.client.emit("event", event, namespace="/_event")
        return await asyncio.wait_for(self.updates.get(), 10)


@asynccontextmanager
async def connect(
    served: Served, *, origin: str | None = None, cookie: str = "", token: str | None = None
) -> AsyncGenerator[Socket]:
    headers = {"Origin": origin or served.url, **({"Cookie": cookie} if cookie else {})}
    async with aiohttp.ClientSession() as http:  # ours, because a refused client leaves its own one open
        client: Any = socketio.AsyncClient(reconnection=False, http_session=http)
        socket = Socket(client)
        await client.connect(
            f"{served.url}/_event?token={token or uuid4()}",
            headers=headers,
            socketio_path="/_event",
            namespaces=["/_event"],
            transports=["websocket"],
            wait_timeout=10,
        )
        try:
            yield socket
        finally:
            await client.disconnect()


async def sign_in(
    served: Served, browser: httpx.AsyncClient, account: Account, *, password: str = PASSWORD
) -> httpx.Response:
    """Sign in by the dashboard's own steps: the event, the ticket in its answer, the POST."""
    async with connect(served) as socket:
        await socket.send(
            format_event_handler(Login.event_handlers["submit"]),
            "/login",
            form={"email": account.email, "password": password},
        )
        seen = ""
        while "field.value" not in seen:
            seen = str(await asyncio.wait_for(socket.updates.get(), 10))
    ticket = re.search(r'field\.value = \\*"([\w-]+)\\*"', seen)
    assert ticket is not None, seen
    return await browser.post("/_auth/callback", data={"ticket": ticket[1]})


async def test_an_anonymous_socket_is_refused_every_event_that_is_not_public(served: Served) -> None:
    names = [
        name for name in RegistrationContext.get().event_handlers if access_of(name) in {"user", "admin", "closed"}
    ]
    assert len(names) > 70
    async with connect(served) as socket:
        for name in names:
            answer = await socket.send(name)
            assert [event["name"] for event in answer.get("events", [])] == ["_redirect"], (name, answer)
            assert answer["events"][0]["payload"]["path"] == "/login"


async def test_a_page_of_another_site_cannot_open_the_socket(served: Served) -> None:
    with pytest.raises(socketio.exceptions.ConnectionError):
        async with connect(served, origin="https://evil.example"):
            pass


async def test_signing_in_sets_a_cookie_that_scripts_cannot_read(
    served: Served, browser: httpx.AsyncClient, api: Api
) -> None:
    account = await sign_up(api)
    answer = await sign_in(served, browser, account)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("operis_session=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert (await browser.get("/wallet")).status_code == 200
    session_id = browser.cookies["operis_session"]
    async with connect(served, cookie=f"operis_session={session_id}") as socket:
        answer = await socket.send(format_event_handler(WalletPage.event_handlers["load"]), "/wallet")
        seen = str(answer)
        while "available" not in seen or "1.00" not in seen:
            seen = str(await asyncio.wait_for(socket.updates.get(), 10))
        assert session_id not in seen
    log = served.log.read_text()
    assert session_id not in log
    assert PASSWORD not in log


async def test_a_tabs_token_without_its_cookie_reads_nothing(
    served: Served, browser: httpx.AsyncClient, api: Api
) -> None:
    account = await sign_up(api)
    await sign_in(served, browser, account)
    token = str(uuid4())
    cookie = f"operis_session={browser.cookies['operis_session']}"
    load = format_event_handler(WalletPage.event_handlers["load"])
    async with connect(served, cookie=cookie, token=token) as socket:
        await socket.send(load, "/wallet")
    async with connect(served, token=token) as thief:
        seen = str(await thief.send("reflex___state____state.hydrate", "/wallet"))
        while not thief.updates.empty():
            seen += str(thief.updates.get_nowait())
        assert account.email not in seen
        assert "1.00" not in seen


async def test_signing_out_ends_the_session_everywhere(served: Served, browser: httpx.AsyncClient, api: Api) -> None:
    account = await sign_up(api)
    await sign_in(served, browser, account)
    cookie = f"operis_session={browser.cookies['operis_session']}"
    async with connect(served, cookie=cookie) as other_tab:
        answer = await browser.post("/_auth/logout")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        refused = await other_tab.send(format_event_handler(WalletPage.event_handlers["load"]), "/wallet")
        assert str(refused).count("/login") >= 1
    assert (await browser.get("/wallet")).headers["location"] == "/login?next=/wallet"


async def test_the_statement_is_a_file_for_its_owner_alone(
    served: Served, browser: httpx.AsyncClient, api: Api
) -> None:
    path = "/_download/statement.csv"
    answer = await browser.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    await sign_in(served, browser, await sign_up(api))
    answer = await browser.get(path, params={"kind": "welcome"})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="statement.csv"'
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.text.splitlines()[1].endswith("Welcome grant,,,1,1")
    assert (await browser.get(path, params={"from": "yesterday"})).status_code == 422
    turned = {"from": "2026-02-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    assert (await browser.get(path, params=turned)).status_code == 422
    assert (await browser.post(path)).status_code in {404, 405}


async def test_requests_and_keys_are_files_without_a_formula(
    served: Served, browser: httpx.AsyncClient, api: Api
) -> None:
    account = await sign_up(api)
    await sign_in(served, browser, account)
    await mint(account, name="=1+1")
    await say_hello(api, account)
    head, *rows = (await browser.get("/_download/keys.csv")).text.splitlines()
    assert head.startswith("name,key,status")
    assert [row.split(",")[0] for row in rows] == ["laptop", "'=1+1"]
    head, *rows = (await browser.get("/_download/requests.csv?model=operis/echo")).text.splitlines()
    assert [row.split(",")[13] for row in rows] == ["0.000015"]
    assert (await browser.get("/_download/requests.csv?outcome=failed")).text.splitlines() == [head]
    assert (await browser.get("/_download/requests.csv?outcome=nonsense")).status_code == 400


async def test_a_file_of_prices_is_taken_from_operators_alone(
    served: Served, browser: httpx.AsyncClient, api: Api
) -> None:
    path = "/_files/prices"
    assert (await browser.post(path, content=b"x")).status_code == 403
    await sign_in(served, browser, await sign_up(api))
    assert (await browser.post(path, content=b"x")).status_code == 403
    operator = Account(api.client(), "", "", ADMIN_EMAIL)
    await sign_in(served, browser, operator, password=ADMIN_PASSWORD)
    assert (await browser.post(path, content=b"x")).status_code == 204
    assert (await browser.post(path, content=b"x", headers={"origin": "https://evil.example"})).status_code == 403
    assert (await browser.post(path, content=b"\xff")).status_code == 422
    assert (await browser.post(path, content=bytes(FILE_BYTES_MAX + 1))).status_code == 413


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
@pytest.mark.parametrize("route", ["/_auth/callback", "/_auth/logout", "/_auth/link-used"])
async def test_the_cookie_routes_refuse_forms_of_other_sites(served: Served, route: str, origin: str | None) -> None:
    headers = {"origin": origin} if origin else {}
    async with httpx.AsyncClient(base_url=served.url, trust_env=False) as stranger:
        answer = await stranger.post(route, data={"ticket": "x"}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_a_ticket_nobody_issued_leads_back_to_sign_in(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/_auth/callback", data={"ticket": "made-up"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?expired=1")
    assert "set-cookie" not in answer.headers


async def test_a_form_sent_too_early_reads_nothing(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/_auth/nojs", data={"email": "ada@example.com", "password": "secret"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    page = (await browser.get("/login")).text
    assert 'method="post"' in page.lower()
    assert re.search(r"<button[^>]*\bdisabled", page)


@pytest.mark.parametrize("path", ["/", "/keys", "/requests", "/wallet", "/playground", "/admin", "/admin/users"])
async def test_every_page_sends_a_visitor_to_sign_in(path: str, browser: httpx.AsyncClient) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


async def test_answers_carry_the_security_headers_and_cache_what_cannot_change(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/login")
    assert page.status_code == 200  # without a detour to /login/
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http:" not in policy.replace("ws:", "")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-cache"
    asset = re.search(r"/assets/[\w./-]+\.js", page.text)
    assert asset is not None
    assert "immutable" in (await browser.get(asset[0])).headers["cache-control"]
    assert not re.search(r'(?:src|href)="https?://', page.text), "the page loads something from elsewhere"


async def test_a_session_survives_a_restart_and_the_log_keeps_no_secret(api: Api, tmp_path: Path, tab: Tab) -> None:
    account = await sign_up(api)
    with serve_dashboard(api.base_url, tmp_path) as first:
        async with httpx.AsyncClient(headers={"origin": first.url}, base_url=first.url, trust_env=False) as browser:
            await sign_in(first, browser, account)
            session_id = browser.cookies["operis_session"]
        async with connect(first, cookie=f"operis_session={session_id}") as socket:
            await socket.client.emit("event", {"name": "no.such_event", "payload": {}}, namespace="/_event")
            await socket.client.emit("event", {"name": 7}, namespace="/_event")
            await asyncio.sleep(0.3)
        assert first.stop() == 0
        assert session_id not in first.log.read_text()
    with serve_dashboard(api.base_url, tmp_path) as second:
        answer = httpx.get(f"{second.url}/wallet", cookies={"operis_session": session_id}, trust_env=False)
        assert answer.status_code == 200


async def test_by_https_the_cookie_is_bound_to_the_host(api: Api, tmp_path: Path) -> None:
    account = await sign_up(api)
    address = "https://dash.example.com"
    with serve_dashboard(api.base_url, tmp_path, OPERIS_PUBLIC_DASHBOARD_URL=address) as served:
        async with httpx.AsyncClient(headers={"origin": address}, base_url=served.url, trust_env=False) as browser:
            cookie = (await sign_in(served, browser, account)).headers["set-cookie"]
            assert cookie.startswith("__Host-operis_session=")
            assert "Secure" in cookie
            assert "strict-transport-security" in (await browser.get("/login")).headers


def test_a_killed_server_leaves_no_worker_on_its_port(api: Api, tmp_path: Path) -> None:
    with serve_dashboard(api.base_url, tmp_path) as served:
        served.process.kill()
        served.process.wait()
        for _ in range(100):
            try:
                httpx.get(f"{served.url}/healthz", trust_env=False)
            except httpx.TransportError:
                return
            time.sleep(0.1)
    raise AssertionError("the worker still answers")


def test_serving_refuses_what_is_not_built_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "rxconfig.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "operis_dashboard.serve"],
        env={"OPERIS_DASHBOARD_ROOT": str(tmp_path), "OPERIS_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "The dashboard is not built; run: python -m operis_dashboard.build\n"
    assert not (tmp_path / ".states").exists()


def test_a_wrong_setting_is_named_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "operis_dashboard.serve"],
        env={"OPERIS_ENV": "production", "OPERIS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("OPERIS_SECRET_KEY is not set")
    assert done.stderr.count("\n") == 1


def test_building_again_does_nothing() -> None:
    done = subprocess.run([sys.executable, "-m", "operis_dashboard.build"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "The dashboard's frontend is up to date.\n")
