"""What operators read of the books and put right, against the running API and without a browser."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from operis_api.ledger.postings import Movement, credit_wallet
from operis_client.models import ChainHead, LedgerCheck, LedgerInvariant, LedgerVerification
from operis_dashboard.bookkeeping import write_invariants
from operis_dashboard.formatting import Writer
from operis_dashboard.pages.admin_checks import AdminChecks
from operis_dashboard.pages.admin_holds import AdminHolds
from operis_dashboard.pages.admin_ledger import AdminLedger
from operis_dashboard.pages.admin_requests import AdminRequests
from operis_dashboard.pages.admin_wallets import AdminWallets
from tests.dashboard.conftest import Tab, run, say_hello
from tests.factories import Account
from tests.money.moving import hold_request, open_holds, open_sessions, settlement
from tests.running import Api, Database


async def pay_in(database: Database, account: Account, amount_nano: int) -> str:
    """Put a paid grant into the wallet; returns its id."""
    deposit = Movement(kind="deposit", account="cash:bank", reason="Transfer", actor_id=None)
    async with open_sessions(database) as sessions, sessions.begin() as session:
        return str(
            await credit_wallet(session, UUID(account.organization_id), deposit, amount_nano=amount_nano, source="paid")
        )


async def test_postings_are_narrowed_and_opened_and_lead_to_the_charge(
    admin_tab: Tab, signed_in: tuple[Tab, Account], api: Api
) -> None:
    _, account = signed_in
    await say_hello(api, account)
    ledger = await admin_tab.page(AdminLedger, f"/admin/ledger?organization_id={account.organization_id}")
    assert [(row.kind, row.amount.exact) for row in ledger.rows] == [("charge", "-0.000015"), ("welcome", "1")]
    ledger.open_posting(ledger.rows[0].id)
    assert sum(Decimal(entry.amount.exact) for entry in ledger.shown.lines) == 0
    requests = await admin_tab.page(AdminRequests, ledger.shown.explained)
    await run(requests.open_request(requests.customer_id, ledger.shown.id))
    assert requests.explanation.request.charge.exact == "0.000015"
    ledger = await admin_tab.page(
        AdminLedger, f"/admin/ledger?kind=welcome&organization_id={account.organization_id}&until=2020-01-01"
    )
    assert ledger.rows == []
    (redirect,) = await run(ledger.choose_filter("until", ""))
    assert f"/admin/ledger?kind=welcome&organization_id={account.organization_id}" in str(redirect.args)
    ledger.open_posting("nonsense")
    assert ledger.opened is False


async def test_open_holds_tell_whose_they_are_and_how_old(
    admin_tab: Tab, signed_in: tuple[Tab, Account], database: Database
) -> None:
    _, account = signed_in
    async with open_holds(database) as holds:
        request = await hold_request(database, account, quote_nano=700)
        await holds.place(request)
        page = await admin_tab.page(AdminHolds, f"/admin/holds?organization_id={account.organization_id}")
        (row,) = page.rows
        await holds.settle(settlement(request, charge_nano=0))
    assert (row.email, row.amount.exact, row.lapsed) == (account.email, "0.0000007", False)
    assert row.age.text.endswith(" s")
    await run(page.load())
    assert page.rows == []


async def test_checks_show_each_invariant_and_a_full_check_is_asked_for_once(admin_tab: Tab) -> None:
    checks = await admin_tab.page(AdminChecks, "/admin/checks")
    assert checks.failure == ""
    for _ in range(2):
        (followed,) = await run(checks.verify())
        assert "follow" in str(followed)
    assert (checks.running, checks.check_failure) == (True, "")
    assert checks.show == "open"
    assert (await admin_tab.page(AdminChecks, "/admin/checks?show=all")).show == "all"
    await run(checks.acknowledge("no-such-alert"))
    assert checks.check_failure


def test_what_a_full_check_found_stays_until_a_full_check_finds_it_no_more() -> None:
    now = Writer().midnight(Writer().today())
    broken = LedgerInvariant(name="b", checked_at=now, kind="full", findings=["wallet 7 has 1, expected 2"])
    well = [LedgerInvariant(name=name, checked_at=now, kind="incremental", findings=[]) for name in ("a", "b")]
    full = LedgerCheck(
        id="1",
        kind="full",
        state="done",
        asked_at=now,
        started_at=now,
        finished_at=now,
        percent=100,
        rows=1,
        holds=False,
        invariants=[broken],
    )
    head = ChainHead(number=1, hash="", cut_at=None)
    verification = LedgerVerification(holds=False, invariants=well, running=None, last_full=full, head=head)
    rows = write_invariants(verification, Writer())
    assert [(row.name, row.holds, row.full) for row in rows] == [("b", False, True), ("a", True, False)]


async def test_an_administrator_credits_a_wallet_once_however_often_they_click(
    admin_tab: Tab, signed_in: tuple[Tab, Account]
) -> None:
    _, account = signed_in
    wallet = await admin_tab.page(AdminWallets, f"/admin/wallets?organization_id={account.organization_id}")
    form = {"amount": "12.5", "reason": "Goodwill", "form": str(wallet.forms)}
    for _ in range(2):
        await run(wallet.adjust(form))
    assert wallet.adjust_failure == ""
    assert (await account.client.get_wallet()).available == "13.5"
    assert wallet.available.exact == "13.5"
    assert [(row.kind, row.reason) for row in wallet.movements][:1] == [("adjustment", "Goodwill")]


@pytest.mark.parametrize("amount", ["", "1,000", "NaN", "1e400", "ten", "0.0000000001", "-2"])
async def test_an_amount_that_is_none_moves_nothing_and_says_why(
    amount: str, admin_tab: Tab, signed_in: tuple[Tab, Account]
) -> None:
    _, account = signed_in
    wallet = await admin_tab.page(AdminWallets, f"/admin/wallets?organization_id={account.organization_id}")
    await run(wallet.adjust({"amount": amount, "reason": "a test", "form": str(wallet.forms)}))
    assert wallet.adjust_failure
    assert (await account.client.get_wallet()).available == "1"


async def test_a_paid_grant_is_paid_back_in_parts_and_others_are_not(
    admin_tab: Tab, signed_in: tuple[Tab, Account], database: Database
) -> None:
    _, account = signed_in
    grant_id = await pay_in(database, account, 2 * 10**9)
    ledger = await admin_tab.page(AdminLedger, f"/admin/ledger?organization_id={account.organization_id}")
    wallet: Any = await admin_tab.page(AdminWallets, ledger.rows[0].refundable)
    wallet.ask_refund(grant_id)
    assert wallet.refunding.remaining.exact == "2"
    await run(wallet.refund({"refund_amount": "3", "refund_reason": "Asked"}))
    assert (wallet.refund_failure != "", wallet.refunding.id) == (True, grant_id)
    form = {"refund_amount": "0.5", "refund_reason": "Asked"}
    for _ in range(2):
        await run(wallet.refund(form))
    assert (wallet.refunding.id, wallet.available.exact) == ("", "2.5")
    wallet.ask_refund(grant_id)
    await run(wallet.refund({"refund_amount": "", "refund_reason": "The rest"}))
    assert (await account.client.get_wallet()).available == "1"
    for other in (grant_id, wallet.grants[0].id, "nonsense"):
        wallet.ask_refund(other)
        assert (wallet.refunding.id, wallet.adjust_failure) == ("", "Nothing of this grant is left to pay back.")


async def test_the_wallet_of_nobody_is_refused_calmly(admin_tab: Tab) -> None:
    wallet = await admin_tab.page(AdminWallets, "/admin/wallets")
    assert (wallet.loaded, wallet.failure) == (False, "")
    wallet = await admin_tab.page(AdminWallets, f"/admin/wallets?organization_id={UUID(int=7)}")
    assert wallet.failure
