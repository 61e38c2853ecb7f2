"""Every event passes the gate, and the gate refuses by default."""

from inspect import get_annotations
from typing import Any

import pytest
import reflex as rx
from reflex_base.registry import RegistrationContext
from reflex_base.utils.format import format_event_handler

from operis_dashboard import runtime
from operis_dashboard.gate import INTERNAL, PUBLIC, access_of
from operis_dashboard.layout import PAGES
from operis_dashboard.pages.keys import Keys
from operis_dashboard.viewer import Viewer
from tests.dashboard.conftest import Tab
from tests.factories import Account

PUBLIC_NAMES = {
    "ask_device",
    "choose_language",
    "come_back",
    "leave",
    "load",
    "submit",
    "submit_code",
    "submit_owner",
    "submit_passkey",
    "turn_page",
    "use",
}
LOAD_KEYS = "reflex___state____state.operis_dashboard___viewer____viewer.operis_dashboard___pages___keys____keys.load"


@pytest.fixture
def handlers(dashboard: rx.App) -> dict[str, str]:
    """Every event of the application, with who may run it."""
    names = RegistrationContext.get().event_handlers
    assert len(names) > 80, "the application's events were not found"
    return {name: access_of(name) for name in names}


def is_refused(update: Any) -> bool:
    return update is not None and [event.name for event in update.events] == ["_redirect"]


async def test_an_event_is_public_only_if_the_list_says_so(handlers: dict[str, str]) -> None:
    public = {name.rpartition(".")[2] for name, access in handlers.items() if access == "public"}
    assert public == PUBLIC_NAMES
    assert len([access for access in handlers.values() if access == "public"]) == len(PUBLIC)


async def test_the_framework_gets_exactly_the_events_it_needs(handlers: dict[str, str]) -> None:
    assert len([access for access in handlers.values() if access == "internal"]) == len(INTERNAL)
    assert all(access == "closed" for name, access in handlers.items() if name.endswith(".setvar"))


async def test_a_visitor_is_refused_every_event_that_is_not_public(handlers: dict[str, str], tab: Tab) -> None:
    tab.visit("/")
    for name, access in handlers.items():
        assert is_refused(await tab.send(name)) == (access not in {"public", "internal"}), name


async def test_a_user_is_refused_every_event_of_the_operators_pages(
    handlers: dict[str, str], signed_in: tuple[Tab, Account]
) -> None:
    tab, _ = signed_in
    admin_events = [name for name, access in handlers.items() if access == "admin"]
    assert len(admin_events) > 20
    for name, access in handlers.items():
        assert is_refused(await tab.send(name)) == (access in {"admin", "closed"}), name


async def test_an_administrator_may_run_the_operators_events(handlers: dict[str, str], admin_tab: Tab) -> None:
    for name, access in handlers.items():
        assert is_refused(await admin_tab.send(name)) == (access == "closed"), name


async def test_an_unknown_event_is_closed(tab: Tab, signed_in: tuple[Tab, Account]) -> None:
    assert access_of("reflex___state____state.no_such_event") == "closed"
    assert is_refused(await signed_in[0].send("reflex___state____state.no_such_event"))


async def test_every_page_but_the_visitors_loads_through_a_guarded_event(dashboard: rx.App) -> None:
    for page in PAGES:
        access = access_of(format_event_handler(page.on_load))
        assert access == {"visitor": "public", "user": "user", "admin": "admin"}[page.role], page.route


async def test_no_state_holds_a_token(signed_in: tuple[Tab, Account]) -> None:
    tab, _ = signed_in
    await tab.send(LOAD_KEYS)
    session = runtime.sessions().find(tab.cookies[runtime.cookie_name()])
    assert session is not None
    everything = repr([state.__dict__ for state in _all_states(tab.root)])
    assert session.access_token not in everything
    assert session.refresh_token not in everything
    assert tab.cookies[runtime.cookie_name()] not in tab.sent(), "the cookie goes to the browser"


async def test_state_is_emptied_when_the_session_is_another_one(signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    assert await tab.send(LOAD_KEYS) is None
    keys = await tab.root.get_state(Keys)
    keys.secret = "sk-op-shown-to-ada"
    viewer = await tab.root.get_state(Viewer)
    assert viewer.email == account.email

    tab.visit("/", cookies={})  # the tab's token alone, as a thief of a URL would have it

    assert is_refused(await tab.send(LOAD_KEYS))
    assert (keys.secret, viewer.email) == ("", "")


async def test_signing_out_elsewhere_closes_the_tab_on_its_next_event(signed_in: tuple[Tab, Account]) -> None:
    tab, _ = signed_in
    assert await tab.send(LOAD_KEYS) is None
    runtime.sessions().end(tab.cookies[runtime.cookie_name()])
    assert is_refused(await tab.send(LOAD_KEYS))


def _all_states(state: Any) -> list[Any]:
    return [state, *(found for substate in state.substates.values() for found in _all_states(substate))]


def test_no_page_writes_over_what_every_page_knows_of_its_viewer(dashboard: rx.App) -> None:
    del dashboard  # has imported every page
    written = {
        (page.__name__, name)
        for page in Viewer.get_substates()
        for name in get_annotations(page)
        if name in get_annotations(Viewer)
    }
    assert written == set()
