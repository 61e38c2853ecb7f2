"""A superuser changes the books, one value at a time; verifying must find each.

A small ledger with everything in it is filled and sealed. Then, at random places: one column of one row gets another
value, or a row is deleted, or one is put in; the books are verified; the change is taken back. Triggers are off, as
they are for a superuser who wants them off.
"""

import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import async_sessionmaker
from tests.money.moving import new_hold, open_account, settlement
from tests.running import Database, make_database

from operis_api.books.verifying import verify_all
from operis_api.kit.ids import new_id
from operis_api.kit.sessions import Sessions, create_engine
from operis_api.ledger.corrections import refund_grant, reverse_charge
from operis_api.ledger.holds import Holds, Progress
from operis_api.ledger.postings import Movement, credit_wallet, debit_wallet, expire_grants
from operis_api.ledger.proof.chain import cut_blocks
from operis_api.migrating import APP_ROLE
from operis_db.embedded import EmbeddedPostgres

ORGANIZATIONS = 4
CALLS = 24
CHECKED_EVERY = 20
"""After so many changes the books must hold again, or the next ones prove nothing."""
COLUMNS = {
    "entries": "*",
    "postings": "*",
    "usage_records": "*",
    "voids": "*",
    "grants": "*",
    "wallets": "*",
    "holds": "*",
}
STAY_OPEN = """
    UPDATE holds h SET lease_until = x.lease, seal = seal_hold(h, x.lease, h.output_tokens)
    FROM (SELECT clock_timestamp() + interval '1 day' AS lease) x
"""
ROWS_COME_AND_GO = ("entries", "postings", "usage_records", "voids", "grants", "holds")


Undo = list[tuple[str, *tuple[object, ...]]]
"""Statements with their arguments."""


@dataclass(frozen=True)
class Place:
    table: str
    column: str
    kind: str


