"""Passkeys in a browser, with a device that lives in it: registered, signed in by alone and as the second factor."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import OpenTab
from tests.e2e.people import PASSWORD, sign_out, sign_up

pytestmark = pytest.mark.browser


def test_a_passkey_signs_in_alone_and_after_the_password(open_tab: OpenTab) -> None:
    page = open_tab(host="localhost")
    put_device(page)
    email = sign_up(page)
    page.goto("/settings/security")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Laptop '\u2028</script>")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("list", name="Recovery codes").get_by_role("listitem")).to_have_count(10)
    page.get_by_role("button", name="I have kept them").click()
    expect(page.get_by_role("list", name="Passkeys").get_by_role("listitem")).to_have_count(1)
    expect(page.get_by_text("Recovery codes left: 10")).to_be_visible()

    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    sign_out(page)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Two-factor sign-in")).to_be_visible()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    page.goto("/settings/security")
    page.get_by_role("button", name="Remove Laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("list", name="Passkeys")).to_have_count(0)
    expect(page.get_by_text("Recovery codes left")).to_have_count(0)


def test_a_browser_that_shows_none_says_why(open_tab: OpenTab) -> None:
    page = open_tab()
    page.goto("/login")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("Passkeys do not work at this address")


def put_device(page: Page) -> None:
    """Let the browser have a device with a finger on it."""
    devtools: Any = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
