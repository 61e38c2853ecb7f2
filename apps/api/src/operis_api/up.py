"""`operis up`: the whole product on one machine, in the order in which its parts need each other."""

import asyncio
import errno
import fcntl
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from operis_api.bootstrap import Credentials
from operis_api.preparing import PreparingError, describe_sign_in, prepare_database
from operis_api.settings import Settings
from operis_api.supervisor import (
    Program,
    ProgramFailedError,
    StopRequestedError,
    StopSignals,
    run_once,
    stop_signals,
    supervise,
)
from operis_api.under_make import own_terminal, watched_make
from operis_db.embedded import EmbeddedPostgres, EmbeddedPostgresError

NOT_FOR_CHILDREN = ("OPERIS_ADMIN_PASSWORD", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
DATABASE_SETTINGS = ("DATABASE_URL", "OPERIS_MIGRATE_DATABASE_URL", "OPERIS_LISTEN_DATABASE_URL")


class Plan(NamedTuple):
    """What `up` runs, in this order; tests give their own."""

    build: Callable[[Settings], Program]
    prepare: Callable[[Settings], Awaitable[Credentials | None]]
    """Bring the database up to date, and make the first administrator where there is none."""
    programs: Callable[[Settings], Sequence[Program]]


class UpError(Exception):
    """The product cannot be started here. The message is one line: what is in the way, and the cure."""


async def run_up(settings: Settings, plan: Plan | None = None) -> int:
    """Run the product until Ctrl-C or SIGTERM and return the exit code: 0, or that of the part that failed.

    A second Ctrl-C stops everything at once, with 130.
    """
    async with stop_signals() as signals:
        try:
            with own_terminal(), _only_run(settings.home):
                async with watched_make(signals):
                    await _run(settings, signals, plan or Plan(build_program, prepare_database, list_programs))
        except StopRequestedError:
            pass
        except ProgramFailedError as failure:
            say(str(failure))
            return failure.status
        except (UpError, PreparingError, EmbeddedPostgresError) as error:
            say(str(error))
            return 1
        if signals.repeated.is_set():
            say("stopped at once")
            return 128 + signal.SIGINT
        say("stopped")
        return 0


async def _run(settings: Settings, signals: StopSignals, plan: Plan) -> None:
    check_port(settings.api_port, "OPERIS_API_PORT")
    check_port(settings.dashboard_port, "OPERIS_DASHBOARD_PORT")
    say("dashboard: building what changed")
    await run_once(plan.build(settings), signals=signals, say=print_line)
    async with _database(settings, signals) as ready:
        say("database: migrating")
        # A migration is not cut off halfway: a stop waits for it.
        made = await plan.prepare(ready)
        if signals.requested.is_set():
            raise StopRequestedError
        say("starting the API and the dashboard")
        await supervise(
            plan.programs(ready),
            signals=signals,
            say=print_line,
            on_ready=lambda: announce(ready, made),
            on_stop=lambda: say("stopping (Ctrl-C again stops at once)"),
        )


@asynccontextmanager
async def _database(settings: Settings, signals: StopSignals) -> AsyncGenerator[Settings]:
    """Yield the settings with a database in them: the one that is set, or the embedded one for as long as we run."""
    if settings.database_url is not None:
        yield settings
        return
    say(f"database: starting the embedded PostgreSQL in {settings.home / 'pg'}")
    postgres = EmbeddedPostgres(settings.home)
    await asyncio.to_thread(postgres.acquire)
    try:
        if signals.requested.is_set():
            raise StopRequestedError
        yield msgspec.structs.replace(
            settings, database_url=postgres.app_url(), migrate_database_url=postgres.owner_url()
        )
    finally:
        await asyncio.to_thread(postgres.release)


def build_program(settings: Settings) -> Program:
    """Return what compiles the dashboard's frontend, and ends at once when nothing changed."""
    command = [sys.executable, "-m", "operis_dashboard.build"]
    return Program("build", command, child_environment(settings, database=False))


def list_programs(settings: Settings) -> list[Program]:
    """Return the API and the dashboard. Passwords reach them by environment, never on a command line."""
    return [
        Program(
            "api",
            [sys.executable, "-m", "operis_api.cli", "api"],
            child_environment(settings, database=True),
            f"http://127.0.0.1:{settings.api_port}/readyz",
        ),
        Program(
            "dashboard",
            [sys.executable, "-m", "operis_dashboard.serve"],
            child_environment(settings, database=False),
            f"http://127.0.0.1:{settings.dashboard_port}/",
        ),
    ]


def child_environment(settings: Settings, *, database: bool) -> dict[str, str]:
    """Return our environment with what we found out; a child without `database` learns no database's address."""
    hidden = (*NOT_FOR_CHILDREN, *DATABASE_SETTINGS)
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {
        "OPERIS_HOME": str(settings.home),
        "OPERIS_SECRET_KEY": settings.secret_key,
        "OPERIS_API_PORT": str(settings.api_port),
        "OPERIS_API_URL": f"http://127.0.0.1:{settings.api_port}",
        "OPERIS_DASHBOARD_PORT": str(settings.dashboard_port),
    }
    if database:
        addresses = (settings.database_url, settings.migrate_database_url, settings.listen_database_url)
        environment |= {name: url for name, url in zip(DATABASE_SETTINGS, addresses, strict=True) if url is not None}
    return environment


def check_port(port: int, setting: str) -> None:
    """Raise `UpError` where somebody else listens on `port` already, or we may not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            cause = "is in use by another program" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
            raise UpError(f"port {port} {cause}; stop that program or set {setting} to a free port.") from error


def announce(settings: Settings, made: Credentials | None) -> None:
    """Print where everything is, and once how to sign in."""
    lines = ["", "Operis is running.", f"  Dashboard  {settings.public_dashboard_url}"]
    reference = f"   (reference: {settings.public_api_url}/docs)" if settings.docs_exposed else ""
    lines += [f"  API        {settings.public_api_url}{reference}"]
    if made is not None:
        lines += describe_sign_in(settings, made)
    else:
        lines += [f"  Sign in    as the administrator of the first run{_known(settings.admin_email)}"]
    print_line("\n".join([*lines, "Press Ctrl-C to stop.", ""]))


def say(line: str) -> None:
    print_line(f"{'operis':<9} | {line}")


def print_line(line: str) -> None:
    """Print, and carry on when nobody reads any more: the product does not end because its terminal did."""
    try:
        print(line, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open as long as we run


def _known(email: str | None) -> str:
    return f" ({email})" if email else ""


@contextmanager
def _only_run(home: Path) -> Generator[None]:
    """Refuse a second `operis up` of the same home: two would fight over ports and over who builds."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(home / "up.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UpError(
            f"{home} cannot be used ({error.strerror}); set OPERIS_HOME to a directory of your own."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 20).decode().strip()
            raise UpError(
                f"Operis already runs from {home} (process {pid}); stop it, or set another OPERIS_HOME and ports."
            ) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
