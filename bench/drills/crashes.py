"""Processes die in named places under load: nothing is lost, nothing is charged twice, no hold stays behind."""

import asyncio
import random
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from tests.money.moving import LAPSE, end_grant, give, new_hold, open_holds
from tests.running import Database, make_database

from bench.drills.judging import Verdict, judge, show_table
from bench.drills.load import Load, prepare_load, run_load
from bench.drills.processes import ApiProcess, run_processes
from bench.drills.progress import progress
from bench.drills.provider import run_provider
from bench.drills.resolving import resolve_holds
from operis_db.embedded import EmbeddedPostgres

AT_RANDOM = "at_random"
VISITS = {
    "after_hold": 30,
    "before_first_byte": 20,
    "while_streaming": 1000,
    "before_checkpoint": 2,
    "after_checkpoint": 2,
    "before_settle": 25,
    "after_settle": 25,
    "before_sweep": 2,
    "after_sweep": 2,
    "in_expiry": 1,
    "after_expiry": 1,
    "in_adjustment": 5,
    "in_reversal": 5,
    "after_commit": 8,
    AT_RANDOM: 0,
}
"""Each place, and on which visit a process dies there at the latest. At random: by a signal, at any moment."""
SLOTS = 4
CALLERS = 48
OPERATORS = 3
SECONDS_BETWEEN_WORDS = 0.03
JOBS = ("before_sweep", "after_sweep", "in_expiry", "after_expiry")
JOB_SECONDS, CALL_SECONDS = 8, 40
"""Within which a place is reached. A job's work may have been done by another process: then it is tried again."""
TRIES = 10
ORPHANED_SECONDS = 20
"""A hold that was not renewed for so long (ten times the usual) has lost its process."""
ORPHANS = 3


@dataclass
class Plan:
    place: str
    visits: int
    tries: int = 0


@dataclass
class Drill:
    database: Database
    load: Load
    plans: deque[Plan]
    home: Path
    kills: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each place: processes that died there, and how many calls they had in flight together."""
    unreached: list[Plan] = field(default_factory=list)

    async def run_slot(self) -> None:
        """Start a process, wait until it has died where it was to, and start the next."""
        while self.plans:
            plan = self.plans.popleft()
            await self.lay_work(plan.place)
            settings = {} if plan.place == AT_RANDOM else {"OPERIS_CRASH_AT": f"{plan.place}:{plan.visits}"}
            process = ApiProcess(self.database, self.home, plan.place, **settings)
            if await process.ready():
                self.load.live.append(process)
                await self.see_die(process, plan)
                self.load.live.remove(process)
            else:
                self.note_kill(plan.place)

    async def see_die(self, process: ApiProcess, plan: Plan) -> None:
        if plan.place == AT_RANDOM:
            await asyncio.sleep(random.uniform(0.3, 3))
            self.note_kill(plan.place)
            await process.kill()
        elif await process.died(JOB_SECONDS if plan.place in JOBS else CALL_SECONDS):
            self.note_kill(plan.place)
        else:
            await process.kill()
            plan.tries += 1
            (self.plans if plan.tries < TRIES else self.unreached).append(plan)

    def note_kill(self, place: str) -> None:
        kills, in_flight = self.kills.get(place, (0, 0))
        self.kills[place] = (kills + 1, in_flight + self.load.in_flight(place))
        dead = sum(died for died, _ in self.kills.values())
        progress(dead, dead + len(self.plans), "kills")

    async def lay_work(self, place: str) -> None:
        """Give the jobs something to do: holds of the dead, and a grant that has just ended."""
        if place.endswith("_sweep"):
            await self.lapse_orphans()
        if place.endswith("_expiry"):
            await end_grant(self.database, await give(self.database, self.load.idle, random.randint(1, 10**9)))

    async def lapse_orphans(self) -> None:
        """Let the leases of holds that nobody renews come to their end, and add some that were placed just before."""
        rows = await self.database.fetch("SELECT version FROM catalog_version")
        async with open_holds(self.database) as holds:
            for account, _ in random.sample(self.load.accounts, ORPHANS):
                organization, user = UUID(account.organization_id), UUID(account.user_id)
                request = new_hold(
                    organization, user, quote_nano=1000, floor_nano=1000, catalog_version=rows[0]["version"]
                )
                await holds.place(request)
                await self.database.fetch(f"{LAPSE} AND id = $1", request.hold_id)
        await self.database.fetch(
            f"{LAPSE} AND lease_until < now() + make_interval(secs => 60 - $1)", float(ORPHANED_SECONDS)
        )


async def crash(database: Database, kills: Sequence[Plan], *, slots: int, callers: int) -> tuple[Drill, Verdict]:
    """Let a process die for each plan while callers call, and judge what is left."""
    with tempfile.TemporaryDirectory() as home:
        async with run_provider(SECONDS_BETWEEN_WORDS) as provider:
            drill = Drill(database, await prepare_load(database, provider), deque(kills), Path(home))
            async with run_load(drill.load, callers=callers, operators=OPERATORS) as working:
                await asyncio.gather(*(drill.run_slot() for _ in range(slots)))
                drill.load.stopped = True
                async with run_processes(database, 1) as last:
                    drill.load.live += last  # operators try again until they are answered
                    await working
                    drill.load.live.clear()
            await resolve_holds(database)
            verdict = await judge(database, drill.load, provider)
    verdict.findings += [f"no process came to {plan.place}:{plan.visits}" for plan in drill.unreached]
    return drill, verdict


def plan_kills(kills: int) -> list[Plan]:
    """Spread so many kills over all places, in random order, each on a random visit."""
    places = [list(VISITS)[nth % len(VISITS)] for nth in range(kills)]
    random.shuffle(places)
    return [Plan(place, random.randint(1, max(1, VISITS[place]))) for place in places]


async def main(postgres: EmbeddedPostgres, kills: int) -> list[str]:
    began = time.monotonic()
    database = await make_database(postgres)
    drill, verdict = await crash(database, plan_kills(kills), slots=SLOTS, callers=CALLERS)
    show_table(verdict, {place: drill.kills.get(place, (0, 0)) for place in VISITS})
    dead = sum(died for died, _ in drill.kills.values())
    tries = sum(movement.tries - 1 for movement in drill.load.movements)
    print(
        f"{dead} processes died in {time.monotonic() - began:.0f} s; {len(drill.load.calls)} calls "
        f"({dict(verdict.outcomes)}), {len(drill.load.movements)} movements tried again {tries} times"
    )
    return verdict.findings
