"""What every deployment does before it starts: migrate, and make the first administrator where there is none.

`operis up` calls it; a deployment of its own runs `python -m operis_api.preparing` once, with the owner's address.
"""

import asyncio
import sys

import asyncpg
import sqlalchemy.exc

from operis_api.bootstrap import Credentials, ensure_admin
from operis_api.migrating import migrate
from operis_api.settings import SettingError, Settings, read_settings

DATABASE_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlalchemy.exc.SQLAlchemyError)


class PreparingError(Exception):
    """The database cannot be brought up to date. The message is one line with the settings to look at."""


async def prepare_database(settings: Settings) -> Credentials | None:
    """Return the sign-in of the administrator who was made, or None where there was one; raises `PreparingError`."""
    try:
        await asyncio.to_thread(migrate, settings)
        return await ensure_admin(settings)
    except DATABASE_ERRORS as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise PreparingError(
            f"the database cannot be prepared: {reason[0]} (see DATABASE_URL and OPERIS_MIGRATE_DATABASE_URL)."
        ) from error


def describe_sign_in(settings: Settings, made: Credentials) -> list[str]:
    """Return the lines that tell, this once, how to sign in; a password that was given is not repeated."""
    given = made.password == settings.admin_password
    password = "the one in OPERIS_ADMIN_PASSWORD" if given else f"{made.password}   (shown only now)"
    next_step = (
        ["  Next       enrol a second factor: nothing else opens before"]
        if settings.operators_need_second_factor
        else []
    )
    return [f"  Sign in    {made.email}", f"  Password   {password}", *next_step]


def main() -> int:
    try:
        settings = read_settings()
        made = asyncio.run(prepare_database(settings))
    except (SettingError, PreparingError) as error:
        print(f"operis: {error}", file=sys.stderr)
        return 1
    print("\n".join(["The database is up to date.", *(describe_sign_in(settings, made) if made else [])]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
