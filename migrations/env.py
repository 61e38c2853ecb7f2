"""How Alembic reaches the database: through a connection it is handed, or by OPERIS_MIGRATE_DATABASE_URL."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from operis_db.tables import metadata


def keep_table(_object: object, name: str | None, kind: str, *_rest: object) -> bool:
    """Compare everything but the monthly partitions, which are made by the running product."""
    return not (kind == "table" and name is not None and name.startswith("usage_records_"))


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,
        include_object=keep_table,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    url = os.environ["OPERIS_MIGRATE_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


handed: Connection | None = context.config.attributes.get("connection")
if handed is not None:
    run(handed)
else:
    asyncio.run(connect_and_run())
