"""Grants that end: nobody draws on them, their free part is posted once, and a hold taken before may still settle."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from operis_api.kit.money import parse_nano
from operis_api.ledger.errors import BalanceTooSmall
from operis_api.ledger.postings import debit_wallet, expire_overdue, list_overdue
from operis_api.migrating import APP_ROLE
from operis_client import ApiError, AsyncOperis
from tests.factories import Account, set_balance
from tests.money.moving import (
    GIFT,
    end_grant,
    entries_of,
    give,
    hold_request,
    open_holds,
    open_sessions,
    run_expiry,
    settlement,
)
from tests.running import Database


@pytest.fixture
async def poor(admin: AsyncOperis, ada: Account) -> Account:
    """Somebody whose wallet is empty."""
    await set_balance(admin, ada, "0")
    return ada


async def test_an_ended_grant_is_not_available_before_its_expiry_is_posted_and_neither_after(
    database: Database, poor: Account
) -> None:
    ended = await give(database, poor, 700)
    await give(database, poor, 40, source="paid", ends=None)
    assert await poor.available() == "0.00000074"
    await end_grant(database, ended)
    wallet = await poor.client.get_wallet()
    assert (wallet.available, wallet.held) == ("0.00000004", "0")
    assert [grant.source for grant in wallet.grants] == ["paid"]
    assert await run_expiry(database) >= 1
    assert await poor.available() == "0.00000004"
    assert (await entries_of(database, poor))[-2:] == [
        ("expiry", "wallet", -700, 40),
        ("expiry", "expiry", 700, None),
    ]
    assert await database.broken_invariants() == []


async def test_the_expiry_of_a_grant_is_posted_once_however_many_processes_run_the_job(
    database: Database, poor: Account
) -> None:
    for _ in range(5):
        await end_grant(database, await give(database, poor, 100))
    await asyncio.gather(*(run_expiry(database) for _ in range(10)))
    lines = [entry for entry in await entries_of(database, poor) if entry[:2] == ("expiry", "wallet")]
    assert [line[2] for line in lines] == [-100] * 5
    assert lines[-1][3] == 0
    assert await database.broken_invariants() == []


async def test_a_hold_taken_before_the_end_settles_and_what_it_releases_expires_in_the_same_commit(
    database: Database, poor: Account
) -> None:
    grant = await give(database, poor, 1000)
    async with open_holds(database) as holds:
        request = await hold_request(database, poor, quote_nano=600)
        assert (await holds.place(request)).decision == "held"
        await end_grant(database, grant)
        await run_expiry(database)
        wallet = await poor.client.get_wallet()  # the free 400 are gone, the held 600 are not
        assert (wallet.available, wallet.held) == ("0", "0.0000006")
        assert [(shown.remaining, shown.held) for shown in wallet.grants] == [("0.0000006", "0.0000006")]
        settled = await holds.settle(settlement(request, charge_nano=150))
    assert settled.charged_nano == 150
    assert (await entries_of(database, poor))[-6:] == [
        ("expiry", "wallet", -400, 600),
        ("expiry", "expiry", 400, None),
        ("charge", "wallet", -150, 450),
        ("charge", "revenue", 150, None),
        ("expiry", "wallet", -450, 0),
        ("expiry", "expiry", 450, None),
    ]
    assert (await poor.client.get_wallet()).held == "0"
    assert await database.broken_invariants() == []


async def test_a_hold_on_two_grants_gives_back_to_the_one_that_goes_on_and_loses_the_other(
    database: Database, poor: Account
) -> None:
    ending = await give(database, poor, 300)
    await give(database, poor, 500, source="paid", ends=None)
    async with open_holds(database) as holds:
        request = await hold_request(database, poor, quote_nano=700)
        await holds.place(request)
        await end_grant(database, ending)
        await holds.settle(settlement(request, charge_nano=100))  # burns the grant that ended first
    assert await poor.available() == "0.0000005"
    assert (await entries_of(database, poor))[-2:] == [("expiry", "wallet", -200, 500), ("expiry", "expiry", 200, None)]
    assert await run_expiry(database) == 0
    assert await database.broken_invariants() == []


async def test_neither_a_call_nor_a_debit_draws_on_what_has_ended(database: Database, poor: Account) -> None:
    ended = await give(database, poor, 1000)
    await give(database, poor, 30, source="manual", ends=None)
    await end_grant(database, ended)
    async with open_holds(database) as holds:
        placement = await holds.place(await hold_request(database, poor, quote_nano=31))
        assert (placement.decision, placement.available_nano) == ("insufficient_credits", 30)
    organization = UUID(poor.organization_id)
    async with open_sessions(database) as sessions:
        with pytest.raises(BalanceTooSmall, match=r"0\.00000003 credits are available"):
            async with sessions.begin() as session:
                await debit_wallet(session, organization, GIFT, amount_nano=31)
        async with sessions.begin() as session:
            await debit_wallet(session, organization, GIFT, amount_nano=30)
    assert (await entries_of(database, poor))[-4:] == [
        ("expiry", "wallet", -1000, 30),  # a debit posts it first
        ("expiry", "expiry", 1000, None),
        ("gift", "wallet", -30, 0),
        ("gift", "promotions", 30, None),
    ]
    assert await database.broken_invariants() == []


async def test_an_administrators_debit_is_refused_with_what_is_really_available(
    admin: AsyncOperis, database: Database, poor: Account
) -> None:
    await end_grant(database, await give(database, poor, 1000))
    with pytest.raises(ApiError, match="0 credits are available") as refused:
        await admin.adjust_wallet(poor.organization_id, amount="-0.000001", reason="too much")
    assert refused.value.code == "balance_too_small"


@pytest.mark.parametrize("first", ["expiry", "settle"])
async def test_expiry_and_settlement_that_wait_for_each_other_take_each_part_once(
    database: Database, poor: Account, first: str
) -> None:
    """One holds the wallet's lock with its work done but not committed; the other must decide on what it then finds."""
    grant = await give(database, poor, 1000)
    async with open_holds(database) as holds:
        request = await hold_request(database, poor, quote_nano=600)
        await holds.place(request)
        await end_grant(database, grant)
        blocker = await asyncpg.connect(database.app_url, server_settings={"role": APP_ROLE})
        async with blocker.transaction():
            if first == "expiry":
                assert await blocker.fetchval("SELECT expire_grants(500)") >= 1
                settling = asyncio.ensure_future(holds.settle(settlement(request, charge_nano=150)))
                while not await database.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                    await asyncio.sleep(0.01)
            else:
                await blocker.fetch(
                    "SELECT FROM wallets WHERE organization_id = $1 FOR UPDATE", request.organization_id
                )
                settling = asyncio.ensure_future(holds.settle(settlement(request, charge_nano=150)))
                while not await database.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                    await asyncio.sleep(0.01)
                assert await run_expiry(database) == 0  # a busy wallet is left for the next turn, not waited for
        assert (await settling).charged_nano == 150
        await blocker.close()
    expired = [line[2] for line in await entries_of(database, poor) if line[:2] == ("expiry", "wallet")]
    assert expired == ([-400, -450] if first == "expiry" else [-850])
    wallet = await poor.client.get_wallet()
    assert (wallet.available, wallet.held, wallet.grants) == ("0", "0", [])
    assert await database.broken_invariants() == []


