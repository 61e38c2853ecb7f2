"""One's own settings in a browser: a second factor from its QR code to the next sign-in, an address, a session."""

import base64
import time

import pytest
from playwright.sync_api import Page, expect

from operis_api.credentials.totp import STEP_SECONDS, code_at
from tests.e2e.conftest import OpenTab, Product
from tests.e2e.people import PASSWORD, go_to, mailed_link, sign_in, sign_out, sign_up

pytestmark = pytest.mark.browser


def test_a_second_factor_is_turned_on_and_asked_for_at_the_next_sign_in(open_tab: OpenTab) -> None:
    page = open_tab()
    email = sign_up(page)
    open_settings(page, "Security")
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_role("img", name="QR code of the secret")).to_be_visible()
    secret = page.get_by_role("textbox", name="Secret").input_value()
    page.get_by_label("Code", exact=True).fill(code_of(secret, -1))
    page.get_by_role("button", name="Turn on").click()
    shown = page.get_by_role("list", name="Recovery codes").get_by_role("listitem")
    expect(shown).to_have_count(10)
    codes = shown.all_inner_texts()
    page.get_by_role("button", name="I have kept them").click()
    expect(page.get_by_text("Recovery codes left: 10")).to_be_visible()

    sign_out(page)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    open_settings(page, "Security")
    expect(page.get_by_text("Recovery codes left: 9")).to_be_visible()
    page.get_by_role("button", name="Turn off").click()
    page.get_by_role("dialog").get_by_role("button", name="Turn off").click()
    expect(page.get_by_role("button", name="Set up")).to_be_visible()


def test_a_new_address_is_confirmed_by_the_mailed_link(open_tab: OpenTab, product: Product) -> None:
    page = open_tab()
    email = sign_up(page)
    open_settings(page, "Profile")
    page.get_by_role("button", name="Change address").click()
    page.get_by_label("New address").fill(f"new.{email}")
    page.get_by_role("button", name="Send link").click()
    expect(page.get_by_text(f"A link is on its way to new.{email}.")).to_be_visible()
    page.goto(mailed_link(product, f"new.{email}", "Confirm your new address"))
    page.get_by_role("button", name="Confirm new address").click()
    page.get_by_role("link", name="Go on").click()
    expect(page.get_by_role("main").get_by_text(f"new.{email}", exact=True)).to_be_visible()


def test_another_session_is_named_and_ended(open_tab: OpenTab) -> None:
    page, other = open_tab(), open_tab()
    email = sign_up(page)
    sign_in(other, email)
    open_settings(page, "Sessions")
    expect(page.get_by_text("Chrome · Linux")).to_have_count(2)
    row = page.get_by_role("row").filter(has=page.get_by_role("button", name="End ")).first
    row.get_by_role("button", name="Name ").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Old laptop")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="End Old laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="End", exact=True).click()
    expect(page.get_by_role("button", name="End Old laptop")).to_have_count(0)
    other.get_by_role("navigation", name="Navigation").get_by_role("link", name="Wallet").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    go_to(page, "Wallet")


def open_settings(page: Page, part: str) -> None:
    page.goto("/settings")
    page.get_by_role("navigation", name="Settings").get_by_role("link", name=part).click()


def code_of(shown: str, offset: int) -> str:
    secret = base64.b32decode(shown + "=" * (-len(shown) % 8))
    return code_at(secret, int(time.time()) // STEP_SECONDS + offset)
