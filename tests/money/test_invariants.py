"""`operis verify` finds a value that somebody changed behind the ledger's back, and names it."""

import pytest

from operis_client import AsyncOperis
from operis_db.embedded import EmbeddedPostgres
from tests.factories import sign_up
from tests.money.moving import end_grant, give, hold_request, open_holds, run_expiry, settlement
from tests.running import Api, Database, make_database, run_api

GUARDED = ("entries", "postings", "usage_records")


async def fill(api: Api, database: Database) -> None:
    """Make books with one of each: grants, a free window, charges, a loss, an expiry, a debit, a reversal, a hold."""
    admin: AsyncOperis = await api.admin()
    ada = await sign_up(api)
    plan = (await admin.list_plans()).items[0]
    await admin.update_plan(plan.id, free_window_amount="0.0000001", free_window_seconds=60)
    ending = await give(database, ada, 9000)
    async with open_holds(database) as holds:
        for charge_nano in (250, 1200, 0):
            request = await hold_request(database, ada, quote_nano=1000)
            await holds.place(request)
            await holds.settle(settlement(request, charge_nano=charge_nano))
            if charge_nano == 250:
                await admin.reverse_charge(ada.organization_id, str(request.hold_id), reason="for a test")
        await end_grant(database, ending)
        await run_expiry(database)
        await admin.adjust_wallet(ada.organization_id, amount="-0.0000004", reason="for a test")
        await holds.place(await hold_request(database, ada, quote_nano=333))


CHANGES = [
    "UPDATE wallets SET available_nano = available_nano + 1",
    "UPDATE wallets SET held_nano = held_nano + 1, available_nano = available_nano - 1 WHERE available_nano > 0",
    "UPDATE wallets SET sequence = sequence + 1",
    "UPDATE grants SET amount_nano = amount_nano + 1",
    "UPDATE grants SET remaining_nano = remaining_nano - 1 WHERE remaining_nano > held_nano",
    "UPDATE grants SET held_nano = held_nano + 1 WHERE remaining_nano > held_nano",
    "UPDATE holds SET amount_nano = amount_nano + 1",
    "UPDATE holds SET grant_amounts_nano = ARRAY[1]",
    "UPDATE entries SET amount_nano = amount_nano + 1 WHERE account = 'wallet'",
    "UPDATE entries SET amount_nano = amount_nano - 1 WHERE account = 'platform_loss'",
    "UPDATE entries SET balance_after_nano = balance_after_nano + 1 WHERE account = 'wallet'",
    "UPDATE entries SET sequence = sequence + 1000 WHERE account = 'wallet'",
    "DELETE FROM entries WHERE account = 'wallet' AND amount_nano < 0",
    "DELETE FROM postings WHERE kind = 'expiry'",
    "UPDATE postings SET kind = 'adjustment' WHERE kind = 'charge'",
    "UPDATE postings SET grant_amounts_nano = ARRAY[-1::bigint] WHERE kind = 'expiry'",
    "UPDATE postings SET reverses_id = id WHERE kind = 'reversal'",
    "UPDATE usage_records SET charge_nano = charge_nano + 1",
    "UPDATE usage_records SET grant_amounts_nano = grant_amounts_nano || 1::bigint, grant_ids = grant_ids || id",
    "DELETE FROM usage_records WHERE charge_nano > 0",
    "DELETE FROM grants WHERE source = 'refund'",
]


@pytest.fixture(scope="module")
async def books(postgres: EmbeddedPostgres) -> Database:
    database = await make_database(postgres)
    async with run_api(database) as api:
        await fill(api, database)
    assert await database.broken_invariants() == []
    return database


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_by_a_superuser_is_found(books: Database, change: str) -> None:
    """The change is made, found and taken back."""
    table = change.split()[1] if change.startswith("UPDATE") else change.split()[2]
    await books.fetch(f"CREATE TABLE kept AS SELECT * FROM {table}")
    if table in GUARDED:
        await books.fetch(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    try:
        await books.fetch(change)
        assert await books.broken_invariants() != []
    finally:
        await books.fetch(f"DELETE FROM {table}")
        columns = await books.fetch(
            "SELECT string_agg(attname, ', ') AS names FROM pg_attribute "
            "WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
            table,
        )
        names = columns[0]["names"]
        await books.fetch(f"INSERT INTO {table} ({names}) SELECT {names} FROM kept")
        if table in GUARDED:
            await books.fetch(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        await books.fetch("DROP TABLE kept")
    assert await books.broken_invariants() == []
