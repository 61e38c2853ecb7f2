"""Checking the books while they are open: by hand and by the job, one at a time; all processes know the result."""

import asyncio

import pytest

from operis_api.ledger.checking import check_books_if_due
from operis_client import ApiError, AsyncOperis
from operis_db.embedded import EmbeddedPostgres
from tests.factories import Account, sign_up
from tests.money.moving import open_sessions
from tests.refusing import refused
from tests.running import Database, make_database, run_api


async def test_an_administrator_checks_the_books_and_reads_the_last_result(
    admin: AsyncOperis, database: Database
) -> None:
    checked = await admin.verify_ledger()
    assert checked.holds, checked.checks
    assert {tuple(check.findings) for check in checked.checks} == {()}
    assert (await admin.get_ledger_verification()).checked_at == checked.checked_at
    rows = await database.fetch("SELECT count(*) FROM ledger_checks WHERE actor_id IS NOT NULL")
    assert rows[0]["count"] >= 1


async def test_only_administrators_check(ada: Account) -> None:
    with refused(403, "forbidden"):
        await ada.client.verify_ledger()
    with refused(403, "forbidden"):
        await ada.client.get_ledger_verification()


async def test_of_checks_at_once_one_runs_and_the_others_are_told(admin: AsyncOperis) -> None:
    answers = await asyncio.gather(*(admin.verify_ledger() for _ in range(6)), return_exceptions=True)
    refusals = [answer for answer in answers if isinstance(answer, ApiError)]
    assert len(refusals) < 6
    assert {refusal.code for refusal in refusals} <= {"check_running"}


@pytest.fixture(scope="module")
async def empty(postgres: EmbeddedPostgres) -> Database:
    return await make_database(postgres)


async def test_before_the_first_check_there_is_no_result_and_a_broken_book_is_named(empty: Database) -> None:
    async with run_api(empty) as api:
        admin = await api.admin()
        with refused(404, "not_found"):
            await admin.get_ledger_verification()
        ada: Account = await sign_up(api)
        await empty.fetch(
            "UPDATE wallets SET available_nano = available_nano + 1 WHERE organization_id = $1::text::uuid",
            ada.organization_id,
        )
        checked = await admin.verify_ledger()
        assert not checked.holds
        broken = {check.name: check.findings for check in checked.checks if check.findings}
        assert set(broken) == {
            "each wallet is the sum of its entries",
            "each wallet is the sum of what its grants have left",
        }
        assert broken["each wallet is the sum of its entries"] == [
            f"wallet {ada.organization_id} has 1000000001, its entries sum to 1000000000"
        ]
        assert "invariant_broken" in api.log.read_text()


async def test_the_job_checks_once_a_minute_however_many_processes_run_it(empty: Database) -> None:
    await empty.fetch("DELETE FROM ledger_checks")
    async with open_sessions(empty) as sessions:
        for _ in range(3):
            await asyncio.gather(*(check_books_if_due(sessions) for _ in range(4)))
        assert len(await empty.fetch("SELECT FROM ledger_checks")) == 1
        await empty.fetch("UPDATE ledger_checks SET checked_at = checked_at - interval '61 seconds'")
        await check_books_if_due(sessions)
        assert len(await empty.fetch("SELECT FROM ledger_checks")) == 2


async def test_a_check_that_took_long_is_not_repeated_for_twenty_times_as_long(empty: Database) -> None:
    await empty.fetch("DELETE FROM ledger_checks")
    await empty.fetch(
        "INSERT INTO ledger_checks (id, checked_at, duration_ms, holds, checks) "
        "VALUES (gen_random_uuid(), now() - interval '19 minutes', 60000, true, '[]')"
    )
    async with open_sessions(empty) as sessions:
        await check_books_if_due(sessions)
        assert len(await empty.fetch("SELECT FROM ledger_checks")) == 1
        await empty.fetch("UPDATE ledger_checks SET checked_at = now() - interval '21 minutes'")
        await check_books_if_due(sessions)
        assert len(await empty.fetch("SELECT FROM ledger_checks")) == 2
