"""PostgreSQL is stopped hard under load, again and again: what was acknowledged is in the ledger, exactly once.

Its processes are killed as a power cut would, and it is started again at once. The API's processes live through all
of it.
"""

import asyncio
import random
import time

from tests.running import Database, kill_postgres, make_database

from bench.drills.judging import Verdict, judge, show_table
from bench.drills.load import Load, prepare_load, run_load
from bench.drills.processes import run_processes
from bench.drills.progress import progress
from bench.drills.provider import run_provider
from bench.drills.resolving import resolve_holds
from operis_db.embedded import EmbeddedPostgres

PLACE = "database stopped"
PROCESSES = 2
CALLERS = 48
OPERATORS = 3
SECONDS_BETWEEN_WORDS = 0.01
BACK_WITHIN_SECONDS = 60


async def stop_postgres(
    postgres: EmbeddedPostgres, database: Database, *, stops: int, callers: int
) -> tuple[Load, Verdict, int]:
    """Stop the server so often under load; returns what was told, the verdict, and the calls then in flight."""
    in_flight = 0
    async with (
        run_provider(SECONDS_BETWEEN_WORDS) as provider,
        run_processes(database, PROCESSES, place=PLACE) as processes,
    ):
        load = await prepare_load(database, provider)
        load.live += processes
        async with run_load(load, callers=callers, operators=OPERATORS):
            for nth in range(stops):
                served = sum(call.charged_nano is not None for call in load.calls)
                async with asyncio.timeout(BACK_WITHIN_SECONDS):
                    while sum(call.charged_nano is not None for call in load.calls) == served:
                        await asyncio.sleep(0.02)
                await asyncio.sleep(random.uniform(0, 0.7))
                in_flight += load.in_flight(PLACE)
                kill_postgres(postgres)
                await asyncio.to_thread(start_again, postgres)
                progress(nth + 1, stops, "stops")
            load.stopped = True
        await resolve_holds(database)
        verdict = await judge(database, load, provider)
        verdict.findings += [f"an API process ended: {process.log}" for process in processes if not process.lives]
    return load, verdict, in_flight


def start_again(postgres: EmbeddedPostgres) -> None:
    """Start the server that was killed; it runs on under the first lease."""
    again = EmbeddedPostgres(postgres.directory.parent)
    again.acquire()
    again.release()


async def main(postgres: EmbeddedPostgres, stops: int) -> list[str]:
    began = time.monotonic()
    load, verdict, in_flight = await stop_postgres(
        postgres, await make_database(postgres), stops=stops, callers=CALLERS
    )
    show_table(verdict, {PLACE: (stops, in_flight)})
    told = sum(call.charged_nano is not None for call in load.calls)
    refused = sum(call.status == 503 for call in load.calls)
    print(
        f"{stops} stops in {time.monotonic() - began:.0f} s; {len(load.calls)} calls, {told} told what they cost, "
        f"{refused} refused with 503 ({dict(verdict.outcomes)}); {len(load.movements)} movements"
    )
    return verdict.findings
