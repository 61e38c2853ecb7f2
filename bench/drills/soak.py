"""A soak: random movements of money by many clients at once, and then a replay.

Calls, duplicates and lost answers, settlements by two processes at once, abandoned holds and their sweep, credits,
debits, grants that end, expiry and reversals. Afterwards every wallet's ledger is read again from its first line by a
model in plain Python, and compared with what the clients were told.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import async_sessionmaker
from tests.money.model import Replay
from tests.money.moving import LAPSE, new_hold, open_account, settlement
from tests.running import Database, make_database

from operis_api.kit.errors import DomainError
from operis_api.kit.sessions import Sessions, create_engine
from operis_api.ledger.corrections import reverse_charge
from operis_api.ledger.holds import HoldRequest, Holds
from operis_api.ledger.postings import Movement, credit_wallet, debit_wallet, expire_grants
from operis_api.migrating import APP_ROLE
from operis_db.embedded import EmbeddedPostgres

CLIENTS = 64
WALLETS = 16
SOURCES = ("bonus", "voucher", "manual", "paid")


@dataclass
class Wallet:
    """One organization, and what clients were told of it: postings by id with what the wallet gained."""

    organization: UUID
    user: UUID
    told: dict[UUID, int] = field(default_factory=dict)
    charged: list[UUID] = field(default_factory=list)
    abandoned: list[HoldRequest] = field(default_factory=list)


@dataclass
class Soak:
    database: Database
    sessions: Sessions
    processes: list[Holds]
    root: asyncpg.Pool
    catalog_version: int
    wallets: list[Wallet]
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def run(self, operations: int, clients: int) -> None:
        acts: list[tuple[int, Callable[[Wallet], Awaitable[str]]]] = [
            (70, self.call),
            (6, self.abandon),
            (3, self.sweep),
            (8, self.credit),
            (4, self.debit),
            (4, self.end_a_grant),
            (2, self.expire),
            (3, self.reverse),
        ]
        weights = [weight for weight, _ in acts]
        left = operations

        async def client() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                _, act = random.choices(acts, weights)[0]
                # Half of everything happens in one hot wallet.
                wallet = self.wallets[0] if random.random() < 0.5 else random.choice(self.wallets)
                self.done[await act(wallet)] += 1

        await asyncio.gather(*(client() for _ in range(clients)))

    async def call(self, wallet: Wallet) -> str:
        """Place and settle, each perhaps twice at once or again: as a client does whose answer was lost."""
        request = self.request(wallet)
        placements = await asyncio.gather(*(holds.place(request) for holds in self.some_processes()))
        if placements[-1].decision != "held":
            if any(placement.decision == "held" for placement in placements):
                return await self.settle(wallet, request)  # refused first, and then there was enough: or the other way
            return f"call: {placements[-1].decision}"
        if len({placement.amount_nano for placement in placements if placement.decision == "held"}) != 1:
            self.wrong.append(f"hold {request.hold_id} was answered with two amounts")
        return await self.settle(wallet, request)

    async def settle(self, wallet: Wallet, request: HoldRequest) -> str:
        charges = [random.choice([0, random.randint(1, 300), random.randint(1, 600)]) for _ in self.processes]
        settled = await asyncio.gather(
            *(
                holds.settle(settlement(request, charge_nano=charge))
                for holds, charge in zip(self.some_processes(), charges, strict=False)
            )
        )
        firsts = [answer for answer in settled if answer.first]
        if len(firsts) != 1:
            self.wrong.append(f"hold {request.hold_id} was settled {len(firsts)} times")
        self.note_charge(wallet, request.hold_id, firsts[0].charged_nano)
        return "call: settled"

    async def abandon(self, wallet: Wallet) -> str:
        """Place a hold and die."""
        request = self.request(wallet)
        if (await random.choice(self.processes).place(request)).decision != "held":
            return "abandon: refused"
        wallet.abandoned.append(request)
        return "abandon: held"

    async def sweep(self, wallet: Wallet) -> str:
        """Two sweepers find the same lapsed hold."""
        if not wallet.abandoned:
            return "sweep: nothing"
        request = wallet.abandoned.pop()
        await self.root.execute(f"{LAPSE} AND id = $1", request.hold_id)
        lapsed = msgspec.structs.replace(settlement(request, charge_nano=random.randint(0, 200)), only_lapsed=True)
        settled = await asyncio.gather(*(holds.settle(lapsed) for holds in self.processes))
        firsts = [answer for answer in settled if answer.first]
        if len(firsts) != 1:
            self.wrong.append(f"hold {request.hold_id} was swept {len(firsts)} times")
        self.note_charge(wallet, request.hold_id, firsts[0].charged_nano)
        return "sweep: settled"

    async def credit(self, wallet: Wallet) -> str:
        amount, source = random.randint(1, 4000), random.choice(SOURCES)
        async with self.sessions.begin() as session:
            posting = await credit_wallet(
                session, wallet.organization, movement("gift"), amount_nano=amount, source=source
            )
        wallet.told[posting] = amount
        return "credit"

    async def debit(self, wallet: Wallet) -> str:
        amount = random.randint(1, 2000)
        try:
            async with self.sessions.begin() as session:
                posting = await debit_wallet(session, wallet.organization, movement("fine"), amount_nano=amount)
        except DomainError as refusal:
            return f"debit: {refusal.code}"
        wallet.told[posting] = -amount
        return "debit"

    async def end_a_grant(self, wallet: Wallet) -> str:
        await self.root.execute(
            "UPDATE grants SET expires_at = clock_timestamp() WHERE id = "
            "(SELECT id FROM grants WHERE organization_id = $1 AND NOT closed "
            "AND (expires_at IS NULL OR expires_at > clock_timestamp()) ORDER BY random() LIMIT 1)",
            wallet.organization,
        )
        return "end"

    async def expire(self, _: Wallet) -> str:
        async with self.sessions.begin() as session:
            await expire_grants(session)
        return "expire"

    async def reverse(self, wallet: Wallet) -> str:
        if not wallet.charged:
            return "reverse: nothing"
        request_id = random.choice(wallet.charged)
        try:
            async with self.sessions.begin() as session:
                reversal = await reverse_charge(
                    session, wallet.organization, request_id, reason="soak", actor_id=wallet.user
                )
        except DomainError as refusal:
            return f"reverse: {refusal.code}"
        wallet.told[reversal.posting_id] = reversal.amount_nano
        return "reverse"

    async def finish(self) -> None:
        """Let every hold and every grant that is over come to its end."""
        for wallet in self.wallets:
            while wallet.abandoned:
                await self.sweep(wallet)
        async with self.sessions.begin() as session:
            while await expire_grants(session):
                pass

    async def judge(self) -> list[str]:
        wrong = [*self.wrong, *await self.database.broken_invariants()]
        for wallet in self.wallets:
            wrong += [f"wallet {wallet.organization}: {difference}" for difference in await self.replay(wallet)]
        return wrong

    async def replay(self, wallet: Wallet) -> list[str]:
        """Read a wallet's ledger again, and compare it with its grants, its row, and what clients were told."""
        replay, seen = Replay(), dict[UUID, int]()
        async with self.root.acquire() as connection, connection.transaction():
            async for line in connection.cursor(LINES, wallet.organization):
                moves = zip(line["grant_ids"], line["grant_amounts_nano"], strict=True)
                replay.apply(line["sequence"], line["amount_nano"], line["balance_after_nano"], moves)
                if line["kind"] not in {"expiry", "free_window"}:
                    seen[line["id"]] = line["amount_nano"]
            grants = await connection.fetch(
                "SELECT id, remaining_nano, held_nano FROM grants WHERE organization_id = $1", wallet.organization
            )
            row = await connection.fetchrow("SELECT * FROM wallets WHERE organization_id = $1", wallet.organization)
        wrong = replay.wrong
        if {grant["id"]: grant["remaining_nano"] for grant in grants} != replay.left:
            wrong.append("its grants are not what its ledger leaves of them")
        assert row is not None
        if (row["available_nano"], row["held_nano"], row["sequence"]) != (replay.balance, 0, replay.sequence):
            wrong.append(f"it says {dict(row)}, its ledger {replay.balance} at {replay.sequence}")
        wrong += [f"{posting} was told and is not in the ledger" for posting in wallet.told.keys() - seen.keys()]
        wrong += [f"{posting} is in the ledger and was not told" for posting in seen.keys() - wallet.told.keys()]
        wrong += [
            f"{posting} was told as {wallet.told[posting]} and is {seen[posting]}"
            for posting in seen.keys() & wallet.told.keys()
            if seen[posting] != wallet.told[posting]
        ]
        return wrong

    def request(self, wallet: Wallet) -> HoldRequest:
        quote = random.randint(0, 500)
        floor = quote if random.random() < 0.7 else quote // 2
        return new_hold(
            wallet.organization, wallet.user, quote_nano=quote, floor_nano=floor, catalog_version=self.catalog_version
        )

    def some_processes(self) -> list[Holds]:
        """Return one process, or now and then both."""
        return self.processes if random.random() < 0.1 else [random.choice(self.processes)]

    def note_charge(self, wallet: Wallet, hold_id: UUID, charged_nano: int) -> None:
        if charged_nano:
            wallet.told[hold_id] = -charged_nano
            wallet.charged.append(hold_id)


