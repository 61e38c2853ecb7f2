"""Following the links that were mailed, in a browser: to the end, back, and once more."""

import pytest
from playwright.sync_api import expect

from operis_client import Operis
from tests.e2e.conftest import OpenTab, Product
from tests.e2e.people import PASSWORD, mailed_link, sign_in, sign_out, sign_up

pytestmark = pytest.mark.browser

NEW_PASSWORD = "another quiet password"


def test_a_forgotten_password_is_set_anew_and_its_link_works_once(open_tab: OpenTab, product: Product) -> None:
    page = open_tab()
    email = sign_up(page)
    sign_out(page)
    page.get_by_role("link", name="Forgot your password?").click()
    expect(page.get_by_role("heading", name="Forgot your password?")).to_be_visible()
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("status").filter(has_text=email)).to_be_visible()

    link = mailed_link(product, email, "Set a new password")
    page.goto(link)
    assert page.url.endswith("/reset-password"), "the token is in no address that the browser keeps"
    page.reload()
    page.get_by_label("New password").fill("aaaaaaaa")
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("New password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("heading", name="Your new password is set")).to_be_visible()
    assert not [cookie for cookie in page.context.cookies() if "link" in str(cookie.get("name"))]
    page.get_by_role("link", name="Sign in").click()
    sign_in(page, email, NEW_PASSWORD)

    other = open_tab()
    other.goto(link)
    other.get_by_label("New password").fill(NEW_PASSWORD)
    other.get_by_role("button", name="Set password").click()
    expect(other.get_by_role("heading", name="This link does not work")).to_be_visible()
    other.get_by_role("link", name="Ask for a new link").click()
    expect(other.get_by_role("button", name="Send the link")).to_be_visible()


def test_somebody_invited_signs_up_and_joins(open_tab: OpenTab, product: Product) -> None:
    owner = open_tab()
    owner_email = sign_up(owner, "Charles Babbage")
    guest_email = f"guest.{owner_email}"
    with Operis(product.api_url) as operis:
        operis.token = operis.login(email=owner_email, password=PASSWORD).access_token
        organization = operis.create_organization(name="Analytical Engines")
        sent = operis.invite_member(organization.id, email=guest_email, role="developer")
    assert sent.link is not None
    page = open_tab()
    page.goto(sent.link)
    assert page.url.endswith("/invitation")
    page.get_by_role("link", name="Create an account").click()
    expect(page.get_by_role("heading", name="Create your account")).to_be_visible()
    page.get_by_label("Name").fill("Ada Lovelace")
    page.get_by_label("Email").fill(guest_email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("button", name="Accept the invitation").click()
    expect(page.get_by_text("You are a member now.")).to_be_visible()
    page.goto("/invitation")
    expect(page.get_by_role("heading", name="There is no invitation here")).to_be_visible()
