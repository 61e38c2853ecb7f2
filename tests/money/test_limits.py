"""Limits in admission: budgets, rates and concurrency of keys, members, organizations and plans, exact at any time."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
import pytest

from operis_api.ledger.holds import HoldRequest, Holds, Placement
from tests.factories import Account
from tests.money.moving import hold_request, open_holds, settlement
from tests.running import Api, Database

SCOPES = ("key", "member", "organization", "plan")
BUDGETS = ("budget", "budget_daily", "budget_weekly", "budget_monthly")
_TABLES = {
    "key": "api_keys WHERE organization_id = $1",
    "member": "memberships WHERE organization_id = $1",
    "organization": "organizations WHERE id = $1",
    "plan": "plans WHERE id = (SELECT plan_id FROM organizations WHERE id = $1)",
}


class Limited(msgspec.Struct):
    """A key of an account on a plan of its own, whose calls the test places itself."""

    database: Database
    account: Account
    key_id: UUID

    async def limit(self, scope: str, **limits: int | None) -> None:
        """Set limits as they stand in the table."""
        table, where = _TABLES[scope].split(" WHERE ", 1)
        for name, value in limits.items():
            column = f"{name}_nano" if name in BUDGETS else name
            await self.database.fetch(
                f"UPDATE {table} SET {column} = $2 WHERE {where}", UUID(self.account.organization_id), value
            )

    async def request(
        self, quote_nano: int = 100, *, floor_nano: int | None = None, tokens: int = 10, floor_tokens: int | None = None
    ) -> HoldRequest:
        request = await hold_request(self.database, self.account, quote_nano=quote_nano, floor_nano=floor_nano)
        return msgspec.structs.replace(
            request,
            key_id=self.key_id,
            key_version=1,
            quote_tokens=tokens,
            floor_tokens=tokens if floor_tokens is None else floor_tokens,
        )

    async def pass_time(self, seconds: int) -> None:
        """Let the rates of this organization be so much older."""
        await self.database.fetch(
            "UPDATE rate_counts SET second = second - $2 WHERE organization_id = $1",
            UUID(self.account.organization_id),
            seconds,
        )


@pytest.fixture
async def holds(database: Database) -> AsyncGenerator[Holds]:
    async with open_holds(database) as opened:
        yield opened


@pytest.fixture
async def limited(ada: Account, database: Database) -> Limited:
    minted = await ada.client.mint_key(name="limited")
    plan = await database.fetch(
        "INSERT INTO plans (id, name) VALUES (gen_random_uuid(), gen_random_uuid()::text) RETURNING id"
    )
    await database.fetch(
        "UPDATE organizations SET plan_id = $2 WHERE id = $1", UUID(ada.organization_id), plan[0]["id"]
    )
    return Limited(database, ada, UUID(minted.key.id))


def bound(placement: Placement) -> tuple[str, str, str, int, int, int]:
    """Return the decision and the limit it names: scope, name, value, used, held."""
    found = placement.binding
    assert found is not None
    return placement.decision, found.scope, found.name, found.value, found.used, found.held


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("budget", BUDGETS)
async def test_a_budget_holds_and_counts_what_was_charged(
    holds: Holds, limited: Limited, scope: str, budget: str
) -> None:
    await limited.limit(scope, **{budget: 250})
    first, second = await limited.request(100), await limited.request(100)
    assert [(await holds.place(request)).decision for request in (first, second)] == ["held", "held"]
    refused = await holds.place(await limited.request(100))
    assert bound(refused) == ("budget_exhausted", scope, budget, 250, 0, 200)
    await holds.settle(settlement(first, charge_nano=30))
    third = await limited.request(100)
    assert (await holds.place(third)).decision == "held"
    refused = await holds.place(await limited.request(100))
    assert bound(refused) == ("budget_exhausted", scope, budget, 250, 30, 200)
    for request in (second, third):
        await holds.settle(settlement(request, charge_nano=100))
    assert bound(await holds.place(await limited.request(21))) == ("budget_exhausted", scope, budget, 250, 230, 0)
    assert (await holds.place(await limited.request(20))).decision == "held"


@pytest.mark.parametrize(("budget", "days"), [("budget_daily", 1), ("budget_weekly", 7), ("budget_monthly", 31)])
async def test_a_periodic_budget_begins_anew_with_its_window_and_without_a_job(
    holds: Holds, limited: Limited, budget: str, days: int
) -> None:
    await limited.limit("key", **{budget: 100})
    request = await limited.request(100)
    await holds.place(request)
    await holds.settle(settlement(request, charge_nano=100))
    refused = await holds.place(await limited.request(1))
    assert bound(refused) == ("budget_exhausted", "key", budget, 100, 100, 0)
    assert refused.binding is not None
    assert refused.binding.resets_at is not None
    assert timedelta(0) < refused.binding.resets_at - datetime.now(UTC) <= timedelta(days=days)
    await limited.database.fetch(
        "UPDATE spending SET day = day - 40, week = week - 42, month = month - interval '2 months'"
        " WHERE organization_id = $1",
        UUID(limited.account.organization_id),
    )
    assert (await holds.place(await limited.request(100))).decision == "held"


async def test_a_day_begins_at_midnight_in_the_organizations_zone(holds: Holds, limited: Limited) -> None:
    # The two zones are a day apart at any time.
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        await limited.database.fetch(
            "UPDATE organizations SET timezone = $2 WHERE id = $1", UUID(limited.account.organization_id), zone
        )
        await limited.limit("key", budget_daily=100)
        request = await limited.request(100)
        assert (await holds.place(request)).decision == "held", zone
        await holds.settle(settlement(request, charge_nano=100))
        assert (await holds.place(await limited.request(1))).decision == "budget_exhausted"


async def test_a_zone_that_postgresql_does_not_know_is_refused(limited: Limited) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await limited.database.fetch(
            "UPDATE organizations SET timezone = 'Mars/Olympus' WHERE id = $1", UUID(limited.account.organization_id)
        )


async def test_a_call_without_an_output_limit_is_lowered_to_what_a_budget_leaves(
    holds: Holds, limited: Limited
) -> None:
    await limited.limit("member", budget_monthly=70)
    placement = await holds.place(await limited.request(100, floor_nano=50))
    assert (placement.decision, placement.amount_nano) == ("held", 70)


async def test_the_smallest_of_several_limits_is_named(holds: Holds, limited: Limited) -> None:
    await limited.limit("key", budget=500, budget_daily=400)
    await limited.limit("organization", budget_monthly=90)
    await limited.limit("plan", budget=1000)
    assert bound(await holds.place(await limited.request(100)))[1:4] == ("organization", "budget_monthly", 90)


async def test_an_empty_wallet_is_named_before_a_budget_that_leaves_more(holds: Holds, limited: Limited) -> None:
    await limited.limit("key", budget=2 * 10**9)
    assert (await holds.place(await limited.request(3 * 10**9))).decision == "insufficient_credits"


async def test_a_free_call_passes_an_exhausted_budget(holds: Holds, limited: Limited) -> None:
    await limited.limit("key", budget=0)
    assert (await holds.place(await limited.request(0))).decision == "held"


@pytest.mark.parametrize("scope", SCOPES)
async def test_calls_at_once_are_counted_from_open_holds(holds: Holds, limited: Limited, scope: str) -> None:
    await limited.limit(scope, concurrency=3)
    requests = [await limited.request() for _ in range(5)]
    placements = await asyncio.gather(*(holds.place(request) for request in requests))
    assert [placement.decision for placement in placements] == ["held"] * 3 + ["concurrency_limited"] * 2
    assert bound(placements[3]) == ("concurrency_limited", scope, "concurrency", 3, 3, 0)
    await holds.settle(settlement(requests[0], charge_nano=0))
    assert (await holds.place(await limited.request())).decision == "held"


@pytest.mark.parametrize("scope", SCOPES)
async def test_requests_in_any_sixty_seconds_never_pass_their_limit(holds: Holds, limited: Limited, scope: str) -> None:
    await limited.limit(scope, rpm=4)
    first = [await limited.request() for _ in range(3)]
    assert {(await holds.place(request)).decision for request in first} == {"held"}
    await limited.pass_time(30)
    answers = await asyncio.gather(*[holds.place(await limited.request()) for _ in range(3)])
    assert [answer.decision for answer in answers] == ["held", "rate_limited", "rate_limited"]
    assert answers[0].rates is not None
    assert (answers[0].rates.rpm, answers[0].rates.requests_left, answers[0].rates.tpm) == (4, 0, None)
    assert bound(answers[1]) == ("rate_limited", scope, "rpm", 4, 4, 0)
    wait = answers[1].binding.wait_seconds if answers[1].binding else None
    assert wait is not None
    assert 29 <= wait <= 33  # when the first three are a minute old
    await limited.pass_time(wait - 3)
    assert (await holds.place(await limited.request())).decision == "rate_limited"
    await limited.pass_time(3)
    answers = [await holds.place(await limited.request()) for _ in range(4)]
    assert [answer.decision for answer in answers] == ["held"] * 3 + ["rate_limited"]


async def test_two_processes_at_the_edge_of_a_minute_never_let_more_through(
    database: Database, limited: Limited
) -> None:
    """Whatever moment the minute before ends at, both together stay within the limit."""
    await limited.limit("key", rpm=10)
    async with open_holds(database) as one, open_holds(database) as other:
        for age in (58, 59, 60, 61, 62):
            await database.fetch("DELETE FROM rate_counts WHERE subject_id = $1", limited.key_id)
            for _ in range(6):
                await one.place(await limited.request())
            await limited.pass_time(age)
            requests = [await limited.request() for _ in range(30)]
            placed = await asyncio.gather(*((one, other)[n % 2].place(request) for n, request in enumerate(requests)))
            served = sum(placement.decision == "held" for placement in placed)
            assert served == (10 if age > 61 else served)
            assert 4 <= served <= 10
            counted = await database.fetch(
                "SELECT sum(requests) AS n FROM rate_counts WHERE subject_id = $1"
                " AND second >= floor(extract(epoch FROM clock_timestamp())) - 59",
                limited.key_id,
            )
            assert counted[0]["n"] <= 10


async def test_refused_calls_take_nothing_of_a_rate(holds: Holds, limited: Limited) -> None:
    await limited.limit("key", rpm=2, concurrency=1)
    first = await limited.request()
    await holds.place(first)
    for _ in range(5):
        assert (await holds.place(await limited.request())).decision == "concurrency_limited"
    await holds.settle(settlement(first, charge_nano=0))
    assert (await holds.place(await limited.request())).decision == "held"


@pytest.mark.parametrize("scope", SCOPES)
async def test_tokens_are_taken_by_the_quote_and_given_back_at_settlement(
    holds: Holds, limited: Limited, scope: str
) -> None:
    await limited.limit(scope, tpm=100)
    first = await limited.request(tokens=80)
    placement = await holds.place(first)
    assert (placement.decision, placement.tokens) == ("held", 80)
    assert placement.rates is not None
    assert (placement.rates.tpm, placement.rates.tokens_left) == (100, 20)
    refused = await holds.place(await limited.request(tokens=21))
    assert bound(refused) == ("rate_limited", scope, "tpm", 100, 80, 0)
    await holds.settle(settlement(first, charge_nano=2))  # it used two
    assert (await holds.place(await limited.request(tokens=98))).decision == "held"


async def test_a_call_without_an_output_limit_is_lowered_to_the_tokens_that_are_left(
    holds: Holds, limited: Limited
) -> None:
    await limited.limit("key", tpm=100)
    placement = await holds.place(await limited.request(tokens=500, floor_tokens=40))
    assert (placement.decision, placement.tokens) == ("held", 100)
    assert (await holds.place(await limited.request(tokens=500, floor_tokens=40))).decision == "rate_limited"


async def test_a_call_that_fails_gives_all_its_tokens_back_but_stays_a_request(holds: Holds, limited: Limited) -> None:
    await limited.limit("key", tpm=100, rpm=2)
    first = await limited.request(tokens=100)
    await holds.place(first)
    failed = msgspec.structs.replace(settlement(first, charge_nano=0), outcome="failed", input=0, output=0)
    await holds.settle(failed)
    second = await holds.place(await limited.request(tokens=100))
    assert (second.decision, second.rates and second.rates.requests_left) == ("held", 0)


async def test_placing_the_same_hold_again_takes_nothing_more(holds: Holds, limited: Limited) -> None:
    await limited.limit("key", tpm=100, rpm=2, concurrency=2, budget=300)
    request = await limited.request(100, tokens=40)
    answers = [await holds.place(request) for _ in range(3)]
    assert {(answer.decision, answer.amount_nano, answer.tokens) for answer in answers} == {("held", 100, 40)}
    assert (await holds.place(await limited.request(100, tokens=40))).decision == "held"


async def test_limits_of_one_key_do_not_touch_another(holds: Holds, limited: Limited) -> None:
    await limited.limit("key", rpm=1, budget=100)
    other = await limited.account.client.mint_key(name="other")
    await limited.database.fetch("UPDATE api_keys SET rpm = NULL, budget_nano = NULL WHERE id = $1", UUID(other.key.id))
    assert (await holds.place(await limited.request(100))).decision == "held"
    assert (await holds.place(await limited.request(100))).decision == "rate_limited"
    for _ in range(3):
        request = msgspec.structs.replace(await limited.request(100), key_id=UUID(other.key.id))
        assert (await holds.place(request)).decision == "held"


@pytest.mark.parametrize(
    ("limits", "meanwhile", "decision"),
    [
        ({"budget": 100}, "spending", "budget_exhausted"),
        ({"budget_daily": 100}, "spending", "budget_exhausted"),
        ({"budget_weekly": 100}, "spending", "budget_exhausted"),
        ({"budget_monthly": 100}, "spending", "budget_exhausted"),
        ({"rpm": 1}, "rate", "rate_limited"),
        ({"tpm": 60}, "rate", "rate_limited"),
        ({"concurrency": 1}, "hold", "concurrency_limited"),
        ({}, "limit", "budget_exhausted"),
        ({}, "plan", "plan_changed"),
    ],
)
async def test_admission_that_waited_decides_on_the_limits_it_then_finds(
    holds: Holds, limited: Limited, limits: dict[str, int], meanwhile: str, decision: str
) -> None:
    """A transaction holds the wallet's lock, uses the limit up and commits; the call behind it must see that."""
    await limited.limit("key", **limits)
    organization = UUID(limited.account.organization_id)
    plan = (await limited.database.fetch("SELECT plan_id FROM organizations WHERE id = $1", organization))[0]["plan_id"]
    request = msgspec.structs.replace(await limited.request(100, tokens=50), plan_id=plan)
    change = {
        "spending": (
            "INSERT INTO spending (organization_id, subject_id, spent_nano, day, day_nano, week, week_nano, month,"
            " month_nano) SELECT $1, $2, 1, w.day, 1, w.week, 1, w.month, 1"
            " FROM windows_of(clock_timestamp(), 'UTC') w"
        ),
        "rate": (
            "INSERT INTO rate_counts (organization_id, subject_id, second, requests, tokens)"
            " VALUES ($1, $2, extract(epoch FROM clock_timestamp())::bigint, 1, 11)"
        ),
        "hold": (
            "INSERT INTO holds (organization_id, id, created_at, lease_until, amount_nano, grant_ids,"
            " grant_amounts_nano, user_id, key_id, model_id, price_id, streamed, prompt_tokens)"
            " VALUES ($1, gen_random_uuid(), now(), now() + interval '1 minute', 0, '{}', '{}', $1, $2, 'x', $1,"
            " false, 0)"
        ),
        "limit": "UPDATE api_keys SET budget_nano = 99 WHERE organization_id = $1 AND id = $2",
        "plan": (
            "UPDATE organizations SET plan_id = '00000000-0000-7000-8000-000000000001' WHERE id = $1"
            " AND $2::uuid IS NOT NULL"
        ),
    }[meanwhile]
    blocker = await asyncpg.connect(limited.database.superuser_url)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("SELECT FROM wallets WHERE organization_id = $1 FOR UPDATE", organization)
    waiting = asyncio.ensure_future(holds.place(request))
    while not await limited.database.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
        await asyncio.sleep(0.01)
    await blocker.execute(change, organization, limited.key_id)
    await transaction.commit()
    assert (await waiting).decision == decision
    for table in ("holds", "spending"):  # what no call made
        await blocker.execute(f"DELETE FROM {table} WHERE organization_id = $1", organization)
    await blocker.close()


