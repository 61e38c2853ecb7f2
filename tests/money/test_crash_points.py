"""Processes that die in each of the named places, and a database that is killed: the short form of the drills."""

from bench.drills.crashes import VISITS, Plan, crash
from bench.drills.outages import stop_postgres

from operis_db.embedded import EmbeddedPostgres
from tests.running import make_database


async def test_a_process_that_dies_in_any_place_loses_nothing_charges_nothing_twice_and_leaves_no_hold(
    postgres: EmbeddedPostgres,
) -> None:
    plans = [Plan(place, min(visits, 2)) for place, visits in VISITS.items()]
    drill, verdict = await crash(await make_database(postgres), plans, slots=1, callers=8)
    assert verdict.findings == []
    assert {place for place, (kills, _) in drill.kills.items() if kills} == set(VISITS)
    assert verdict.outcomes["completed"] > 0


async def test_a_database_that_is_killed_under_load_has_what_was_acknowledged_once(
    own_postgres: EmbeddedPostgres,
) -> None:
    load, verdict, _ = await stop_postgres(own_postgres, await make_database(own_postgres), stops=2, callers=12)
    assert verdict.findings == []
    assert any(call.charged_nano for call in load.calls)
    assert any(movement.posting_id for movement in load.movements)
