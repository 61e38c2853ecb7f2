"""The first story, in a browser, on the real product: from signing up to a bill one understands."""

import re

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import OpenTab, Product
from tests.e2e.people import go_to, sign_in, sign_out, sign_up
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD

pytestmark = pytest.mark.browser

QUESTION = "Hello **there**"
CHARGE = "0.000045"  # 15 characters in at 1 and 15 out at 2 credits per million


def test_somebody_signs_up_mints_a_key_chats_and_understands_the_bill(open_tab: OpenTab, product: Product) -> None:
    page = open_tab()
    sign_up(page)
    expect(_figure(page, "Available")).to_have_text("1.00")
    go_to(page, "Wallet")
    expect(page.get_by_role("row").filter(has_text="Welcome grant")).to_contain_text("+1.00")

    secret = _mint_key(page, "Laptop")
    assert _call(product, secret).status_code == 200

    go_to(page, "Playground")
    page.get_by_label("Message").fill(QUESTION)
    page.get_by_role("button", name="Send").click()
    answer = page.get_by_role("log")
    expect(answer.locator("strong")).to_have_text("there")
    expect(answer).to_contain_text("15 in · 15 out · 0.000045 credits")

    go_to(page, "Requests")
    row = page.get_by_role("row").filter(has_text="Playground")
    expect(row).to_contain_text(CHARGE)
    expect(page.get_by_role("row").filter(has_text="Laptop")).to_contain_text("0.000006")
    expect(row.locator("[title*='+07:00']")).to_be_visible()  # the reader's own zone, exact on hover
    row.get_by_role("button").click()
    explained = page.get_by_role("dialog", name="Explain this charge")
    expect(explained.get_by_role("row").filter(has_text="Input")).to_contain_text("0.000015")
    expect(explained.get_by_role("row").filter(has_text="Output")).to_contain_text("0.00003")
    expect(explained.get_by_role("row").filter(has_text="Wallet")).to_contain_text(CHARGE)
    page.keyboard.press("Escape")
    expect(explained).to_be_hidden()
    expect(row.get_by_role("button")).to_be_focused()

    go_to(page, "Wallet")
    expect(_figure(page, "Available")).to_have_attribute("title", "0.999949")  # 1 - 0.000045 - 0.000006
    go_to(page, "Overview")
    expect(_figure(page, "Spend")).to_have_attribute("title", "0.000051")
    expect(_figure(page, "Requests")).to_have_text("2")


def test_an_administrator_credits_somebody_who_sees_it_with_the_reason(open_tab: OpenTab) -> None:
    page = open_tab()
    email = sign_up(page)
    office = open_tab()
    sign_in(office, ADMIN_EMAIL, ADMIN_PASSWORD)
    go_to(office, "Users")
    office.get_by_label("Search by email or name").fill(email)
    expect(office).to_have_url(re.compile("search="))
    expect(office.get_by_role("row")).to_have_count(2)
    office.get_by_role("button", name=email).click()
    office.get_by_role("dialog").get_by_role("link", name="Wallet").click()
    expect(office.get_by_role("heading", name="Customer's wallet")).to_be_visible()
    office.get_by_label("Amount in credits").fill("12.5")
    office.get_by_label("Reason").fill("Goodwill for Monday")
    office.get_by_role("button", name="Post").dblclick()
    expect(office.get_by_text("Posted 12.5 credits")).to_be_visible()
    expect(_figure(office, "Available")).to_have_text("13.50")

    go_to(page, "Wallet")
    expect(_figure(page, "Available")).to_have_text("13.50")
    expect(page.get_by_role("row").filter(has_text="Goodwill for Monday")).to_have_count(1)
    expect(page.get_by_role("row").filter(has_text="Goodwill for Monday")).to_contain_text("+12.50")

    go_to(office, "Platform overview")
    office.get_by_role("link").filter(has_text="Liabilities").click()
    expect(office.get_by_role("heading", name="Users")).to_be_visible()