async def test_last_used_changes_at_most_once_a_minute_and_errors_are_counted(holds: Holds, limited: Limited) -> None:
    rows: list[asyncpg.Record] = []
    for nth in range(3):
        request = msgspec.structs.replace(await limited.request(), client_agent=f"agent {nth}")
        await holds.place(request)
        outcome = "failed" if nth else "completed"
        await holds.settle(msgspec.structs.replace(settlement(request, charge_nano=0), outcome=outcome))
        rows += await limited.database.fetch("SELECT * FROM spending WHERE subject_id = $1", limited.key_id)
    assert len({row["last_used_at"] for row in rows}) == 1
    assert (rows[-1]["requests"], rows[-1]["errors"], rows[-1]["last_agent"]) == (3, 2, "agent 0")
    await limited.database.fetch(
        "UPDATE spending SET last_used_at = last_used_at - interval '2 minutes' WHERE subject_id = $1", limited.key_id
    )
    request = msgspec.structs.replace(await limited.request(), client_agent="later")
    await holds.place(request)
    await holds.settle(settlement(request, charge_nano=0))
    rows = await limited.database.fetch("SELECT * FROM spending WHERE subject_id = $1", limited.key_id)
    assert rows[0]["last_agent"] == "later"


async def test_the_books_hold_after_limits_were_met(api: Api, database: Database) -> None:
    assert api.process.returncode is None
    assert await database.broken_invariants() == []
