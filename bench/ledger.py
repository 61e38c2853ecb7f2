"""What the ledger costs: pairs of admission and settlement, in one hot wallet and in many, in ledgers of any size.

Beside it in the same run, the same movements as one ORM transaction for each step. The clients live in this process,
so its CPU is what the API's side of a pair costs: encoding, batching, the connection. HTTP is `bench/gateway.py`'s.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import async_sessionmaker
from tests.money.moving import new_hold, settlement
from tests.running import Database, make_database

from bench.baseline import place_and_settle_plainly
from bench.gateway import postgres_cpu_seconds
from bench.history import add_charges, open_wallets
from operis_api.kit.sessions import create_engine
from operis_api.ledger.holds import Holds
from operis_api.migrating import APP_ROLE
from operis_db.embedded import EmbeddedPostgres

MANY = 10_000
CLIENTS = 256
PLAIN_CLIENTS = 16
SECONDS = 3.0
SLICES = 3
"""Hot and many take turns, and the best turn counts: what else the machine does is not the ledger's."""
QUOTE_NANO = 500
CHARGE_NANO = 300
Account = tuple[UUID, UUID]
Pair = Callable[[Account], Awaitable[None]]


class Cost(NamedTuple):
    """Of pairs of one kind."""

    a_second: float
    api_ms: float
    postgres_ms: float

    @property
    def cpu_ms(self) -> float:
        return self.api_ms + self.postgres_ms


async def main(postgres: EmbeddedPostgres, entries_max: int) -> list[str]:
    database = await make_database(postgres)
    superuser = await asyncpg.connect(database.superuser_url, timeout=3600, command_timeout=3600)
    many = await open_wallets(superuser, MANY)
    hot = await open_wallets(superuser, 1)
    version = await superuser.fetchval("SELECT version FROM catalog_version")
    print(f"{'entries':>10}{'':>12}{'pairs/s':>10}{'API ms':>9}{'PG ms':>8}{'CPU ms':>9}   two cores' CPU allows")
    costs: list[Cost] = []
    first: Cost | None = None
    there = 0
    async with group_commit(database, version) as batched:
        while (size := max(1_000, there * 10)) <= entries_max or not costs:
            await grow(superuser, hot, many, size - there)
            there = size
            costs = await compare(postgres, batched, hot, many)
            one, other = costs
            show(there, "one wallet", one)
            show(there, f"{MANY:,}", other)
            first = first or other
            print(
                f"{'':>10}  one wallet has {one.a_second / other.a_second:.2f} of the rate of many, "
                f"{other.cpu_ms / one.cpu_ms:.2f} by CPU; a pair costs {other.cpu_ms / first.cpu_ms:.2f} of the first",
                flush=True,
            )
    async with plain(database, version) as pair:
        for name, accounts, ours in (("plain, one", hot, costs[0]), ("plain, many", many, costs[1])):
            cost = await measure(postgres, pair, accounts, PLAIN_CLIENTS)
            show(there, name, cost)
            print(
                f"{'':>10}  the ledger makes {ours.a_second / cost.a_second:.0f} times as many, "
                f"for 1/{cost.cpu_ms / ours.cpu_ms:.0f} of the CPU"
            )
    await superuser.close()
    return await database.broken_invariants()


async def grow(superuser: asyncpg.Connection, hot: list[Account], many: list[Account], entries: int) -> None:
    """Add so many entries, half of them to the hot wallet."""
    organizations = [organization for organization, _ in many]
    await add_charges(superuser, [hot[0][0]], entries // 4)
    spread = min(len(many), max(1, entries // 4))
    await add_charges(superuser, organizations[:spread], max(1, entries // 4 // spread))
    await superuser.execute("VACUUM ANALYZE")


async def compare(
    postgres: EmbeddedPostgres, pair: Pair, hot: Sequence[Account], many: Sequence[Account]
) -> list[Cost]:
    slices = [
        (await measure(postgres, pair, hot, CLIENTS), await measure(postgres, pair, many, CLIENTS))
        for _ in range(SLICES)
    ]
    return [best([one for one, _ in slices]), best([other for _, other in slices])]


def best(costs: Sequence[Cost]) -> Cost:
    return Cost(
        max(cost.a_second for cost in costs),
        min(cost.api_ms for cost in costs),
        min(cost.postgres_ms for cost in costs),
    )


async def measure(postgres: EmbeddedPostgres, pair: Pair, accounts: Sequence[Account], clients: int) -> Cost:
    done = 0

    async def client(until: float) -> None:
        nonlocal done
        while time.monotonic() < until:
            await pair(random.choice(accounts))
            done += 1

    await asyncio.gather(*(pair(random.choice(accounts)) for _ in range(clients)))
    own, server, began = time.process_time(), postgres_cpu_seconds(postgres), time.monotonic()
    await asyncio.gather(*(client(began + SECONDS) for _ in range(clients)))
    seconds = time.monotonic() - began
    return Cost(
        done / seconds,
        (time.process_time() - own) * 1000 / done,
        (postgres_cpu_seconds(postgres) - server) * 1000 / done,
    )


def show(entries: int, name: str, cost: Cost) -> None:
    print(
        f"{entries:>10,}{name:>12}{cost.a_second:>10,.0f}{cost.api_ms:>9.3f}{cost.postgres_ms:>8.3f}{cost.cpu_ms:>9.3f}"
        f"{2000 / cost.cpu_ms:>12,.0f} pairs/s",
        flush=True,
    )


@asynccontextmanager
async def group_commit(database: Database, version: int) -> AsyncGenerator[Pair]:
    """Yield what the gateway does for each call."""
    holds = Holds(database.app_url, APP_ROLE)

    async def pair(account: Account) -> None:
        request = new_hold(*account, quote_nano=QUOTE_NANO, floor_nano=QUOTE_NANO, catalog_version=version)
        assert (await holds.place(request)).decision == "held"
        assert (await holds.settle(settlement(request, charge_nano=CHARGE_NANO))).first

    try:
        yield pair
    finally:
        await holds.close()


@asynccontextmanager
async def plain(database: Database, version: int) -> AsyncGenerator[Pair]:
    """Yield the baseline."""
    engine = create_engine(database.app_url, APP_ROLE)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def pair(account: Account) -> None:
        request = new_hold(*account, quote_nano=QUOTE_NANO, floor_nano=QUOTE_NANO, catalog_version=version)
        await place_and_settle_plainly(sessions, request, charge_nano=CHARGE_NANO)

    try:
        yield pair
    finally:
        await engine.dispose()
