"""Identity providers in a browser: signing up by one, linking one, declining there."""

import secrets

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OpenTab
from tests.e2e.people import PASSWORD, sign_out, sign_up
from tests.fakes.identity_provider import IdentityProvider

pytestmark = pytest.mark.browser


def test_somebody_signs_up_by_a_provider_and_arrives_where_they_wanted(
    open_tab: OpenTab, acme: IdentityProvider
) -> None:
    page = open_tab()
    acme.person = {"sub": secrets.token_hex(8), "email": f"{secrets.token_hex(6)}@example.com", "name": "Grace"}
    page.goto("/wallet")
    page.get_by_role("button", name="Continue with Acme").click()
    expect(page.get_by_role("heading", name="Wallet", level=1)).to_be_visible()
    sign_out(page)
    page.get_by_role("button", name="Continue with Acme").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.goto("/settings/security")
    page.get_by_role("button", name="Unlink Acme").click()
    page.get_by_role("dialog").get_by_role("button", name="Unlink").click()
    expect(page.get_by_role("button", name="Link Acme", exact=True)).to_be_visible()
    page.get_by_role("button", name="Link Acme", exact=True).click()
    expect(page.get_by_role("button", name="Unlink Acme")).to_be_visible()


def test_the_password_links_an_account_with_the_same_address_and_nobody_comes_in_declining(
    open_tab: OpenTab, acme: IdentityProvider
) -> None:
    page = open_tab()
    email = sign_up(page)
    sign_out(page)
    acme.person = {}
    page.get_by_role("button", name="Continue with Acme").click()
    expect(page.get_by_role("alert")).to_contain_text("did not say who you are")
    page.get_by_role("link", name="Back to signing in").click()
    acme.person = {"sub": secrets.token_hex(8), "email": email}
    page.get_by_role("button", name="Continue with Acme").click()
    expect(page.get_by_role("heading", name="Is this your account?")).to_be_visible()
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Link and sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Link and sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
