"""The wallet's page, against the running API and without a browser."""

from datetime import timedelta

from operis_client import AsyncOperis
from operis_dashboard.formatting import Writer
from operis_dashboard.pages.wallet import WalletPage
from tests.dashboard.conftest import Tab, run, say_hello
from tests.factories import Account
from tests.running import Api


async def test_lines_are_narrowed_by_kind_and_by_days_of_the_readers_calendar(
    signed_in: tuple[Tab, Account], api: Api, admin: AsyncOperis
) -> None:
    tab, account = signed_in
    await say_hello(api, account)
    await admin.adjust_wallet(account.organization_id, amount="2", reason="Goodwill")
    wallet = await tab.page(WalletPage, "/wallet?kind=charge")
    assert [(row.kind, row.model, row.balance.text) for row in wallet.entries] == [
        ("charge", "operis/echo", "0.999985")
    ]
    today = Writer(zone="UTC").today()
    yesterday = today - timedelta(days=1)
    assert (await tab.page(WalletPage, f"/wallet?until={yesterday}")).entries == []
    wallet = await tab.page(WalletPage, f"/wallet?since={yesterday}&until={today}")
    assert [row.kind for row in wallet.entries] == ["adjustment", "charge", "welcome"]
    assert [row.reason for row in wallet.entries] == ["Goodwill", "", ""]
    assert wallet.statement.startswith("/_download/statement.csv?from=")


async def test_an_order_of_days_that_cannot_be_is_said_and_nonsense_is_no_filter(
    signed_in: tuple[Tab, Account],
) -> None:
    tab, _ = signed_in
    wallet = await tab.page(WalletPage, "/wallet?since=2026-02-02&until=2026-01-01")
    assert "before" in wallet.failure
    wallet = await tab.page(WalletPage, "/wallet?since=yesterday&until=9999-12-31")
    assert (wallet.failure, len(wallet.entries)) == ("", 1)
    (redirect,) = await run(wallet.choose_filter("kind", "charge"))
    assert "/wallet?kind=charge&since=yesterday" in str(redirect.args)


async def test_a_page_of_lines_leads_on_with_its_filters(signed_in: tuple[Tab, Account], admin: AsyncOperis) -> None:
    tab, account = signed_in
    for nth in range(26):
        await admin.adjust_wallet(account.organization_id, amount="1", reason=f"No {nth}")
    wallet = await tab.page(WalletPage, "/wallet?kind=adjustment")
    assert len(wallet.entries) == 25
    (redirect,) = await run(wallet.turn_page(wallet.next))
    assert "kind=adjustment&after=" in str(redirect.args)
    rest = await tab.page(WalletPage, f"/wallet?kind=adjustment&after={wallet.next}")
    assert ([row.reason for row in rest.entries], rest.next) == (["No 0"], "")


async def test_a_free_window_tells_what_is_left_and_when_it_starts_over(
    signed_in: tuple[Tab, Account], api: Api, admin: AsyncOperis
) -> None:
    tab, account = signed_in
    assert (await tab.page(WalletPage, "/wallet")).window.length == ""
    (plan,) = [plan for plan in (await admin.list_plans()).items if plan.is_default]
    try:
        await admin.update_plan(plan.id, free_window_amount="0.5", free_window_seconds=5 * 3600 + 90)
        window = (await tab.page(WalletPage, "/wallet")).window
        assert (window.amount.exact, window.length, window.runs) == ("0.5", "5 h 1 min", False)
        await say_hello(api, account)
        wallet = await tab.page(WalletPage, "/wallet")
    finally:
        await admin.update_plan(plan.id, free_window_amount="0", free_window_seconds=plan.free_window_seconds)
    assert (wallet.window.remaining.exact, wallet.window.runs) == ("0.499985", True)
    first, second = wallet.grants
    assert (first.source, first.expires) == ("free", wallet.window.resets)
    assert (second.source, second.ends) == ("bonus", False)
