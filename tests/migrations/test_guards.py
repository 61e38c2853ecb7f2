"""The database itself refuses to change history, whoever asks."""

import asyncio
import secrets

import asyncpg
import pytest

from tests.factories import Account, mint
from tests.running import Api, Database

HISTORY = {
    "entries": "amount_nano = 0",
    "postings": "reason = 'another'",
    "prices": "input = 0",
    "usage_records": "charge_nano = 0",
    "audit_events": "reason = 'another'",
    "audit_links": "digest = ''",
    "voids": "written = 0",
    "ledger_blocks": "number = 0",
}
STATEMENTS = [
    (table, statement)
    for table, change in HISTORY.items()
    for statement in (
        f"UPDATE {table} SET {change}",
        f"UPDATE {table} SET {change} WHERE false",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
        f"TRUNCATE {table} CASCADE",
    )
]
PARTITIONS = "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'usage_records'::regclass"
REFUSED_TO_THE_APP = [
    "ALTER TABLE entries DISABLE TRIGGER append_only",
    "DROP TRIGGER append_only ON entries",
    "ALTER TABLE wallets DROP CONSTRAINT ck_wallets_available",
    "CREATE TABLE mine (id integer)",
    "DROP TABLE audit_events",
    "SET session_replication_role = replica",
    "DELETE FROM users",
    "DELETE FROM wallets",
    "DELETE FROM grants",
    "DELETE FROM api_keys",
    "TRUNCATE holds",
    "INSERT INTO alembic_version VALUES ('1')",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
]


def refusals(database: Database) -> dict[str, type[asyncpg.PostgresError]]:
    """Return how each role is refused: the app has no right to, the others meet the trigger."""
    return {
        database.app_url: asyncpg.InsufficientPrivilegeError,
        database.owner_url: asyncpg.RestrictViolationError,
        database.superuser_url: asyncpg.RestrictViolationError,
    }


@pytest.fixture
async def organization_id(database: Database) -> str:
    return str((await database.fetch("SELECT organization_id FROM wallets LIMIT 1"))[0][0])


@pytest.fixture
async def busy(api: Api, ada: Account) -> Database:
    """A database with rows in every table of history; voids and blocks may be there or not."""
    await api.openai(await mint(ada)).chat.completions.create(
        model="operis/echo", messages=[{"role": "user", "content": "hi"}]
    )
    for table in HISTORY.keys() - {"voids", "ledger_blocks"}:
        assert (await api.database.fetch(f"SELECT count(*) FROM {table}"))[0]["count"] > 0
    return api.database


@pytest.mark.parametrize(("table", "statement"), STATEMENTS, ids=lambda text: text)
async def test_history_is_not_changed_by_the_app_its_owner_or_the_superuser(
    busy: Database, table: str, statement: str
) -> None:
    before = await busy.fetch(f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {table} t")
    for url, refusal in refusals(busy).items():
        connection = await asyncpg.connect(url)
        with pytest.raises(refusal):
            await connection.execute(statement)
        await connection.close()
    assert await busy.fetch(f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {table} t") == before


@pytest.mark.parametrize("verb", ["UPDATE {} SET charge_nano = 0", "DELETE FROM {}", "TRUNCATE {}"])
async def test_history_is_not_changed_by_way_of_a_partition(database: Database, verb: str) -> None:
    rows = await database.fetch(PARTITIONS)
    assert len(rows) >= 13
    for url, refusal in refusals(database).items():
        connection = await asyncpg.connect(url)
        for row in rows:
            with pytest.raises(refusal):
                await connection.execute(verb.format(row["name"]))
        await connection.close()


@pytest.mark.parametrize("statement", REFUSED_TO_THE_APP, ids=lambda text: text[:48])
async def test_the_apps_role_cannot_do_without_the_guards(database: Database, statement: str) -> None:
    for role in ("", "SET ROLE operis_app;"):
        connection = await asyncpg.connect(database.app_url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(role + statement)
        await connection.close()


async def insert_entries(connection: asyncpg.Connection, organization_id: str, *amounts: int) -> None:
    accounts = ["revenue", "platform_loss", "promotions"]
    posting = secrets.token_hex(16)
    rows = ", ".join(
        f"('{organization_id}', '{posting}', '{account}', {amount})"
        for account, amount in zip(accounts, amounts, strict=False)
    )
    await connection.execute(f"INSERT INTO entries (organization_id, posting_id, account, amount_nano) VALUES {rows}")


@pytest.mark.parametrize("amounts", [(1,), (5, -4), (-1, -1), (10, -5, -4)])
async def test_a_posting_that_does_not_sum_to_zero_is_refused_to_everybody(
    database: Database, organization_id: str, amounts: tuple[int, ...]
) -> None:
    for url in (database.app_url, database.owner_url, database.superuser_url):
        connection = await asyncpg.connect(url)
        with pytest.raises(asyncpg.CheckViolationError, match="do not sum to zero"):
            await insert_entries(connection, organization_id, *amounts)
        await connection.close()


async def test_a_posting_that_sums_to_zero_is_taken(database: Database, organization_id: str) -> None:
    connection = await asyncpg.connect(database.app_url)
    transaction = connection.transaction()
    await transaction.start()
    await insert_entries(connection, organization_id, 10, -4, -6)
    await transaction.rollback()
    await connection.close()


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("available_nano = -1", "ck_wallets_available"),
        ("held_nano = -1", "ck_wallets_held"),
    ],
)
async def test_a_wallet_never_goes_below_zero(
    database: Database, organization_id: str, change: str, constraint: str
) -> None:
    for url in (database.app_url, database.owner_url, database.superuser_url):
        connection = await asyncpg.connect(url)
        with pytest.raises(asyncpg.CheckViolationError, match=constraint):
            await connection.execute(f"UPDATE wallets SET {change} WHERE organization_id = '{organization_id}'")
        await connection.close()


async def test_partitions_are_made_once_however_often_and_by_however_many(database: Database) -> None:
    async def make(months: int) -> int:
        connection = await asyncpg.connect(database.app_url)
        made: int = await connection.fetchval("SELECT make_usage_partitions($1)", months)
        await connection.close()
        return made

    assert await make(12) == 0
    assert sum(await asyncio.gather(*(make(15) for _ in range(8)))) == 3
    assert await make(15) == 0
    rows = await database.fetch(PARTITIONS)
    assert len(rows) == 17  # the month before, this one, and fifteen ahead
