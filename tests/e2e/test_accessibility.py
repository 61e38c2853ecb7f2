"""Every page passes axe-core's rules, light and dark, and fits a phone, a tablet and a desktop."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from operis_dashboard.places import app_root
from tests.e2e.conftest import OpenTab
from tests.e2e.people import sign_in, sign_up
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD

pytestmark = pytest.mark.browser

AXE = app_root() / ".web" / "node_modules" / "axe-core" / "axe.min.js"
VISITORS_PAGES = (
    "/login",
    "/register",
    "/forgot-password",
    "/verify-email",
    "/verify-email?token=op-ol-none",
    "/reset-password",
    "/reset-password?token=op-ol-none",
    "/confirm-address",
    "/undo-address?token=op-ol-none",
    "/invitation",
    "/invitation?token=op-in-none",
    "/mailbox",
    "/provider",
    "/no-such-page",
)
CUSTOMER_PAGES = (
    "/",
    "/keys",
    "/requests",
    "/wallet",
    "/models",
    "/playground",
    "/team",
    "/settings",
    "/settings/security",
    "/settings/sessions",
)
OPERATOR_PAGES = (
    "/admin",
    "/admin/users",
    "/admin/organizations",
    "/admin/audit",
    "/admin/keys",
    "/admin/requests",
    "/admin/ledger",
    "/admin/checks",
    "/admin/holds",
    "/admin/wallets",
    "/admin/upstreams",
    "/admin/models",
    "/admin/prices",
)
SCREENS = [(375, True), (768, False), (1440, False), (1440, True)]


@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_the_visitors_pages(width: int, dark: bool, open_tab: OpenTab) -> None:
    page = open_tab(width=width, dark=dark)
    for path in VISITORS_PAGES:
        page.goto(path)
        _check(page, path)


@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_the_customers_and_the_operators_pages(width: int, dark: bool, open_tab: OpenTab) -> None:
    page = open_tab(width=width, dark=dark)
    sign_in(page, ADMIN_EMAIL, ADMIN_PASSWORD)
    for path in (*CUSTOMER_PAGES, *OPERATOR_PAGES):
        page.goto(path)
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        _check(page, path)


def test_dialogs_and_sheets(open_tab: OpenTab) -> None:
    page = open_tab()
    sign_in(page, ADMIN_EMAIL, ADMIN_PASSWORD)
    for path, opener in (
        ("/keys", "Create key"),
        ("/settings", "Change address"),
        ("/settings/security", "Set up"),
        ("/settings/sessions", "Sign out everywhere"),
        ("/team", "New organization"),
        ("/admin/users", ADMIN_EMAIL),
        ("/admin/ledger?kind=welcome", ", "),
        ("/admin/organizations", "Administrator"),
        ("/admin/audit", "session.start"),
        ("/admin/upstreams", "Add upstream"),
        ("/admin/models", "Price"),
        ("/admin/upstreams", "Built-in echo"),
        ("/playground", "Copy as code"),
    ):
        page.goto(path)
        button = page.get_by_role("button", name=opener).first
        button.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.wait_for_timeout(300)  # a colour that is still fading in has another contrast
        _check(page, f"{path}: {opener}")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(button).to_be_focused()


def test_the_drawer_on_a_phone(open_tab: OpenTab) -> None:
    page = open_tab(width=375, height=700)
    sign_up(page)
    page.get_by_role("button", name="Open navigation").click()
    drawer = page.get_by_role("dialog", name="Navigation")
    expect(drawer).to_be_visible()
    page.wait_for_timeout(300)
    _check(page, "drawer")
    drawer.get_by_role("link", name="Wallet").click()
    expect(page.get_by_role("heading", name="Wallet", level=1)).to_be_visible()
    expect(drawer).to_be_hidden()


def test_the_keyboard_alone_reaches_the_content_and_mints_a_key(open_tab: OpenTab) -> None:
    page = open_tab()
    sign_up(page)
    page.goto("/keys")
    expect(page.get_by_text("No API keys yet")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Create key")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("Name")).to_be_focused()
    page.keyboard.type("By hand")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Copy your key now")).to_be_visible()


def _check(page: Page, where: str) -> None:
    page.wait_for_load_state("networkidle")
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0, f"{where} is {overflow} px wider than the screen"
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    violations = [(rule["id"], [node["html"][:160] for node in rule["nodes"]]) for rule in found["violations"]]
    assert violations == [], where
