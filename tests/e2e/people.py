"""What people do on pages, step by step, in the words on the screen."""

import re
import secrets
import time

import httpx
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Product
from tests.reading_mail import link_in

PASSWORD = "a quiet password"


def sign_up(page: Page, name: str = "Ada Lovelace") -> str:
    """Create an account and arrive, signed in, on the overview; returns the address."""
    email = f"ada.{secrets.token_hex(6)}@example.com"
    page.goto("/register")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return email


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto("/login")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def go_to(page: Page, name: str) -> None:
    """Follow a link of the sidebar."""
    page.get_by_role("navigation", name="Navigation").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert re.search(r"/login$", page.url)


def mailed_link(product: Product, address: str, subject: str) -> str:
    """Return the link of the newest such mail in the mailbox of development."""
    for _ in range(150):
        mails = httpx.get(f"{product.api_url}/api/v1/dev/mail", trust_env=False).json()["items"]
        found = next((mail for mail in mails if (mail["to"], mail["subject"]) == (address, subject)), None)
        if found:
            return re.sub(r"^https?://[^/]+", product.dashboard_url, link_in(found["text"]))
        time.sleep(0.1)
    raise AssertionError(f"no mail {subject!r} came to {address}")
