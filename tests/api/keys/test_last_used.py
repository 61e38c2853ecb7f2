"""When a key was last used: known soon, written seldom."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import async_sessionmaker

from operis_api.keys.uses import KeyUses, Use
from operis_api.kit.sessions import create_engine
from operis_api.migrating import APP_ROLE
from tests.factories import Account
from tests.running import Api, Database, run_api


async def row_of(database: Database, key_id: str) -> tuple[object, ...]:
    """Return the row's version and content: a write, even of the same values, makes another version."""
    rows = await database.fetch(
        "SELECT xmin::text, xmax::text, last_used_at, last_address, last_agent FROM key_uses WHERE key_id = $1::uuid",
        key_id,
    )
    assert len(rows) == 1
    return tuple(rows[0])


async def test_a_key_that_is_used_a_thousand_times_a_second_in_two_processes_is_written_once_a_minute(
    database: Database, ada: Account
) -> None:
    key = (await ada.client.mint_key(name="busy")).key
    engine = create_engine(database.app_url, APP_ROLE)
    processes = [KeyUses(async_sessionmaker(engine)) for _ in range(2)]
    now = datetime.now(UTC)

    def use(process: KeyUses, at: datetime) -> None:
        process.note(
            Use(
                organization_id=UUID(ada.organization_id),
                key_id=UUID(key.id),
                used_at=at,
                address="203.0.113.7",
                agent="busy/1",
            )
        )

    for process in processes:
        use(process, now)
        await process.write()
    written = await row_of(database, key.id)
    for second in range(59):  # 59 seconds of a thousand uses a second, written every second by both
        for call in range(1000):
            use(processes[call % 2], now + timedelta(seconds=second, milliseconds=call))
        await asyncio.gather(*(process.write() for process in processes))
        assert await row_of(database, key.id) == written
    for process in processes:
        use(process, now + timedelta(seconds=61))
    await asyncio.gather(*(process.write() for process in processes))
    later = await row_of(database, key.id)
    assert (written[2], later[2:]) == (now, (now + timedelta(seconds=61), "203.0.113.7", "busy/1"))
    await engine.dispose()


async def test_uses_that_are_no_calls_of_models_are_known_when_the_process_stops(
    database: Database, ada: Account
) -> None:
    async with run_api(database) as api:
        secrets = [await ada.client.mint_key(name=f"used {n}", scopes=["models", "keys"]) for n in range(4)]
        paths = ("/v1/models", "/v1/key", "/api/v1/keys", None)
        for minted, path in zip(secrets, paths, strict=True):
            for _ in range(20 if path else 0):
                await api.http.get(
                    f"{api.base_url}{path}",
                    headers={"authorization": f"Bearer {minted.secret}", "user-agent": "probe/1"},
                )
        await api.stop()
    for minted, path in zip(secrets, paths, strict=True):
        used = (await ada.client.get_key(minted.key.id)).last_used_at
        if path is None:
            assert used is None
            continue
        assert used is not None
        assert datetime.now(UTC) - used < timedelta(minutes=1)
        assert (await row_of(database, minted.key.id))[3:] == ("127.0.0.1", "probe/1")


async def test_a_use_is_written_soon_while_the_process_runs(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="probe")
    await api.client(minted.secret).get_calling_key()
    async with asyncio.timeout(20):
        while (await ada.client.get_key(minted.key.id)).last_used_at is None:
            await asyncio.sleep(0.25)
