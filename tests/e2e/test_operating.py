"""What an operator does with upstreams and with a customer's charge, in a browser."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OpenTab
from tests.e2e.people import go_to, sign_in, sign_up
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD

pytestmark = pytest.mark.browser


def test_an_operator_tests_an_upstream_pools_keys_and_shares_out_a_model(open_tab: OpenTab, slow_model: str) -> None:
    page = open_tab()
    sign_in(page, ADMIN_EMAIL, ADMIN_PASSWORD)
    go_to(page, "Upstreams")
    page.get_by_role("button", name="Slow").click()
    sheet = page.get_by_role("dialog", name="Slow")
    sheet.get_by_role("button", name="Test now").click()
    expect(sheet.get_by_role("status")).to_contain_text("real-model")

    sheet.get_by_label("A further API key").fill("sk-further-credential-4711")
    sheet.get_by_role("button", name="Add key").click()
    expect(sheet.get_by_text("…4711").first).to_be_visible()
    expect(sheet.get_by_label("A further API key")).to_have_value("")
    sheet.get_by_role("button", name="Remove …4711").click()
    expect(sheet.get_by_text("Remove …4711?")).to_be_visible()
    sheet.get_by_role("button", name="Remove", exact=True).click()
    expect(sheet.get_by_text("…4711")).to_have_count(0)

    sheet.get_by_label(f"Weight {slow_model}").fill("3")
    sheet.get_by_role("listitem").filter(has_text=slow_model).get_by_role("button", name="Save").click()
    expect(page.get_by_text("In force for the next call.")).to_be_visible()


def test_an_operator_explains_a_charge_and_gives_it_back(open_tab: OpenTab) -> None:
    page = open_tab()
    email = sign_up(page)
    go_to(page, "Playground")
    page.get_by_label("Message").fill("Hello")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("log")).to_contain_text("credits")

    office = open_tab()
    sign_in(office, ADMIN_EMAIL, ADMIN_PASSWORD)
    go_to(office, "All requests")
    office.get_by_role("row").filter(has_text=email).get_by_role("button").first.click()
    sheet = office.get_by_role("dialog", name="Explain this charge")
    expect(sheet.get_by_role("listitem").filter(has_text="Built-in echo")).to_contain_text("answered 200")
    sheet.locator("summary").click()
    sheet.get_by_label("Reason").fill("Goodwill")
    sheet.get_by_role("button", name="Give the charge back").click()
    expect(sheet.get_by_role("heading", name="Given back")).to_be_visible()

    go_to(page, "Wallet")
    expect(page.get_by_role("row").filter(has_text="Charge taken back")).to_be_visible()
