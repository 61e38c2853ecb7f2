"""The schema is built by migrations alone: from empty, both ways, by several processes at once, equal to the models."""

import asyncio
import re
import secrets
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from operis_api.migrating import alembic_config, check_migrations, newest_revision, with_database
from operis_api.settings import read_settings
from operis_db.embedded import EmbeddedPostgres
from operis_db.tables import metadata
from tests.running import Database, environment

VERSIONS = Path(__file__).resolve().parents[2] / "migrations" / "versions"


@pytest.fixture
async def empty(postgres: EmbeddedPostgres) -> AsyncGenerator[Database]:
    """A database with nothing in it."""
    name = f"empty_{secrets.token_hex(6)}"
    owner = await asyncpg.connect(postgres.owner_url("postgres"))
    await owner.execute(f"CREATE DATABASE {name}")
    await owner.close()
    yield Database(
        app_url=with_database(postgres.app_url(), name),
        owner_url=with_database(postgres.owner_url(), name),
        superuser_url=with_database(postgres.superuser_url(), name),
    )
    superuser = await asyncpg.connect(postgres.superuser_url("postgres"))  # the owner cannot end an autovacuum's work
    await superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await superuser.close()


async def migrate_as_owner(database: Database, *steps: str) -> None:
    def run(connection: Connection) -> None:
        for step in steps:
            way = command.upgrade if step == "head" else command.downgrade
            way(alembic_config(connection), step)

    engine = create_async_engine(database.owner_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


async def tables_of(database: Database) -> set[str]:
    rows = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


async def functions_of(database: Database) -> set[str]:
    rows = await database.fetch(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS ("
        "SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
    )
    return {row["proname"] for row in rows}


async def test_the_way_up_makes_every_table_of_the_models_and_the_way_down_leaves_nothing(empty: Database) -> None:
    await migrate_as_owner(empty, "head")
    made = {name for name in await tables_of(empty) if not re.fullmatch(r"usage_records_\d{4}_\d{2}", name)}
    assert made == {"alembic_version", *metadata.tables}
    assert {"place_holds", "settle_holds", "make_usage_partitions", "refuse_change"} <= await functions_of(empty)
    assert [row[0] for row in await empty.fetch("SELECT version_num FROM alembic_version")] == [newest_revision()]

    await migrate_as_owner(empty, "base")
    assert await tables_of(empty) == {"alembic_version"}
    assert await functions_of(empty) == set()

    await migrate_as_owner(empty, "head")
    assert [row["name"] for row in await empty.fetch("SELECT name FROM plans")] == ["Free"]


async def test_the_models_say_what_the_migrations_do(database: Database) -> None:
    with tempfile.TemporaryDirectory() as home:
        await check_migrations(read_settings(environment(database, Path(home), 3001)))


async def test_processes_that_start_together_migrate_once(empty: Database) -> None:
    async def migrate(home: str) -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "operis_api.cli",
            "migrate",
            env=environment(empty, Path(home), 3001),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode, said

    with tempfile.TemporaryDirectory() as home:
        for status, said in await asyncio.gather(*(migrate(home) for _ in range(3))):
            assert (status, said) == (0, b"migrations: up to date\n")
    assert (await empty.fetch("SELECT count(*) FROM plans"))[0]["count"] == 1


def test_each_migration_is_dated_follows_one_other_and_does_not_wait_for_locks() -> None:
    files = sorted(VERSIONS.glob("*.py"))
    before: str | None = None
    for path in files:
        text = path.read_text()
        dated = re.match(r"(\d{4}_\d{2}_\d{2}_\d{4})_[a-z0-9_]+\.py$", path.name)
        assert dated is not None, path.name
        assert f'revision = "{dated[1]}"' in text
        assert f"down_revision = {before!r}".replace("'", '"') in text, path.name
        upgrade = text[text.index("def upgrade") :]
        assert "lock_timeout" in upgrade, path.name
        before = dated[1]
    assert before == newest_revision()