LINES = """
SELECT p.id, p.kind, e.sequence, e.amount_nano, e.balance_after_nano,
    CASE WHEN p.kind = 'charge' THEN u.grant_ids ELSE p.grant_ids END AS grant_ids,
    CASE WHEN p.kind = 'charge' THEN ARRAY(SELECT -x FROM unnest(u.grant_amounts_nano) AS x)
        ELSE p.grant_amounts_nano END AS grant_amounts_nano
FROM entries e
JOIN postings p ON p.organization_id = e.organization_id AND p.id = e.posting_id
LEFT JOIN usage_records u ON u.organization_id = p.organization_id AND u.id = p.id
WHERE e.organization_id = $1 AND e.account = 'wallet' ORDER BY e.sequence
"""


def movement(kind: str) -> Movement:
    return Movement(kind=kind, account="adjustments", reason="soak", actor_id=None)


async def soak(database: Database, *, operations: int, clients: int) -> list[str]:
    """Run the operations and return the differences."""
    engine = create_engine(database.app_url, APP_ROLE)
    processes = [Holds(database.app_url, APP_ROLE) for _ in range(2)]
    opening = await asyncpg.connect(database.superuser_url)
    opened = [await open_account(opening, window_nano=700) for _ in range(WALLETS)]
    version = await opening.fetchval("SELECT version FROM catalog_version")
    await opening.close()
    async with asyncpg.create_pool(database.superuser_url, min_size=1, max_size=8) as root:
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        wallets = [Wallet(*account) for account in opened]
        run = Soak(database, sessions, processes, root, version, wallets)
        began = time.monotonic()
        await run.run(operations, clients)
        print(
            f"{operations} operations in {time.monotonic() - began:.1f} s: {dict(sorted(run.done.items()))}", flush=True
        )
        await run.finish()
        wrong = await run.judge()
    for process in processes:
        await process.close()
    await engine.dispose()
    return wrong


async def main(postgres: EmbeddedPostgres, operations: int) -> list[str]:
    return await soak(await make_database(postgres), operations=operations, clients=CLIENTS)