@dataclass
class Tamperer:
    root: asyncpg.Connection
    dice: random.Random
    places: list[Place]
    columns: dict[str, list[str]]

    async def change(self) -> tuple[str, Undo]:
        """Change something; returns what, and the statements that take it back."""
        while True:
            with contextlib.suppress(asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, LookupError):
                roll = self.dice.random()
                if roll < 0.08:
                    return await self._delete(self.dice.choice(ROWS_COME_AND_GO))
                if roll < 0.16:
                    return await self._insert(self.dice.choice(ROWS_COME_AND_GO))
                return await self._update(self.dice.choice(self.places))

    async def take_back(self, undo: Undo) -> None:
        for statement, *arguments in undo:
            await self.root.execute(statement, *arguments)

    async def _update(self, place: Place) -> tuple[str, Undo]:
        old = await self._pick(place.table, f'"{place.column}"::text AS value')
        new = await self._another(place, old["value"])
        moved = await self.root.fetchrow(
            f'UPDATE {place.table} SET "{place.column}" = $3::text::{place.kind} '
            "WHERE tableoid = $1::text::regclass AND ctid = $2::text::tid "
            "RETURNING tableoid::regclass::text AS part, ctid::text AS spot",
            old["part"],
            old["spot"],
            new,
        )
        undo = (
            f'UPDATE {place.table} SET "{place.column}" = $3::text::{place.kind} '
            "WHERE tableoid = $1::text::regclass AND ctid = $2::text::tid"
        )
        assert moved is not None
        what = f"{place.table}.{place.column}: {old['value']} -> {new}"
        return what, [(undo, moved["part"], moved["spot"], old["value"])]

    async def _delete(self, table: str) -> tuple[str, Undo]:
        row = await self._pick(table, f"{table}::text AS value")
        await self.root.execute(
            f"DELETE FROM {table} WHERE tableoid = $1::text::regclass AND ctid = $2::text::tid",
            row["part"],
            row["spot"],
        )
        names = ", ".join(f'"{name}"' for name in self.columns[table])
        undo = f"INSERT INTO {table} ({names}) SELECT {names} FROM (SELECT ($1::text::{table}).*) x"
        return f"{table}: deleted {row['value']}", [(undo, row["value"])]

    async def _insert(self, table: str) -> tuple[str, Undo]:
        """Put a copy of a row in, under another id."""
        row = await self._pick(table, f"{table}::text AS value")
        key = "posting_id" if table == "entries" else "id"
        identifier = new_id()
        names = ", ".join(f'"{name}"' for name in self.columns[table])
        values = ", ".join("$2::uuid" if name == key else f'x."{name}"' for name in self.columns[table])
        put = await self.root.fetchrow(
            f"INSERT INTO {table} ({names}) SELECT {values} FROM (SELECT ($1::text::{table}).*) x "
            "RETURNING tableoid::regclass::text AS part, ctid::text AS spot",
            row["value"],
            identifier,
        )
        assert put is not None
        undo = f"DELETE FROM {table} WHERE tableoid = $1::text::regclass AND ctid = $2::text::tid"
        return f"{table}: put in {identifier}", [(undo, put["part"], put["spot"])]

    async def _pick(self, table: str, wanted: str) -> asyncpg.Record:
        """Return a random row: where it is, and `wanted` of it."""
        row = await self.root.fetchrow(
            f"SELECT tableoid::regclass::text AS part, ctid::text AS spot, {wanted} FROM {table} "
            "ORDER BY md5(ctid::text || $1) LIMIT 1",
            str(self.dice.random()),
        )
        if row is None:
            raise LookupError(table)
        return row

    async def _another(self, place: Place, old: str | None) -> str | None:
        """Return another value: one that some row has there, or one of its own."""
        if self.dice.random() < 0.3:
            others = await self.root.fetch(f'SELECT DISTINCT "{place.column}"::text AS value FROM {place.table}')
            found = [row["value"] for row in others if row["value"] != old]
            if found:
                return self.dice.choice(found)
        value = self._invent(place.kind, old)
        if value == old:
            raise LookupError(place.column)
        return value

    def _invent(self, kind: str, old: str | None) -> str | None:  # noqa: PLR0911  # one for each type
        by = self.dice.choice((-1000, -7, -1, 1, 3, 1000))
        match kind:
            case "bigint" | "integer" | "smallint":
                return str(int(old or 0) + by)
            case "uuid":
                return str(new_id())
            case "boolean":
                return "false" if old == "true" else "true"
            case "timestamp with time zone":
                return old and str(self.dice.choice(("2026-01-01T00:00Z", "2031-05-06T07:08:09.123456Z")))
            case "uuid[]":
                if not old or old == "{}":
                    raise LookupError(kind)
                return "{" + ",".join([str(new_id()), *old.strip("{}").split(",")[1:]]) + "}"
            case "bigint[]":
                if not old or old == "{}":
                    raise LookupError(kind)
                first, *rest = old.strip("{}").split(",")
                return "{" + ",".join([str(int(first) + by), *rest]) + "}"
            case "jsonb":
                return '[{"upstream": "another"}]'
            case _:
                return f"{old or ''}x"


