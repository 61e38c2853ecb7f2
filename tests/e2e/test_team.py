"""Working with others, in a browser: an organization, an invitation, a role, a cap, and the way out."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OpenTab
from tests.e2e.people import sign_up

pytestmark = pytest.mark.browser


def test_an_owner_invites_somebody_gives_them_a_cap_and_removes_them(open_tab: OpenTab) -> None:
    page = open_tab()
    email = sign_up(page, "Charles Babbage")
    page.get_by_role("banner").get_by_label("Organization").select_option(label="New organization…")
    page.get_by_label("Name of the organization").fill("Analytical Engines")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("row").filter(has_text=email)).to_contain_text("Owner")

    guest = open_tab()
    guest_email = sign_up(guest, "Ada Lovelace")
    page.get_by_role("button", name="Invite").click()
    page.get_by_label("Email").fill(guest_email)
    page.get_by_role("button", name="Send invitation").click()
    link = page.get_by_role("textbox", name="Link of the invitation").input_value()
    page.get_by_role("dialog").get_by_role("button", name="Close").first.click()
    expect(page.get_by_role("row").filter(has_text=guest_email)).to_contain_text("Viewer")

    guest.goto(re.sub(r"^https?://[^/]+", "", link))
    guest.get_by_role("button", name="Accept the invitation").click()
    expect(guest.get_by_text("You are at work in Analytical Engines now.")).to_be_visible()
    guest.get_by_role("link", name="Go on").click()
    expect(guest.get_by_role("banner").get_by_label("Organization").locator("option:checked")).to_have_text(
        "Analytical Engines"
    )

    page.reload()
    page.get_by_role("button", name=f"Manage {guest_email}").click()
    page.get_by_label("Budget a day").fill("2.5")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(f"Saved {guest_email}.")).to_be_visible()
    page.get_by_role("button", name=f"Manage {guest_email}").click()
    expect(page.get_by_label("Budget a day")).to_have_value("2.5")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog", name=f"Remove {guest_email}?").get_by_role("button", name="Remove").click()
    expect(page.get_by_role("row").filter(has_text=guest_email)).to_have_count(0)

    guest.get_by_role("navigation", name="Navigation").get_by_role("link", name="API keys", exact=True).click()
    expect(guest.get_by_role("heading", name="Overview")).to_be_visible()
    expect(guest.get_by_role("banner").get_by_label("Organization").locator("option:checked")).not_to_have_text(
        "Analytical Engines"
    )
