"""What a superuser changes behind our back is found: a short run of the drill, and the chain's own ways to break."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
from bench.drills.tampering import STAY_OPEN, fill, tamper

from operis_api.books.verifying import CHAINED, KEPT_HEAD, Report, verify_all, verify_new
from operis_api.kit.sessions import Sessions
from operis_api.ledger.proof.chain import cut_blocks, read_head
from operis_api.ledger.proof.keeping import Mark
from operis_api.migrating import upgrade
from operis_api.settings import read_settings
from operis_db.embedded import EmbeddedPostgres
from tests.money.moving import open_sessions
from tests.running import Database, environment, make_database


async def test_sixty_changes_at_random_places_are_all_found(postgres: EmbeddedPostgres) -> None:
    assert await tamper(await make_database(postgres), places=60, seed=2026) == []


@pytest.fixture
async def books(postgres: EmbeddedPostgres) -> Database:
    """Books in three blocks."""
    database = await make_database(postgres)
    async with open_sessions(database) as sessions:
        for _ in range(3):
            await fill(database, sessions)
            await cut_blocks(sessions)
    await database.fetch(STAY_OPEN)
    assert await blocks_of(database) == 3
    return database


@pytest.fixture
async def sessions(books: Database) -> AsyncGenerator[Sessions]:
    async with open_sessions(books) as opened:
        yield opened


async def blocks_of(database: Database) -> int:
    return int((await database.fetch("SELECT count(*) FROM ledger_blocks"))[0][0])


async def as_attacker(database: Database, *statements: str) -> None:
    connection = await asyncpg.connect(database.superuser_url)
    await connection.execute("SET session_replication_role = replica")
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def findings(report: Report) -> dict[str, list[str]]:
    return {check.name: check.findings for check in report.checks if check.findings}


async def test_the_finding_names_the_row_that_was_changed(books: Database, sessions: Sessions) -> None:
    rows = await books.fetch("SELECT id FROM postings WHERE kind = 'reversal' ORDER BY id LIMIT 1")
    await as_attacker(books, f"UPDATE postings SET reason = 'another' WHERE id = '{rows[0]['id']}'")
    found = findings(await verify_all(sessions))
    assert list(found) == [CHAINED]
    assert len(found[CHAINED]) == 1
    assert str(rows[0]["id"]) in found[CHAINED][0]
    assert found[CHAINED][0].startswith("block 1: 1 postings are not as they were sealed")


async def test_an_end_cut_off_is_found_against_the_head_that_was_kept(books: Database, sessions: Sessions) -> None:
    async with sessions() as session:
        kept = (await read_head(session)).hash.hex()
    assert findings(await verify_all(sessions, kept_head=kept)) == {}
    await as_attacker(books, "DELETE FROM ledger_blocks WHERE number = 3")
    assert findings(await verify_all(sessions)) == {}
    assert list(findings(await verify_all(sessions, kept_head=kept))) == [KEPT_HEAD]
    await cut_blocks(sessions)
    assert await blocks_of(books) == 3
    assert list(findings(await verify_all(sessions, kept_head=kept))) == [KEPT_HEAD]


CHANGES_OF_THE_CHAIN = [
    "DELETE FROM ledger_blocks WHERE number = 1",
    "DELETE FROM ledger_blocks WHERE number = 2",
    "UPDATE ledger_blocks SET hash = sha256(hash) WHERE number = 2",
    "UPDATE ledger_blocks SET hash = sha256(hash) WHERE number = 3",
    "UPDATE ledger_blocks SET previous_hash = hash WHERE number = 2",
    "UPDATE ledger_blocks SET low = low + 1 WHERE number = 3",
    "UPDATE ledger_blocks SET high = high + 1 WHERE number = 3",
    "UPDATE ledger_blocks SET cut_at = cut_at + interval '1 microsecond' WHERE number = 1",
    "UPDATE ledger_blocks SET records = records + 1 WHERE number = 1",
    "UPDATE ledger_blocks SET record_marks = '' WHERE number = 1",
    "UPDATE ledger_blocks SET ledger_hash = sha256('') WHERE number = 1",
    "UPDATE ledger_blocks SET number = 4 WHERE number = 3",
    """UPDATE chain_forms SET columns = jsonb_set(columns, '{entries}', '["account"]')""",
]


async def test_each_change_of_the_chain_itself_is_found(books: Database, sessions: Sessions) -> None:
    await as_attacker(
        books,
        "CREATE TABLE blocks_kept AS SELECT * FROM ledger_blocks",
        "CREATE TABLE forms_kept AS SELECT * FROM chain_forms",
    )
    for change in CHANGES_OF_THE_CHAIN:
        await as_attacker(books, change)
        assert CHAINED in findings(await verify_all(sessions)), change
        await as_attacker(
            books,
            "DELETE FROM ledger_blocks",
            "DELETE FROM chain_forms",
            "INSERT INTO chain_forms SELECT * FROM forms_kept",
            "INSERT INTO ledger_blocks SELECT * FROM blocks_kept",
        )
    assert findings(await verify_all(sessions)) == {}


async def test_a_row_that_claims_to_come_from_the_future_is_found(books: Database, sessions: Sessions) -> None:
    await as_attacker(books, "UPDATE postings SET written = 1000000000 WHERE kind = 'refund'")
    assert any("yet to come" in finding for finding in findings(await verify_all(sessions))[CHAINED])


async def test_the_incremental_check_misses_the_blocks_it_has_checked_when_they_are_gone(
    books: Database, sessions: Sessions
) -> None:
    report, mark, losses = await verify_new(sessions, Mark(0, b""))
    assert report.holds
    assert mark.number == 3
    assert {loss.amount_nano for loss in losses} == {50}
    await as_attacker(books, "DELETE FROM ledger_blocks")
    await cut_blocks(sessions)
    assert list(findings((await verify_new(sessions, mark))[0])) == [CHAINED]


async def test_the_incremental_check_finds_what_is_wrong_in_new_rows_and_wallets_they_touched(
    books: Database, sessions: Sessions
) -> None:
    _, mark, _ = await verify_new(sessions, Mark(0, b""))
    await fill(books, sessions)
    await cut_blocks(sessions)
    await as_attacker(books, STAY_OPEN)
    assert (await verify_new(sessions, mark))[0].holds
    newest = "(SELECT id FROM postings WHERE kind = 'charge' ORDER BY written DESC, id LIMIT 1)"
    for change, back in (
        (f"UPDATE usage_records SET input = input + 1 WHERE id = {newest}", "input = input - 1"),
        (
            f"UPDATE usage_records SET charge_nano = charge_nano + 1 WHERE id = {newest}",
            "charge_nano = charge_nano - 1",
        ),
    ):
        await as_attacker(books, change)
        assert not (await verify_new(sessions, mark))[0].holds
        await as_attacker(books, f"UPDATE usage_records SET {back} WHERE id = {newest}")
    assert (await verify_new(sessions, mark))[0].holds
    await as_attacker(
        books,
        "UPDATE wallets SET available_nano = available_nano + 1 WHERE organization_id = "
        "(SELECT organization_id FROM postings ORDER BY written DESC LIMIT 1)",
    )
    assert set(findings((await verify_new(sessions, mark))[0])) == {
        "each wallet is the sum of its entries",
        "each wallet is the sum of what its grants have left",
    }


async def test_new_rows_make_a_block_and_nothing_new_makes_none(postgres: EmbeddedPostgres) -> None:
    database = await make_database(postgres)
    async with open_sessions(database) as sessions:
        await cut_blocks(sessions)
        before = await blocks_of(database)
        assert await cut_blocks(sessions) == 0
        await fill(database, sessions)
        assert await cut_blocks(sessions) == 1
    assert await blocks_of(database) == before + 1


async def test_an_open_transaction_keeps_later_ones_out_of_the_chain_until_it_ends(
    books: Database, sessions: Sessions
) -> None:
    """What it writes has an early number: were later rows sealed before it, it would be written behind the seal."""
    early = await asyncpg.connect(books.superuser_url)
    transaction = early.transaction()
    await transaction.start()
    await early.fetchval("SELECT pg_current_xact_id()::text")
    await fill(books, sessions)
    assert await cut_blocks(sessions) == 0
    await transaction.rollback()
    await early.close()
    assert await cut_blocks(sessions) == 1


async def test_what_is_written_meanwhile_waits_for_the_next_block(books: Database, sessions: Sessions) -> None:
    """Else a busy ledger would be cut into a block for each few calls."""
    writing = asyncio.create_task(fill(books, sessions))
    made = 0
    while not writing.done():
        made = max(made, await cut_blocks(sessions))
    await writing
    assert made == 1


async def test_a_restored_database_goes_on_where_its_chain_ended(books: Database, sessions: Sessions) -> None:
    """Another server's transactions have smaller numbers: `operis migrate` moves the ledger's clock past the chain."""
    await as_attacker(books, "UPDATE postings SET written = 5000000000 WHERE kind = 'refund'")
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings(environment(books, Path(home), 3001))
        await upgrade(settings)
        (moved,) = await books.fetch("SELECT ledger_horizon() AS now")
        await upgrade(settings)
        (again,) = await books.fetch("SELECT ledger_horizon() AS now")
    assert 5_000_000_000 < moved["now"] <= again["now"] < 5_000_001_000
    await fill(books, sessions)
    assert await cut_blocks(sessions) == 1
    newest = await books.fetch("SELECT min(written) AS first FROM postings WHERE written > 5000000000")
    assert newest[0]["first"] is not None
