"""One PostgreSQL connection of the hot path: opened when first used, and again after it broke."""

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

import asyncpg

from operis_api.kit.errors import Unavailable

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 20
GONE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a statement meets when its connection breaks in the very moment it begins
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
"""How a database that is away, restarting or full shows itself."""

# Checked plans for small, hot tables: a plan made while a table was still empty must not scan it for ever.
PLANNING = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


class Record(Protocol):
    def __getitem__(self, name: str) -> object: ...


class Raw(Protocol):
    """What is used of an asyncpg connection, typed."""

    async def fetch(self, query: str, *arguments: object, timeout: float) -> Sequence[Record]: ...  # noqa: ASYNC109
    def is_closed(self) -> bool: ...
    async def close(self) -> None: ...
    def terminate(self) -> None: ...


class HotConnection:
    """Runs one statement at a time. After a failure of the connection the next statement opens a new one."""

    def __init__(self, url: str, role: str) -> None:
        self._url = url
        self._role = role
        self._raw: Raw | None = None
        self._turn = asyncio.Lock()

    async def fetch(self, query: str, *arguments: object) -> Sequence[Record]:
        """Run `query` as its own transaction; raises `Unavailable` where the database is away.

        After `Unavailable` nobody knows whether the transaction was committed: what is run here is idempotent.
        """
        async with self._turn:
            try:
                if self._raw is None or self._raw.is_closed():
                    self._raw = await self._connect()
                return await self._raw.fetch(query, *arguments, timeout=STATEMENT_SECONDS)
            except GONE as error:
                if self._raw is not None:
                    self._raw.terminate()
                    self._raw = None
                raise Unavailable from error

    async def close(self) -> None:
        if self._raw is not None:
            await self._raw.close()

    async def _connect(self) -> Raw:
        settings = {**PLANNING, "role": self._role, "application_name": "operis"}
        connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS, server_settings=settings)  # pyright: ignore[reportUnknownMemberType]
        return cast("Raw", connection)
