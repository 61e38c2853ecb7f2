"""What people do with a key beyond minting it, in a browser."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OpenTab, Product
from tests.e2e.people import go_to, sign_in, sign_up
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD

pytestmark = pytest.mark.browser


def call(product: Product, secret: str) -> httpx.Response:
    return httpx.post(
        f"{product.api_url}/v1/chat/completions",
        headers={"authorization": f"Bearer {secret}"},
        json={"model": "operis/echo", "messages": [{"role": "user", "content": "Hi"}]},
        trust_env=False,
    )


def test_a_key_with_a_limit_is_rotated_and_then_disabled_by_an_operator(open_tab: OpenTab, product: Product) -> None:
    page = open_tab()
    email = sign_up(page)
    go_to(page, "API keys")
    page.get_by_role("button", name="Create key").click()
    form = page.get_by_role("dialog", name="Create an API key")
    form.get_by_label("Name").fill("Server")
    form.locator("summary").filter(has_text="Limits").click()
    form.get_by_label("Requests a minute").fill("1.5")
    form.get_by_role("button", name="Create key").click()
    expect(form.get_by_role("alert")).to_contain_text("whole numbers")
    expect(form.get_by_label("Name")).to_have_value("Server")
    form.get_by_label("Requests a minute").fill("2")
    form.get_by_role("button", name="Create key").click()
    revealed = page.get_by_role("dialog", name="Copy your key now")
    old = revealed.get_by_label("Secret").input_value()
    revealed.get_by_role("button", name="Anthropic").click()
    expect(revealed.locator("code")).to_contain_text(old)
    revealed.get_by_role("button", name="I have stored it").click()
    expect(page.get_by_role("row").filter(has_text="Server")).to_contain_text("2 of 2 left")
    assert call(product, old).status_code == 200

    page.get_by_role("button", name="Server").click()
    sheet = page.get_by_role("dialog", name="Server")
    sheet.get_by_role("button", name="Rotate").click()
    sheet.get_by_label("The old secret works for").select_option("1h")
    sheet.get_by_role("button", name="Rotate").click()
    expect(revealed).to_contain_text("The old secret works until")
    new = revealed.get_by_label("Secret").input_value()
    revealed.get_by_role("button", name="I have stored it").click()
    assert new != old
    assert call(product, old).headers["sunset"]
    assert call(product, new).status_code == 429, "both secrets count on the same key"

    office = open_tab()
    sign_in(office, ADMIN_EMAIL, ADMIN_PASSWORD)
    go_to(office, "All API keys")
    office.get_by_label("Search name, prefix, owner").fill(email)
    expect(office.get_by_role("row")).to_have_count(2)
    office.get_by_role("button", name="Server").click()
    found = office.get_by_role("dialog", name="Server")
    found.get_by_role("button", name="Disable").click()
    found.get_by_label("Reason").fill("Seen in a forum")
    found.get_by_role("button", name="Disable").click()
    expect(found).to_contain_text("Disabled by the operator: Seen in a forum")
    assert call(product, new).status_code in {401, 403}