async def test_a_call_that_waited_while_its_grant_ended_is_refused(database: Database, poor: Account) -> None:
    grant = await give(database, poor, 1000)
    blocker = await asyncpg.connect(database.superuser_url)
    async with open_holds(database) as holds:
        async with blocker.transaction():
            await blocker.fetch("SELECT FROM wallets WHERE organization_id = $1 FOR UPDATE", UUID(poor.organization_id))
            placing = asyncio.ensure_future(holds.place(await hold_request(database, poor, quote_nano=1)))
            while not await database.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                await asyncio.sleep(0.01)
            await blocker.execute("UPDATE grants SET expires_at = clock_timestamp() WHERE id = $1", grant)
        assert (await placing).decision == "insufficient_credits"
    await blocker.close()


async def test_a_wallet_that_was_busy_at_each_turn_is_waited_for(database: Database, poor: Account) -> None:
    grant = await give(database, poor, 1000)
    await end_grant(database, grant, ago="4 minutes")
    organization = UUID(poor.organization_id)
    blocker = await asyncpg.connect(database.superuser_url)
    async with open_sessions(database) as sessions:
        async with sessions() as session:
            assert organization in await list_overdue(session)

        async def wait_and_expire() -> None:
            async with sessions.begin() as session:
                await expire_overdue(session, organization)

        async with blocker.transaction():
            await blocker.fetch("SELECT FROM wallets WHERE organization_id = $1 FOR UPDATE", organization)
            waiting = [asyncio.ensure_future(wait_and_expire()) for _ in range(2)]
            while not await database.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                await asyncio.sleep(0.01)
        await asyncio.gather(*waiting)
        async with sessions() as session:
            assert organization not in await list_overdue(session)
    await blocker.close()
    assert (await entries_of(database, poor))[-2:] == [("expiry", "wallet", -1000, 0), ("expiry", "expiry", 1000, None)]
    assert await database.broken_invariants() == []


async def test_calls_settlements_and_expiry_all_at_once_keep_every_nanocredit(
    database: Database, poor: Account
) -> None:
    grants = [await give(database, poor, 500) for _ in range(20)]
    await give(database, poor, 20_000, source="paid", ends=None)

    async def call() -> int:
        request = await hold_request(database, poor, quote_nano=90)
        if (await holds.place(request)).decision != "held":
            return 0
        return (await holds.settle(settlement(request, charge_nano=70))).charged_nano

    async def end(grant: UUID) -> None:
        await end_grant(database, grant)
        await run_expiry(database)

    async with open_holds(database) as holds:
        work = [call() for _ in range(120)]
        ends = [end(grant) for grant in grants]
        done = await asyncio.gather(*work[:60], *ends, *work[60:])
    charged = sum(amount or 0 for amount in done)
    await run_expiry(database)
    expired = -sum(line[2] for line in await entries_of(database, poor) if line[:2] == ("expiry", "wallet"))
    assert charged == 120 * 70
    wallet = await poor.client.get_wallet()
    assert wallet.held == "0"
    assert parse_nano("available", wallet.available) == 30_000 - charged - expired
    assert await database.broken_invariants() == []


async def test_an_expiry_whose_process_dies_before_its_commit_has_not_happened(
    database: Database, poor: Account
) -> None:
    grant = await give(database, poor, 1000)
    await end_grant(database, grant)
    dying = await asyncpg.connect(database.app_url, server_settings={"role": APP_ROLE})
    await dying.execute("BEGIN")
    assert await dying.fetchval("SELECT expire_grants(500)") == 1
    dying.terminate()
    while (await database.fetch("SELECT remaining_nano FROM grants WHERE id = $1", grant))[0]["remaining_nano"] == 0:
        await asyncio.sleep(0.01)
    while await run_expiry(database) == 0:  # until the server has noticed and let go of the lock
        await asyncio.sleep(0.05)
    assert [line[2] for line in await entries_of(database, poor)][-2:] == [-1000, 1000]
    assert await database.broken_invariants() == []