async def fill(database: Database, sessions: Sessions) -> None:
    """Fill books with one of everything, several times: calls of every end, grants of every kind, open holds."""
    root = await asyncpg.connect(database.superuser_url)
    holds = Holds(database.app_url, APP_ROLE)
    version = await root.fetchval("SELECT version FROM catalog_version")
    for _ in range(ORGANIZATIONS):
        organization, user = await open_account(root, window_nano=700)
        key = await _mint(root, organization, user)
        async with sessions.begin() as session:
            paid = await credit_wallet(session, organization, _because("deposit"), amount_nano=5000, source="paid")
            await credit_wallet(session, organization, _because("gift"), amount_nano=3000, source="bonus")
            await credit_wallet(session, organization, _because("gift"), amount_nano=400, source="voucher")
        for nth in range(CALLS):
            request = new_hold(organization, user, quote_nano=300, floor_nano=10, catalog_version=version)
            if nth % 3:
                request = msgspec.structs.replace(request, key_id=key, key_version=1)
            await holds.place(request)
            if nth < CALLS - 3:
                await holds.settle(settlement(request, charge_nano=(0, 120, 350, 77)[nth % 4]))
            elif nth < CALLS - 1:
                await holds.checkpoint([Progress(organization, request.hold_id, output_tokens=9)])
            if nth == 5:
                async with sessions.begin() as session:
                    await reverse_charge(session, organization, request.hold_id, reason="tampering", actor_id=user)
        async with sessions.begin() as session:
            await debit_wallet(session, organization, _because("fine"), amount_nano=50)
            await refund_grant(session, organization, paid, amount_nano=600, reason="tampering", actor_id=user)
        await root.execute(
            "UPDATE grants SET expires_at = clock_timestamp() WHERE organization_id = $1 AND source = 'voucher'",
            organization,
        )
    async with sessions.begin() as session:
        await expire_grants(session)
    await root.close()
    await holds.close()


async def tamper(database: Database, *, places: int, seed: int) -> list[str]:
    """Change so many values, one at a time, and return those that were not found."""
    engine = create_engine(database.app_url, APP_ROLE)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    await fill(database, sessions)
    root = await asyncpg.connect(database.superuser_url)
    await root.execute(STAY_OPEN)
    await cut_blocks(sessions)
    clean = await verify_all(sessions)
    assert clean.holds, clean.checks
    await root.execute("SET session_replication_role = replica; SET TimeZone = 'UTC'")
    tamperer = Tamperer(root, random.Random(seed), *await _list_places(root))
    missed: list[str] = []
    changed: Counter[str] = Counter()
    began = time.monotonic()
    for nth in range(places):
        what, undo = await tamperer.change()
        changed[what.split(":")[0]] += 1
        report = await verify_all(sessions)
        if report.holds:
            missed.append(what)
        await tamperer.take_back(undo)
        if nth % CHECKED_EVERY == 0:
            assert (await verify_all(sessions)).holds, f"not taken back: {what}"
        if (nth + 1) % 100 == 0:
            print(f"{nth + 1} of {places} changes, {len(missed)} missed", flush=True)
    after = await verify_all(sessions)
    if not after.holds:
        missed.append(f"the books do not hold after all was taken back: {after.checks}")
    print(f"{places} changes at {len(changed)} kinds of places in {time.monotonic() - began:.0f} s", flush=True)
    await root.close()
    await engine.dispose()
    return missed


async def main(postgres: EmbeddedPostgres, places: int) -> list[str]:
    seed = random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    return [f"not found: {what}" for what in await tamper(await make_database(postgres), places=places, seed=seed)]


async def _list_places(root: asyncpg.Connection) -> tuple[list[Place], dict[str, list[str]]]:
    places: list[Place] = []
    columns: dict[str, list[str]] = {}
    for table, wanted in COLUMNS.items():
        rows = await root.fetch(
            "SELECT attname AS name, format_type(atttypid, NULL) AS kind FROM pg_attribute "
            "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' "
            "ORDER BY attnum",
            table,
        )
        columns[table] = [row["name"] for row in rows]
        places += [
            Place(table, row["name"], row["kind"]) for row in rows if wanted == "*" or row["name"] in wanted.split()
        ]
    return places, columns


def _because(kind: str) -> Movement:
    return Movement(kind=kind, account="cash:bank" if kind == "deposit" else "promotions", reason=kind, actor_id=None)


async def _mint(root: asyncpg.Connection, organization: UUID, user: UUID) -> UUID:
    key = new_id()
    await root.execute(
        "INSERT INTO api_keys (organization_id, id, user_id, name, prefix, last_four) "
        "VALUES ($1, $2, $3, 'tampering', 'sk-op-x', 'xxxx')",
        organization,
        key,
        user,
    )
    return key
