"""Operators at work on organizations, and what the log says of it afterwards."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OpenTab
from tests.e2e.people import go_to, sign_in, sign_up
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD

pytestmark = pytest.mark.browser


def test_an_organization_is_found_suspended_and_the_log_says_who_and_why(open_tab: OpenTab) -> None:
    email = sign_up(open_tab())
    page = open_tab()
    sign_in(page, ADMIN_EMAIL, ADMIN_PASSWORD)
    go_to(page, "Organizations")
    page.get_by_role("searchbox").fill(email)
    page.get_by_role("row").filter(has_text=email).get_by_role("button", name="Ada Lovelace").click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_role("link", name=email).first).to_be_visible()
    sheet.get_by_role("button", name="Suspend").click()
    sheet.get_by_label("Reason").fill("Unpaid since May")
    sheet.get_by_role("button", name="Suspend").click()
    expect(sheet.get_by_text("Unpaid since May")).to_be_visible()
    sheet.get_by_role("link", name="Audit log").click()
    expect(page.get_by_role("heading", name="Audit log", level=1)).to_be_visible()
    page.get_by_role("button", name="organization.suspend").click()
    changed = page.get_by_role("dialog").get_by_role("row").filter(has_text="suspended")
    expect(changed).to_contain_text("active")
    page.get_by_role("button", name="All by this one").click()
    expect(page.get_by_label("Who, by id")).not_to_have_value("")


def test_a_visitor_reads_in_development_what_was_mailed(open_tab: OpenTab) -> None:
    page = open_tab()
    email = sign_up(page)
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_role("link", name="Forgot your password?").click()
    expect(page.get_by_role("heading", name="Forgot your password?")).to_be_visible()
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("status").filter(has_text=email)).to_be_visible()
    page.get_by_role("link", name="Development mailbox").click()
    mail = page.get_by_role("group").filter(has_text=email).filter(has_text="Set a new password")
    for _ in range(50):
        if mail.count():
            break
        page.wait_for_timeout(200)
        page.reload()
        expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    mail.locator("summary").click()
    expect(mail.get_by_role("link", name="Open the link").first).to_be_visible()
