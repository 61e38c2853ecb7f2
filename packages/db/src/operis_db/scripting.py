"""Running a script of many statements inside a migration, which SQLAlchemy's asyncpg dialect cannot."""

from collections.abc import Coroutine
from typing import Protocol, cast

from alembic import op


class Driver(Protocol):
    def execute(self, script: str) -> Coroutine[None, None, str]: ...


def run_script(script: str) -> None:
    """Run `script` in the migration's own transaction, which `op.execute` must have begun."""
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None

    def execute(driver: object) -> Coroutine[None, None, str]:
        return cast("Driver", driver).execute(script)

    connection.run_async(execute)
