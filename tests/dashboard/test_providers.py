"""Identity providers on the pages, with a provider that really answers."""

import json
import re
import secrets
from typing import Any
from urllib.parse import urlencode

from operis_dashboard import runtime
from operis_dashboard.pages.login import Login
from operis_dashboard.pages.settings_security import Security
from tests.dashboard.conftest import Tab, run
from tests.dashboard.test_settings import age
from tests.factories import PASSWORD, Account
from tests.fakes.identity_provider import IdentityProvider
from tests.running import Api


def come_back(tab: Tab, provider: IdentityProvider, event: Any, **person: Any) -> str:
    """Go to the provider with the ticket that the page was given, and return where it sends the browser back to."""
    ticket = re.search(r'field.value = \\*"([\w-]+)', str(event))
    assert ticket, event
    redeemed = runtime.departures.redeem(ticket[1])
    assert redeemed is not None
    departure, wanted = redeemed
    tab.cookies = {**tab.cookies, "operis_provider": f"{departure.browser_token}:{wanted}"}
    return "/provider?" + urlencode(provider.consent(departure.url, **person))


async def return_to(tab: Tab, path: str) -> tuple[Login, list[Any]]:
    tab.visit(path)
    login: Any = await tab.root.get_state(Login)
    return login, await run(login.come_back())


async def test_the_password_of_an_account_with_the_same_address_is_asked_for(
    identity_provider: IdentityProvider, tab: Tab, signed_in: tuple[Tab, Account]
) -> None:
    _, account = signed_in
    tab.visit("/login", cookies={})
    login = await tab.page(Login, "/login")
    assert [one.title for one in login.providers] == ["Acme"]
    (event,) = await run(login.leave("acme"))
    person = {"sub": secrets.token_hex(8), "email": account.email}
    login, events = await return_to(tab, come_back(tab, identity_provider, event, **person))
    assert (login.owner_asked, login.failure, events) == (True, "", [])
    await run(login.submit_owner({"password": "not the password"}))
    assert (login.busy, login.failure) == (False, "Email or password is not right.")
    (event,) = await run(login.submit_owner({"password": PASSWORD}))
    assert "/_auth/callback" in str(event)


async def test_what_another_browser_began_signs_nobody_in(identity_provider: IdentityProvider, tab: Tab) -> None:
    login = await tab.page(Login, "/login")
    (event,) = await run(login.leave("acme"))
    path = come_back(tab, identity_provider, event, sub="mallory", email="mallory@example.com")
    tab.cookies = {}
    for cookies in ({}, {"operis_provider": "another:/"}):
        tab.cookies = cookies
        login, events = await return_to(tab, path)
        assert (login.failure != "", events) == (True, [])


async def test_one_is_linked_after_a_proof_and_unlinked(
    api: Api, identity_provider: IdentityProvider, signed_in: tuple[Tab, Account]
) -> None:
    tab, account = signed_in
    security = await tab.page(Security, "/settings/security")
    await age(api, account)
    security.choose_provider("acme")
    assert await run(security.link_identity()) == []
    (then,) = await run(security.prove({"proof": PASSWORD}))
    assert then.fn.__name__ == "link_identity"
    (event,) = await run(security.link_identity())
    path = come_back(tab, identity_provider, event, sub=secrets.token_hex(8), email="elsewhere@example.com")
    _, events = await return_to(tab, path)
    assert json.dumps("/settings/security") in str(events)
    security = await tab.page(Security, "/settings/security")
    assert [row.email for row in security.identities] == ["elsewhere@example.com"]
    security.ask_identity(security.identities[0].id)
    await run(security.unlink_identity())
    assert [row.id for row in security.identities] == [""]
