"""Money under concurrency: a wallet is a hard limit, and every call is charged once."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from bench.drills.races import race

from operis_api.ledger.holds import HoldRequest, Placement
from operis_client import AsyncOperis
from tests.factories import Account, mint, set_balance, sign_up
from tests.money.moving import hold_request, new_hold, open_account, open_holds, settlement
from tests.running import Api, Database, run_api

HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "Hello"}]}


async def call_many(apis: list[Api], secret: str, *, calls: int) -> Counter[int]:
    """Make calls at once, spread over the processes; returns how many were answered with which status."""
    limits = httpx.Limits(max_connections=calls, max_keepalive_connections=calls)
    async with httpx.AsyncClient(timeout=120, limits=limits) as http:

        async def call(nth: int) -> int:
            url = f"{apis[nth % len(apis)].base_url}/v1/chat/completions"
            body = {**HELLO, "stream": nth % 2 == 1}
            response = await http.post(url, json=body, headers={"Authorization": f"Bearer {secret}"})
            if response.status_code == 200 and nth % 2 == 1:
                assert response.text.endswith("data: [DONE]\n\n")
            return response.status_code

        return Counter(await asyncio.gather(*(call(nth) for nth in range(calls))))


async def test_200_calls_at_once_on_a_wallet_for_exactly_50_serve_exactly_50(
    api: Api, admin: AsyncOperis, ada: Account
) -> None:
    await set_balance(admin, ada, "0.00075")  # 50 x 0.000015
    assert await call_many([api], await mint(ada), calls=200) == {200: 50, 402: 150}
    wallet = await ada.client.get_wallet()
    assert (wallet.available, wallet.held, wallet.grants) == ("0", "0", [])
    assert len((await ada.client.list_requests(limit=200)).items) == 50


async def test_two_processes_share_the_same_hard_limit(
    api: Api, admin: AsyncOperis, ada: Account, database: Database
) -> None:
    await set_balance(admin, ada, "0.000555")  # 37 x 0.000015
    async with run_api(database) as other:
        assert await call_many([api, other], await mint(ada), calls=150) == {200: 37, 402: 113}
    assert await ada.available() == "0"


async def test_two_calls_cannot_spend_the_same_last_cent(api: Api, admin: AsyncOperis) -> None:
    for _ in range(20):
        account = await sign_up(api)
        await set_balance(admin, account, "0.000029")  # one nanocredit step short of two calls
        assert await call_many([api], await mint(account), calls=2) == {200: 1, 402: 1}
        assert await account.available() == "0.000014"


async def test_a_debit_and_calls_at_once_never_take_more_than_there_is(
    api: Api, admin: AsyncOperis, ada: Account
) -> None:
    await set_balance(admin, ada, "0.0003")  # 20 calls
    secret = await mint(ada)
    debit = admin.adjust_wallet(ada.organization_id, amount="-0.00015", reason="at the same time")
    statuses, _ = await asyncio.gather(call_many([api], secret, calls=30), debit, return_exceptions=True)
    assert isinstance(statuses, Counter)
    wallet = await ada.client.get_wallet()
    entries = (await ada.client.list_wallet_entries(limit=200)).items
    assert wallet.held == "0"
    assert sum(entry.kind == "charge" for entry in entries) == statuses[200]
    assert entries[0].balance_after == wallet.available


async def test_the_books_balance_after_all_of_this(api: Api, database: Database) -> None:
    assert api.process.returncode is None
    assert await database.broken_invariants() == []


async def test_one_hold_settled_50_times_at_once_from_two_processes_is_charged_once(
    database: Database, ada: Account
) -> None:
    async with open_holds(database) as one, open_holds(database) as other:
        request = await hold_request(database, ada, quote_nano=500)
        assert (await one.place(request)).decision == "held"
        settled = await asyncio.gather(
            *((one if nth % 2 else other).settle(settlement(request, charge_nano=300)) for nth in range(50))
        )
    assert sum(answer.first for answer in settled) == 1
    assert await ada.available() == "0.9999997"
    assert (await ada.client.get_wallet()).held == "0"


async def test_placing_the_same_hold_again_holds_no_more(database: Database, ada: Account) -> None:
    async with open_holds(database) as holds:
        request = await hold_request(database, ada, quote_nano=500)
        placements = [await holds.place(request) for _ in range(5)]
        assert [(placement.decision, placement.amount_nano) for placement in placements] == [("held", 500)] * 5
        assert (await ada.client.get_wallet()).held == "0.0000005"
        await holds.settle(settlement(request, charge_nano=0))
    assert await ada.available() == "1"


@pytest.mark.parametrize(
    "refused", ["user", "organization", "member", "key", "key change", "key expiry", "session", "catalog", "plan"]
)
async def test_admission_that_waited_decides_on_what_it_then_finds(
    api: Api, admin: AsyncOperis, ada: Account, database: Database, refused: str
) -> None:
    """A transaction holds the wallet's lock, changes something and commits; the admission behind it must see that."""
    minted = await ada.client.mint_key(name="waits")
    request = await hold_request(database, ada, quote_nano=100)
    if refused.startswith("key"):
        request = msgspec.structs.replace(request, key_id=UUID(minted.key.id), key_version=1)
    if refused == "plan":
        rows = await database.fetch("SELECT plan_id FROM organizations WHERE owner_id = $1", UUID(ada.user_id))
        request = msgspec.structs.replace(request, plan_id=rows[0]["plan_id"])
    if refused == "session":
        rows = await database.fetch("SELECT id FROM sessions WHERE user_id = $1", UUID(ada.user_id))
        request = msgspec.structs.replace(request, session_id=rows[0]["id"])
    change, decision = {
        "user": ("UPDATE users SET status = 'suspended' WHERE id = $1", "user_suspended"),
        "organization": ("UPDATE organizations SET status = 'suspended' WHERE owner_id = $1", "organization_suspended"),
        "member": ("DELETE FROM memberships WHERE user_id = $1", "not_a_member"),
        "key": ("UPDATE api_keys SET revoked_at = now() WHERE user_id = $1", "key_revoked"),
        "key change": ("UPDATE api_keys SET version = version + 1 WHERE user_id = $1", "key_changed"),
        "key expiry": ("UPDATE api_keys SET expires_at = now() WHERE user_id = $1", "key_expired"),
        "session": ("UPDATE sessions SET revoked_at = now() WHERE user_id = $1", "session_ended"),
        "plan": (
            """
            WITH p AS (INSERT INTO plans (id, name) VALUES (new_id(), 'Plan ' || new_id()) RETURNING id)
            UPDATE organizations SET plan_id = p.id FROM p WHERE owner_id = $1
            """,
            "plan_changed",
        ),
        "catalog": ("UPDATE catalog_version SET version = version + 1 WHERE $1::uuid IS NOT NULL", "catalog_changed"),
    }[refused]
    blocker = await asyncpg.connect(database.superuser_url)
    async with open_holds(database) as holds:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT FROM wallets WHERE organization_id = $1 FOR UPDATE", UUID(ada.organization_id))
        waiting = asyncio.ensure_future(holds.place(request))
        while not await database.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            await asyncio.sleep(0.01)
        await blocker.execute(change, UUID(ada.user_id))
        await transaction.commit()
        assert (await waiting).decision == decision
    await blocker.close()
    assert api.process.returncode is None
    assert admin.token


