"""Hearing what transactions tell with NOTIFY, on a direct connection that is opened again whenever it breaks.

A notice may be lost with the connection: whoever listens also looks from time to time by themselves.
"""

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from operis_api.kit.connection import CONNECT_SECONDS, GONE

PROBE_SECONDS = 5
RETRY_SECONDS_MAX = 30
log = structlog.get_logger()


async def listen(url: str, role: str, channel: str, heard: Callable[[], None]) -> None:
    """Call `heard` for every notice, and once after each connection, since some may have been missed; runs for ever."""

    def told(*_notice: object) -> None:
        heard()

    pause = 0.5
    while True:
        try:
            connection = await asyncpg.connect(  # pyright: ignore[reportUnknownMemberType]
                url, timeout=CONNECT_SECONDS, server_settings={"role": role, "application_name": "operis-listen"}
            )
        except (*GONE, asyncpg.PostgresError) as error:
            log.warning("listener_away", channel=channel, error=str(error)[:200])
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_SECONDS_MAX)
            continue
        try:
            await connection.add_listener(channel, told)
            heard()
            pause = 0.5
            while True:  # a connection that died in silence is noticed by this alone
                await asyncio.sleep(PROBE_SECONDS)
                await connection.execute("SELECT", timeout=CONNECT_SECONDS)
        except GONE:
            log.warning("listener_lost", channel=channel)
        finally:
            connection.terminate()
