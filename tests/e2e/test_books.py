"""What an operator does with the books, in a browser."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OpenTab
from tests.e2e.people import go_to, sign_in, sign_up
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD

pytestmark = pytest.mark.browser


def test_an_operator_finds_a_posting_and_gives_the_charge_back(open_tab: OpenTab) -> None:
    page = open_tab()
    sign_up(page, name="Grace Hopper")
    go_to(page, "Playground")
    page.get_by_label("Message").fill("Hello")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("log")).to_contain_text("credits")

    office = open_tab()
    sign_in(office, ADMIN_EMAIL, ADMIN_PASSWORD)
    go_to(office, "Ledger")
    rows = office.get_by_role("region", name="Ledger").get_by_role("row")
    rows.filter(has_text="Grace Hopper").first.get_by_role("button", name="Grace Hopper").click()
    expect(rows).to_have_count(3)
    office.get_by_label("What").select_option("Request")
    expect(rows).to_have_count(2)
    rows.nth(1).get_by_role("button").first.click()
    sheet = office.get_by_role("dialog", name="Request")
    expect(sheet.get_by_role("row").filter(has_text="Wallet")).to_contain_text("0.000015")
    sheet.get_by_role("link", name="Explain the charge").click()
    explained = office.get_by_role("dialog", name="Explain this charge")
    explained.locator("summary").click()
    explained.get_by_label("Reason").fill("Goodwill")
    explained.get_by_role("button", name="Give the charge back").click()
    expect(explained.get_by_role("heading", name="Given back")).to_be_visible()


def test_an_operator_has_the_books_verified_and_sees_how_it_ended(open_tab: OpenTab) -> None:
    office = open_tab()
    sign_in(office, ADMIN_EMAIL, ADMIN_PASSWORD)
    go_to(office, "Checks and alerts")
    expect(office.get_by_text("No alerts")).to_be_visible()
    verify = office.get_by_role("button", name="Verify now")
    verify.click()
    expect(verify).to_be_disabled()
    expect(verify).to_be_enabled()
    everything = office.get_by_role("row").filter(has_text="each organization has its wallet")
    expect(everything).to_contain_text("Holds")
    expect(everything).to_contain_text("Everything")


def test_an_operator_watches_a_call_that_runs(open_tab: OpenTab, slow_model: str) -> None:
    page = open_tab()
    email = sign_up(page)
    page.goto(f"/playground?model={slow_model}")
    expect(page.get_by_label("Model")).to_have_value(slow_model)
    page.get_by_label("Message").fill("Talk to me")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("log")).to_contain_text("word3")

    office = open_tab()
    sign_in(office, ADMIN_EMAIL, ADMIN_PASSWORD)
    go_to(office, "Open holds")
    row = office.get_by_role("row").filter(has_text=email)
    expect(row).to_contain_text(slow_model)
    expect(row.get_by_text("Lapsed")).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("log")).to_contain_text("Stopped.")