async def test_a_call_that_waited_while_another_process_took_the_last_nanocredit_is_refused(
    database: Database, ada: Account
) -> None:
    async with holding(database, await hold_request(database, ada, quote_nano=10**9)) as placing:
        placement = await placing(await hold_request(database, ada, quote_nano=1))
    assert (placement.decision, placement.available_nano, placement.held_nano) == ("insufficient_credits", 0, 10**9)


async def test_a_call_that_waited_while_another_process_opened_the_free_window_opens_no_second_one(
    database: Database,
) -> None:
    superuser = await asyncpg.connect(database.superuser_url)
    organization, user = await open_account(superuser, window_nano=700)
    version = await superuser.fetchval("SELECT version FROM catalog_version")
    await superuser.close()
    first, second, third = (
        new_hold(organization, user, quote_nano=quote, floor_nano=quote, catalog_version=version)
        for quote in (600, 101, 100)
    )
    async with holding(database, first) as placing:
        assert (await placing(second)).decision == "insufficient_credits"
    async with open_holds(database) as holds:
        assert (await holds.place(third)).decision == "held"
        for request in (first, third):
            await holds.settle(settlement(request, charge_nano=0))
    rows = await database.fetch("SELECT amount_nano FROM grants WHERE organization_id = $1", organization)
    assert [row["amount_nano"] for row in rows] == [700]


@asynccontextmanager
async def holding(
    database: Database, first: HoldRequest
) -> AsyncGenerator[Callable[[HoldRequest], Awaitable[Placement]]]:
    """Place a hold on a connection of its own and commit only when the next call waits for the wallet's lock."""
    blocker = await asyncpg.connect(database.superuser_url)
    transaction = blocker.transaction()
    await transaction.start()
    placed = await blocker.fetch("SELECT decision FROM place_holds($1::json)", msgspec.json.encode([first]).decode())
    assert [row["decision"] for row in placed] == ["held"]
    async with open_holds(database) as holds:

        async def place(request: HoldRequest) -> Placement:
            waiting = asyncio.ensure_future(holds.place(request))
            while not await database.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                await asyncio.sleep(0.01)
            await transaction.commit()
            return await waiting

        yield place
    await blocker.close()


async def test_of_many_calls_at_once_exactly_those_are_served_that_the_wallet_pays_for(database: Database) -> None:
    assert await race(database, repetitions=2, calls=200) == []


async def test_a_refused_call_in_a_batch_fails_nobody(api: Api, admin: AsyncOperis, database: Database) -> None:
    rich, poor = await sign_up(api), await sign_up(api)
    await set_balance(admin, poor, "0.000000001")
    async with open_holds(database) as holds:
        requests = [
            await hold_request(database, account, quote_nano=amount)
            for account, amount in [(rich, 100), (poor, 2), (rich, 10**12), (poor, 1), (rich, 200), (poor, 1)]
        ]
        placements = await asyncio.gather(*(holds.place(request) for request in requests))
        assert [placement.decision for placement in placements] == [
            "held",
            "insufficient_credits",
            "insufficient_credits",
            "held",
            "held",
            "insufficient_credits",
        ]
        for request, placement in zip(requests, placements, strict=True):
            if placement.decision == "held":
                await holds.settle(settlement(request, charge_nano=placement.amount_nano))
    assert await rich.available() == "0.9999997"
    assert await poor.available() == "0"
    assert await database.broken_invariants() == []
