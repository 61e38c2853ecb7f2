"""The free window: its credits appear with the first call, end together, and never add up."""

import asyncio
import secrets
from datetime import timedelta
from uuid import UUID

import pytest

from operis_api.kit.ids import new_id
from operis_client import AsyncOperis
from tests.factories import Account, mint, set_balance
from tests.money.moving import (
    end_grant,
    entries_of,
    give,
    hold_request,
    open_holds,
    run_expiry,
    settlement,
)
from tests.refusing import refused
from tests.running import Api, Database

FIVE_HOURS = 5 * 3600


async def put_on_plan(database: Database, account: Account) -> str:
    """Give the account's organization a plan of its own, without a free window; returns the plan's id."""
    plan_id = new_id()
    await database.fetch("INSERT INTO plans (id, name) VALUES ($1, $2)", plan_id, f"Plan {secrets.token_hex(6)}")
    await database.fetch("UPDATE organizations SET plan_id = $1 WHERE id = $2", plan_id, UUID(account.organization_id))
    return str(plan_id)


@pytest.fixture
async def plan_id(database: Database, admin: AsyncOperis, ada: Account) -> str:
    """Ada's plan: 1,000 nanocredits each five hours, and her wallet is empty."""
    plan_id = await put_on_plan(database, ada)
    await admin.update_plan(plan_id, free_window_amount="0.000001", free_window_seconds=FIVE_HOURS)
    await set_balance(admin, ada, "0")
    return plan_id


async def window_of(database: Database, account: Account) -> UUID:
    rows = await database.fetch(
        "SELECT id FROM grants WHERE organization_id = $1 AND source = 'free' ORDER BY window_start DESC LIMIT 1",
        UUID(account.organization_id),
    )
    return UUID(str(rows[0]["id"]))


async def test_an_unopened_window_is_shown_and_is_not_available(ada: Account, plan_id: str) -> None:
    assert plan_id
    wallet = await ada.client.get_wallet()
    assert (wallet.available, wallet.grants) == ("0", [])
    window = wallet.free_window
    assert window is not None
    assert (window.amount, window.remaining, window.seconds) == ("0.000001", "0.000001", FIVE_HOURS)
    assert window.resets_at is None


async def test_the_first_call_opens_the_window_and_burns_it_before_everything_else(
    database: Database, ada: Account, plan_id: str
) -> None:
    await give(database, ada, 5000, source="bonus", ends="1 minute")
    async with open_holds(database) as holds:
        request = await hold_request(database, ada, quote_nano=1500)
        assert (await holds.place(request)).amount_nano == 1500
        await holds.settle(settlement(request, charge_nano=1200))
    wallet = await ada.client.get_wallet()
    assert wallet.available == "0.0000048"  # 1,000 of the window and 200 of the bonus are burnt
    assert wallet.free_window is not None
    assert (wallet.free_window.amount, wallet.free_window.remaining) == ("0.000001", "0")
    assert wallet.free_window.resets_at is not None
    rows = await database.fetch("SELECT * FROM grants WHERE id = $1", await window_of(database, ada))
    assert rows[0]["expires_at"] - rows[0]["window_start"] == timedelta(seconds=FIVE_HOURS)
    assert wallet.free_window.resets_at == rows[0]["expires_at"]
    assert (await entries_of(database, ada))[-4:] == [
        ("free_window", "wallet", 1000, 6000),
        ("free_window", "promotions", -1000, None),
        ("charge", "wallet", -1200, 4800),
        ("charge", "revenue", 1200, None),
    ]
    assert await database.broken_invariants() == []


async def test_a_spent_window_gives_nothing_more_until_its_end_and_then_a_new_one_its_full_amount_once(
    database: Database, ada: Account, plan_id: str
) -> None:
    async with open_holds(database) as holds:
        for nth in range(3):
            first = await hold_request(database, ada, quote_nano=1000)
            assert (await holds.place(first)).decision == "held"
            await holds.settle(settlement(first, charge_nano=600 if nth else 1000))
            spent = 400 if nth else 0
            placement = await holds.place(await hold_request(database, ada, quote_nano=spent + 1))
            assert (placement.decision, placement.available_nano) == ("insufficient_credits", spent)
            await end_grant(database, await window_of(database, ada))
            assert await ada.available() == "0"  # what was left does not add up
    await run_expiry(database)
    lines = [(kind, amount) for kind, account, amount, _ in await entries_of(database, ada) if account == "wallet"]
    assert [line for line in lines if line[0] != "welcome" and line[0] != "adjustment"] == [
        ("free_window", 1000),
        ("charge", -1000),
        ("free_window", 1000),
        ("charge", -600),
        ("free_window", 1000),
        ("charge", -600),
        ("expiry", -400),
        ("expiry", -400),
    ]
    assert await database.broken_invariants() == []


