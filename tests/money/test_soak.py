"""A short soak: what many clients do at once, replayed from the ledger's first line, is what they were told."""

from bench.drills.soak import soak

from operis_db.embedded import EmbeddedPostgres
from tests.running import make_database


async def test_2000_random_movements_by_64_clients_leave_no_difference(postgres: EmbeddedPostgres) -> None:
    assert await soak(await make_database(postgres), operations=2000, clients=64) == []
