"""One request is one transaction: begun when a handler asks for `session`, committed before its answer is sent."""

from collections.abc import AsyncGenerator
from typing import cast

from litestar.datastructures import State
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from operis_api.kit.crashing import crash_here

Sessions = async_sessionmaker[AsyncSession]
POOL_CONNECTIONS = 10
STATEMENT_TIMEOUT_MS = 15_000


def create_engine(url: str, role: str) -> AsyncEngine:
    """Return an engine whose connections work as `role`, whatever user they sign in as."""
    return create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1),
        pool_size=POOL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={
            "timeout": 5,
            "server_settings": {
                "role": role,
                "application_name": "operis",
                "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                "lock_timeout": "10000",
                "jit": "off",
            },
        },
    )


async def provide_session(state: State) -> AsyncGenerator[AsyncSession, None]:
    """Yield the request's session. A refusal rolls back; so does a commit that fails, and it is answered as a failure.

    Our own rather than the framework plugin's autocommit, which answers success when the commit failed: docs/adr/0009.
    """
    sessions = cast("Sessions", state["sessions"])
    async with sessions.begin() as session:
        yield session
    crash_here("after_commit")