def test_signing_out_shuts_every_page_of_every_tab(open_tab: OpenTab) -> None:
    page = open_tab()
    sign_up(page)
    second = page.context.new_page()
    second.goto("/wallet")
    expect(second.get_by_role("row").filter(has_text="Welcome grant")).to_be_visible()
    sign_out(page)
    second.get_by_role("navigation", name="Navigation").get_by_role("link", name="API keys").click()
    expect(second.get_by_role("heading", name="Sign in")).to_be_visible()
    for path in ("/", "/keys", "/requests", "/wallet", "/models", "/playground", "/settings", "/admin"):
        page.goto(path)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_after_signing_in_one_is_where_one_wanted_to_be(open_tab: OpenTab) -> None:
    page = open_tab()
    email = sign_up(page)
    sign_out(page)
    page.goto("/requests?outcome=failed")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill("a wrong password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Email or password is not right.")
    expect(page.get_by_label("Email")).to_have_value(email)  # what was typed stays
    page.get_by_label("Password").fill("a quiet password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_label("Outcome")).to_have_value("failed")
    assert page.url.endswith("/requests?outcome=failed")


def test_a_customer_finds_no_way_into_the_operators_pages(open_tab: OpenTab) -> None:
    page = open_tab()
    sign_up(page)
    expect(page.get_by_text("Platform overview")).to_have_count(0)
    page.goto("/admin/users")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_revoked_key_is_named_before_and_refused_after(open_tab: OpenTab, product: Product) -> None:
    page = open_tab()
    sign_up(page)
    secret = _mint_key(page, "Old laptop")
    page.get_by_role("button", name="Old laptop").click()
    page.get_by_role("dialog", name="Old laptop").get_by_role("button", name="Revoke").click()
    dialog = page.get_by_role("dialog", name="Revoke “Old laptop”?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Old laptop").click()
    page.get_by_role("dialog", name="Old laptop").get_by_role("button", name="Revoke").click()
    dialog.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Revoked “Old laptop”.")).to_be_visible()
    assert _call(product, secret).status_code == 401


def test_the_dashboard_speaks_vietnamese_and_switches(open_tab: OpenTab) -> None:
    page = open_tab(language="vi-VN")
    page.goto("/login")
    expect(page.get_by_role("heading", name="Đăng nhập")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "vi"
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_up(page)
    expect(_figure(page, "Available")).to_have_text("1.00")
    page.get_by_role("button", name="Tiếng Việt").click()
    expect(page.get_by_role("heading", name="Tổng quan")).to_be_visible()
    expect(_figure(page, "Khả dụng")).to_have_text("1,00")


def test_what_a_model_says_is_text_whatever_it_says(open_tab: OpenTab) -> None:
    page = open_tab()
    sign_up(page)
    go_to(page, "Playground")
    page.get_by_label("Message").fill(
        "<img src=x onerror=document.title='taken'> [link](javascript:document.title='taken') `ok`"
    )
    page.get_by_role("button", name="Send").click()
    log = page.get_by_role("log")
    expect(log).to_contain_text("credits")
    expect(log.locator("img, script")).to_have_count(0)
    expect(log.locator("a[href^='javascript']")).to_have_count(0)
    assert page.title() != "taken"


def test_an_answer_streams_and_can_be_stopped(open_tab: OpenTab, slow_model: str) -> None:
    page = open_tab()
    sign_up(page)
    page.goto(f"/playground?model={slow_model}")
    expect(page.get_by_label("Model")).to_have_value(slow_model)
    page.get_by_label("Message").fill("Talk to me")
    page.get_by_role("button", name="Send").click()
    log = page.get_by_role("log")
    expect(log).to_contain_text("word3")
    expect(log).not_to_contain_text("word150")  # it comes in pieces, not at the end
    page.get_by_role("button", name="Stop").click()
    expect(log).to_contain_text("Stopped.")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    page.wait_for_timeout(500)
    expect(log).not_to_contain_text("word150")


def test_an_answer_that_its_limit_cut_says_so(open_tab: OpenTab) -> None:
    page = open_tab()
    sign_up(page)
    go_to(page, "Playground")
    page.get_by_label("Max tokens").fill("3")
    page.get_by_label("Message").fill("A question of some length")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("log")).to_contain_text("Cut at the limit of tokens.")
    page.get_by_role("button", name="Copy as code").click()
    expect(page.get_by_role("dialog").locator("code")).to_contain_text('"max_tokens": 3')


def test_a_call_that_the_wallet_cannot_cover_says_what_is_missing(open_tab: OpenTab, slow_model: str) -> None:
    page = open_tab()
    sign_up(page)
    page.goto(f"/playground?model={slow_model}")
    expect(page.get_by_label("Model")).to_have_value(slow_model)
    page.get_by_label("Max tokens").fill("900000")
    page.get_by_label("Message").fill("Hello")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("1 are available and 0 are held")
    expect(page.get_by_label("Message")).to_have_value("Hello")
    page.get_by_role("link", name="Open the wallet").click()
    expect(page.get_by_role("heading", name="Wallet")).to_be_visible()


def _figure(page: Page, name: str) -> Locator:
    """Return the large type of the card with this name."""
    return page.locator("main").get_by_text(name, exact=True).locator("xpath=following-sibling::p[1]")


def _mint_key(page: Page, name: str) -> str:
    """Mint a key and return its secret, which the page then forgets."""
    go_to(page, "API keys")
    page.get_by_role("button", name="Create key").click()
    dialog = page.get_by_role("dialog", name="Create an API key")
    expect(dialog.get_by_label("Name")).to_be_focused()
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_role("button", name="Create key").click()
    revealed = page.get_by_role("dialog", name="Copy your key now")
    secret = revealed.get_by_label("Secret").input_value()
    assert re.fullmatch(r"sk-op-[0-9A-Za-z]{38}", secret)
    expect(revealed.locator("code")).to_contain_text(secret)
    revealed.get_by_role("button", name="I have stored it").click()
    expect(revealed).to_be_hidden()
    assert secret not in page.content()
    page.reload()
    expect(page.get_by_role("row").filter(has_text=name)).to_be_visible()
    assert secret not in page.content()
    return secret


def _call(product: Product, secret: str) -> httpx.Response:
    """Call the gateway as a program would: 2 characters in and out, 0.000006 credits."""
    return httpx.post(
        f"{product.api_url}/v1/chat/completions",
        headers={"authorization": f"Bearer {secret}"},
        json={"model": "operis/echo", "messages": [{"role": "user", "content": "Hi"}]},
        trust_env=False,
    )


def test_an_operator_reviews_an_import_and_sets_what_a_plan_pays(open_tab: OpenTab) -> None:
    page = open_tab()
    sign_in(page, ADMIN_EMAIL, ADMIN_PASSWORD)
    page.goto("/admin/prices")
    page.get_by_label("Format").select_option("csv")
    page.get_by_label("Markup").fill("5/4")
    prices = b"model_id,cost_input,cost_output\noperis/echo,0.8,40\n"
    page.get_by_label("Or choose a file").set_input_files({"name": "prices.csv", "mimeType": "", "buffer": prices})
    expect(page.get_by_text("prices.csv is ready for review.")).to_be_visible()
    page.get_by_role("button", name="Show the difference").click()
    expect(page.get_by_text("output: 2 \N{RIGHTWARDS ARROW} 50 (+2400.0 %)")).to_be_visible()
    expect(page.get_by_text("output jumps from 2 to 50", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Apply 0")).to_be_disabled()

    page.get_by_label("Multiplier").fill("4/5")
    page.get_by_role("button", name="Set multiplier").click()
    expect(page.get_by_role("cell", name="0.8")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Every plan pays the whole price")).to_be_visible()
