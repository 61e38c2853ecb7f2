"""Checking the books while they are open: new rows by the job, all of them on demand; findings become alerts."""

import asyncio

import pytest
from sqlalchemy import text

from operis_api.books.checking import check_new_rows, run_asked_check
from operis_api.ledger.proof.chain import cut_blocks
from operis_client import AsyncOperis, models
from operis_db.embedded import EmbeddedPostgres
from tests.factories import Account, sign_up
from tests.money.moving import give, hold_request, open_holds, open_sessions, settlement
from tests.refusing import refused
from tests.running import Database, make_database, run_api


async def until_done(admin: AsyncOperis, check: models.LedgerCheck) -> models.LedgerCheck:
    async with asyncio.timeout(60):
        while check.state != "done":
            await asyncio.sleep(0.2)
            check = await admin.get_ledger_check(check.id)
    return check


async def test_an_administrator_has_the_books_checked_and_reads_each_invariants_last_result(
    admin: AsyncOperis, database: Database
) -> None:
    asked = await admin.verify_ledger()
    assert (asked.kind, asked.holds, asked.invariants) == ("full", None, [])
    done = await until_done(admin, asked)
    assert done.holds, [invariant for invariant in done.invariants if invariant.findings]
    assert (done.percent, done.rows > 0) == (100, True)
    assert {tuple(invariant.findings) for invariant in done.invariants} == {()}
    verification = await admin.get_ledger_verification()
    assert verification.last_full is not None
    assert verification.last_full.id == done.id
    assert {invariant.name for invariant in done.invariants} <= {one.name for one in verification.invariants}
    rows = await database.fetch("SELECT actor_id FROM ledger_checks WHERE id = $1::text::uuid", asked.id)
    assert rows[0]["actor_id"] is not None


async def test_only_operators_check(ada: Account) -> None:
    with refused(403, "forbidden"):
        await ada.client.verify_ledger()
    with refused(403, "forbidden"):
        await ada.client.get_ledger_verification()


async def test_those_who_ask_at_once_wait_for_one_check(admin: AsyncOperis) -> None:
    asked = await asyncio.gather(*(admin.verify_ledger() for _ in range(6)))
    assert len({check.id for check in asked}) <= 2  # the first one may be done before the last one asks
    await asyncio.gather(*(until_done(admin, check) for check in asked))


async def test_a_check_that_is_not_there_is_not_found(admin: AsyncOperis) -> None:
    with refused(404, "not_found"):
        await admin.get_ledger_check("00000000-0000-7000-8000-000000000000")


@pytest.fixture(scope="module")
async def empty(postgres: EmbeddedPostgres) -> Database:
    return await make_database(postgres)


async def test_a_broken_book_is_named_alerted_and_acknowledged(empty: Database) -> None:
    async with run_api(empty) as api:
        admin = await api.admin()
        ada: Account = await sign_up(api)
        assert (await admin.get_ledger_verification()).holds is None
        await empty.fetch(
            "UPDATE wallets SET available_nano = available_nano + 1 WHERE organization_id = $1::text::uuid",
            ada.organization_id,
        )
        checked = await until_done(admin, await admin.verify_ledger())
        assert checked.holds is False
        broken = {invariant.name: invariant.findings for invariant in checked.invariants if invariant.findings}
        entries, grants = "each wallet is the sum of its entries", "each wallet is the sum of what its grants have left"
        assert broken == {
            entries: [f"wallet {ada.organization_id} has 1000000001, its entries sum to 1000000000"],
            grants: [f"wallet {ada.organization_id} has 1000000001, its grants 1000000000"],
        }
        alerts = {alert.subject: alert for alert in (await admin.list_alerts()).items}
        assert set(alerts) == {entries, grants}
        assert (alerts[entries].kind, alerts[entries].detail) == ("invariant_broken", broken[entries][0])
        assert "invariant_broken" in api.log.read_text()

        await until_done(admin, await admin.verify_ledger())
        again = {alert.subject: alert for alert in (await admin.list_alerts()).items}
        assert {alert.id for alert in again.values()} == {alert.id for alert in alerts.values()}
        assert again[entries].times == 2

        seen = await admin.acknowledge_alert(alerts[entries].id)
        assert seen.acknowledged_at is not None
        assert (await admin.acknowledge_alert(alerts[entries].id)).acknowledged_at == seen.acknowledged_at
        assert [alert.subject for alert in (await admin.list_alerts()).items] == [grants]
        assert len((await admin.list_alerts(show="all")).items) == 2
        with refused(403, "forbidden"):
            await ada.client.list_alerts()
        with refused(404, "not_found"):
            await admin.acknowledge_alert("00000000-0000-7000-8000-000000000000")

        await empty.fetch("UPDATE wallets SET available_nano = 1000000000")
        assert (await until_done(admin, await admin.verify_ledger())).holds
        figures = await admin.get_metrics()
        assert "operis_alerts_open" in figures
        assert "operis_ledger_head{" in figures


async def test_platform_loss_is_an_alert(postgres: EmbeddedPostgres) -> None:
    database = await make_database(postgres)
    async with run_api(database) as api:
        ada = await sign_up(api)
    await give(database, ada, 5000)
    async with open_holds(database) as holds:
        request = await hold_request(database, ada, quote_nano=100)
        await holds.place(request)
        await holds.settle(settlement(request, charge_nano=170))
    async with open_sessions(database) as sessions:
        await cut_blocks(sessions)
        await check_new_rows(sessions)
        await check_new_rows(sessions)  # the second one sees nothing new
    rows = await database.fetch("SELECT kind, subject, detail, times FROM alerts")
    assert [tuple(row) for row in rows] == [
        (
            "platform_loss",
            f"request {request.hold_id}",
            "The provider reported 0.00000007 credits more than was held.",
            1,
        )
    ]


async def test_a_check_whose_process_died_is_run_again(postgres: EmbeddedPostgres) -> None:
    database = await make_database(postgres)
    await database.fetch(
        "INSERT INTO ledger_checks (id, kind, state, started_at) VALUES (gen_random_uuid(), 'full', 'running', now())"
    )
    async with open_sessions(database) as sessions:
        await run_asked_check(sessions)
        await run_asked_check(sessions)
    rows = await database.fetch("SELECT state, holds FROM ledger_checks")
    assert [tuple(row) for row in rows] == [("done", True)]


async def test_of_two_processes_one_runs_the_check(postgres: EmbeddedPostgres) -> None:
    database = await make_database(postgres)
    async with open_sessions(database) as sessions:
        await asyncio.gather(*(check_new_rows(sessions) for _ in range(4)))
        async with sessions() as session:
            assert await session.scalar(text("SELECT count(*) FROM ledger_checks WHERE state <> 'done'")) == 0
