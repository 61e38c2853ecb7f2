"""Sessions on disk, tickets, and where signing in may lead."""

import asyncio
import hashlib
import time
from pathlib import Path

import msgspec
import pytest

from operis_client import AsyncOperis
from operis_dashboard import runtime
from operis_dashboard.session import (
    SESSION_SECONDS_MAX,
    TICKET_SECONDS_MAX,
    Session,
    SessionStore,
    TicketOffice,
    read_cookie,
    safe_path,
)
from tests.dashboard.conftest import Tab
from tests.factories import Account

KEY = b"k" * 32
SESSION = Session(
    access_token="access-token-of-ada",
    access_expires_at=time.time() + 600,
    refresh_token="refresh-token-of-ada",
    user_id="1",
    email="ada@example.com",
    name="Ada",
    organization="Ada",
    organization_id="1",
    organizations=(),
    admin=False,
    permissions=(),
    time_zone="UTC",
    signed_in_at=time.time(),
)


def test_a_session_survives_a_restart(tmp_path: Path) -> None:
    session_id = SessionStore(tmp_path, KEY).add(SESSION)
    assert SessionStore(tmp_path, KEY).find(session_id) == SESSION


def test_a_session_file_shows_nothing_and_opens_for_nobody_else(tmp_path: Path) -> None:
    store = SessionStore(tmp_path, KEY)
    session_id = store.add(SESSION)
    (path,) = tmp_path.iterdir()
    assert session_id not in path.name
    assert b"ada" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert SessionStore(tmp_path, b"x" * 32).find(session_id) is None


def test_a_session_file_moved_to_another_id_is_refused(tmp_path: Path) -> None:
    store = SessionStore(tmp_path, KEY)
    mine, theirs = store.add(SESSION), store.add(msgspec.structs.replace(SESSION, email="eve@example.com"))
    names = {hashlib.sha256(session_id.encode()).hexdigest(): session_id for session_id in (mine, theirs)}
    paths = {names[path.name]: path for path in tmp_path.iterdir()}
    paths[theirs].write_bytes(paths[mine].read_bytes())
    assert store.find(theirs) is None


def test_an_aged_or_unknown_session_is_none(tmp_path: Path) -> None:
    store = SessionStore(tmp_path, KEY)
    aged = store.add(msgspec.structs.replace(SESSION, signed_in_at=time.time() - SESSION_SECONDS_MAX - 1))
    assert store.find(aged) is None
    assert store.find("../../etc/passwd") is None
    assert store.find(None) is None


def test_a_ticket_is_good_once_and_for_half_a_minute() -> None:
    now = [0.0]
    office: TicketOffice[Session] = TicketOffice(clock=lambda: now[0])
    ticket = office.issue(SESSION, "/keys")
    assert office.redeem(ticket) == (SESSION, "/keys")
    assert office.redeem(ticket) is None
    late = office.issue(SESSION, "/")
    now[0] = TICKET_SECONDS_MAX
    assert office.redeem(late) is None


@pytest.mark.parametrize(
    "path", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:1", "/login", "/_auth/logout", ""]
)
def test_signing_in_never_leads_elsewhere(path: str) -> None:
    assert safe_path(path) == "/"


def test_signing_in_leads_back_to_the_page_asked_for() -> None:
    assert safe_path("/requests?model=operis/echo") == "/requests?model=operis/echo"


def test_the_session_is_found_beside_the_odd_cookies_of_other_programs() -> None:
    assert read_cookie('a="; operis_session', "operis_session") is None
    assert read_cookie('state={"a": [1]}; =; operis_session=abc; b', "operis_session") == "abc"


async def test_many_tabs_refresh_a_stale_token_once(
    signed_in: tuple[Tab, Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    tab, account = signed_in
    session_id = tab.cookies[runtime.cookie_name()]
    session = runtime.sessions().find(session_id)
    assert session is not None
    runtime.sessions().save(session_id, msgspec.structs.replace(session, access_expires_at=time.time()))
    used: list[str] = []
    refresh = AsyncOperis.refresh

    async def count_refresh(client: AsyncOperis, *, refresh_token: str) -> object:
        used.append(refresh_token)
        return await refresh(client, refresh_token=refresh_token)

    monkeypatch.setattr(AsyncOperis, "refresh", count_refresh)
    clients = await asyncio.gather(*(runtime.connect(session_id) for _ in range(8)))

    assert used == [session.refresh_token]
    assert (await clients[7].get_me()).user.email == account.email


async def test_a_new_name_or_role_is_taken_over_with_the_next_token(signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    session_id = tab.cookies[runtime.cookie_name()]
    await account.client.update_me(name="Ada King")
    await runtime.connect(session_id, renew=True)
    session = runtime.sessions().find(session_id)
    assert session is not None
    assert session.name == "Ada King"


async def test_a_session_revoked_at_the_api_ends_here(signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    session_id = tab.cookies[runtime.cookie_name()]
    await account.client.logout_all()
    with pytest.raises(runtime.SignedOutError):
        await runtime.connect(session_id, renew=True)
    assert runtime.sessions().find(session_id) is None


async def test_a_sign_out_while_refreshing_does_not_bring_the_session_back(
    signed_in: tuple[Tab, Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    tab, _ = signed_in
    session_id = tab.cookies[runtime.cookie_name()]
    refresh = AsyncOperis.refresh

    async def refresh_slowly(client: AsyncOperis, *, refresh_token: str) -> object:
        tokens = await refresh(client, refresh_token=refresh_token)
        runtime.sessions().end(session_id)
        return tokens

    monkeypatch.setattr(AsyncOperis, "refresh", refresh_slowly)
    with pytest.raises(runtime.SignedOutError):
        await runtime.connect(session_id, renew=True)
    assert runtime.sessions().find(session_id) is None
