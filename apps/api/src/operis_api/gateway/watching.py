"""Ending the streams of those who have lost their right to them: at once when told, and soon when nobody tells."""

import asyncio

import structlog

from operis_api.gateway.live import LiveCalls
from operis_api.keys.standing import find_fallen, standing_of
from operis_api.kit.sessions import Sessions

LOOK_SECONDS = 3.0
"""How often it is looked without being told; also what finds ends that nobody tells of: expiry, and overlaps."""
SECOND_LOOK_SECONDS = 0.5
"""After being told, once more: a call may have been let in just before, and not have been among the live ones yet."""
PAUSE_SECONDS = 0.05
log = structlog.get_logger()


class Watch:
    def __init__(self, live: LiveCalls, sessions: Sessions) -> None:
        self._live = live
        self._sessions = sessions
        self._told = asyncio.Event()

    def tell(self) -> None:
        """Somebody's rights have changed."""
        self._told.set()

    async def run(self) -> None:
        """Look again and again until cancelled; a failure is logged, and the next turn tries again."""
        wait = LOOK_SECONDS
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._told.wait()
                wait = SECOND_LOOK_SECONDS
            except TimeoutError:
                wait = LOOK_SECONDS
            self._told.clear()
            try:
                await self._end_fallen()
            except Exception:
                log.exception("watch_failed")
            await asyncio.sleep(PAUSE_SECONDS)  # many changes at once are one look

    async def _end_fallen(self) -> None:
        calls = list(self._live)
        if not calls:
            return
        async with self._sessions() as session:
            fallen = await find_fallen(session, {standing_of(call.caller) for call in calls})
        for call in calls:
            if refusal := fallen.get(standing_of(call.caller)):
                call.end(refusal)
