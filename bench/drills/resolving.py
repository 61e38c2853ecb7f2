"""After the faults: the holds of the dead come to their end, as they do when a minute has passed."""

import asyncio
from contextlib import suppress

from tests.money.moving import LAPSE
from tests.running import Database

from bench.drills.processes import run_processes

RESOLVED_WITHIN_SECONDS = 60


async def resolve_holds(database: Database) -> None:
    """Let all leases lapse and the sweeper have its turns; what it leaves open is for the judge to find."""
    await database.fetch(LAPSE)
    async with run_processes(database, 1):
        with suppress(TimeoutError):
            async with asyncio.timeout(RESOLVED_WITHIN_SECONDS):
                while await database.fetch("SELECT FROM holds"):
                    await asyncio.sleep(0.2)