async def test_refused_calls_and_calls_that_hold_nothing_open_no_window(
    database: Database, ada: Account, plan_id: str
) -> None:
    async with open_holds(database) as holds:
        too_dear = await holds.place(await hold_request(database, ada, quote_nano=1001))
        assert (too_dear.decision, too_dear.available_nano) == ("insufficient_credits", 1000)
        free_of_charge = await hold_request(database, ada, quote_nano=0)
        assert (await holds.place(free_of_charge)).decision == "held"
        await holds.settle(settlement(free_of_charge, charge_nano=0))
    window = (await ada.client.get_wallet()).free_window
    assert window is not None
    assert window.resets_at is None


async def test_a_limit_the_caller_left_open_is_lowered_to_what_the_window_pays(
    database: Database, ada: Account, plan_id: str
) -> None:
    async with open_holds(database) as holds:
        request = await hold_request(database, ada, quote_nano=5000, floor_nano=100)
        placement = await holds.place(request)
        assert (placement.decision, placement.amount_nano) == ("held", 1000)
        await holds.settle(settlement(request, charge_nano=0))


async def test_many_first_calls_at_once_from_two_processes_open_one_window(
    database: Database, ada: Account, plan_id: str
) -> None:
    async with open_holds(database) as one, open_holds(database) as other:
        requests = [await hold_request(database, ada, quote_nano=100) for _ in range(40)]
        placed = await asyncio.gather(*((one if n % 2 else other).place(r) for n, r in enumerate(requests)))
        assert sum(placement.decision == "held" for placement in placed) == 10
        again = await asyncio.gather(*((one if n % 2 else other).place(r) for n, r in enumerate(requests)))
        assert [placement.decision for placement in again] == [placement.decision for placement in placed]
        for request, placement in zip(requests, placed, strict=True):
            if placement.decision == "held":
                await one.settle(settlement(request, charge_nano=100))
    wallet = await ada.client.get_wallet()
    assert (wallet.available, wallet.held) == ("0", "0")
    rows = await database.fetch(
        "SELECT count(*) AS windows FROM grants WHERE organization_id = $1 AND source = 'free'",
        UUID(ada.organization_id),
    )
    assert rows[0]["windows"] == 1
    assert await database.broken_invariants() == []


async def test_a_hold_on_an_old_window_settles_from_it_and_leaves_the_new_one_alone(
    database: Database, ada: Account, plan_id: str
) -> None:
    async with open_holds(database) as holds:
        old = await hold_request(database, ada, quote_nano=900)
        await holds.place(old)
        await end_grant(database, await window_of(database, ada))
        new = await hold_request(database, ada, quote_nano=1000)
        assert (await holds.place(new)).decision == "held"
        await holds.settle(settlement(old, charge_nano=500))
        await holds.settle(settlement(new, charge_nano=250))
    assert await ada.available() == "0.00000075"
    assert await database.broken_invariants() == []


async def test_the_echo_is_paid_by_a_window_through_the_gateway(
    api: Api, admin: AsyncOperis, ada: Account, plan_id: str
) -> None:
    await admin.update_plan(plan_id, free_window_amount="0.00002")  # one call of 0.000015
    secret = await mint(ada)
    body = {"model": "operis/echo", "messages": [{"role": "user", "content": "Hello"}]}
    statuses = [
        (
            await api.http.post(
                f"{api.base_url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"}
            )
        ).status_code
        for _ in range(2)
    ]
    assert statuses == [200, 402]
    assert await ada.available() == "0.000005"


async def test_an_administrator_changes_a_plans_window_and_the_running_one_stays(
    database: Database, admin: AsyncOperis, ada: Account, plan_id: str
) -> None:
    async with open_holds(database) as holds:
        request = await hold_request(database, ada, quote_nano=10)
        await holds.place(request)
        await holds.settle(settlement(request, charge_nano=10))
        plan = await admin.update_plan(plan_id, free_window_amount="0")
        assert (plan.free_window_amount, plan.free_window_seconds) == ("0", 0)
        window = (await ada.client.get_wallet()).free_window
        assert window is not None
        assert window.remaining == "0.00000099"
        await end_grant(database, await window_of(database, ada))
        assert (await ada.client.get_wallet()).free_window is None
        assert (await holds.place(await hold_request(database, ada, quote_nano=1))).decision == "insufficient_credits"
    assert plan_id in {row.id for row in (await admin.list_plans()).items}


async def test_a_window_needs_both_an_amount_and_a_length(admin: AsyncOperis, plan_id: str, ada: Account) -> None:
    with refused(422, "invalid_field"):
        await admin.update_plan(plan_id, free_window_seconds=0)
    with refused(422, "invalid_field"):
        await admin.update_plan(plan_id, free_window_seconds=10**12)
    with refused(422, "invalid_field"):
        await admin.update_plan(plan_id, free_window_amount="-1")
    with refused(422, "invalid_field"):
        await admin.update_plan(plan_id, welcome_grant="1000000.1")
    with refused(404, "not_found"):
        await admin.update_plan(str(new_id()), welcome_grant="1")
    with refused(403, "forbidden"):
        await ada.client.update_plan(plan_id, welcome_grant="1")
    assert (await admin.update_plan(plan_id, free_window_amount="0", free_window_seconds=0)).free_window_seconds == 0
