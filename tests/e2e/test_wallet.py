"""What a customer does with the wallet's lines, in a browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OpenTab
from tests.e2e.people import go_to, sign_up

pytestmark = pytest.mark.browser


def test_a_customer_narrows_the_ledger_saves_it_and_has_a_line_explained(open_tab: OpenTab, tmp_path: Path) -> None:
    page = open_tab()
    sign_up(page)
    go_to(page, "Playground")
    page.get_by_label("Message").fill("Hello")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("log")).to_contain_text("credits")

    go_to(page, "Wallet")
    lines = page.get_by_role("region", name="Ledger").get_by_role("row")
    expect(lines).to_have_count(3)
    page.get_by_label("What").select_option("Request")
    expect(lines).to_have_count(2)
    expect(page).to_have_url(re.compile(r"/wallet\?kind=charge$"))
    with page.expect_download() as saving:
        page.get_by_role("link", name="Download CSV").click()
    saving.value.save_as(tmp_path / "statement.csv")
    assert (tmp_path / "statement.csv").read_text().splitlines()[1].endswith(",-0.000015,0.999985")

    page.get_by_label("From", exact=True).fill("2020-01-01")
    expect(page).to_have_url(re.compile(r"/wallet\?kind=charge&since=2020-01-01$"))
    page.get_by_label("To", exact=True).fill("2020-01-31")
    expect(page.get_by_text("No lines match")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(lines).to_have_count(3)
    page.get_by_role("link", name="Explain").click()
    explained = page.get_by_role("dialog", name="Explain this charge")
    expect(explained.get_by_role("row").filter(has_text="Wallet")).to_contain_text("0.000015")
    page.keyboard.press("Escape")
    with page.expect_download() as saving:
        page.get_by_role("link", name="Download CSV").click()
    saving.value.save_as(tmp_path / "requests.csv")
    assert len((tmp_path / "requests.csv").read_text().splitlines()) == 2
