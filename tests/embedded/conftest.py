"""Homes in short temporary directories (a socket's path has 107 bytes), and processes that hold a lease."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import asyncpg
import pytest

from operis_db.embedded import EmbeddedPostgres

HOLDER = """
import sys, time
from pathlib import Path
from operis_db.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as postgres:
    print(postgres.superuser_url(), flush=True)
    sys.stdin.read()
"""
Holder = subprocess.Popen[str]


@pytest.fixture
def home() -> Generator[Path]:
    """A home whose server is stopped at the end, whatever the test did to it."""
    directory = Path(tempfile.mkdtemp(prefix="operis-"))
    directory.chmod(0o755)
    try:
        yield directory / "home"
    finally:
        for pid_file in directory.rglob("postmaster.pid"):
            kill(int(pid_file.read_text().split()[0]))
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def hold() -> Generator[Callable[[Path], Holder]]:
    """Start processes that keep a lease until their standard input closes."""
    holders: list[Holder] = []

    def start(home: Path) -> Holder:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        holders.append(holder)
        return holder

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


def read_url(holder: Holder) -> str:
    """Wait until the holder has its lease and return the superuser's address."""
    assert holder.stdout is not None
    return holder.stdout.readline().strip()


def postmaster(home: Path) -> int:
    return int((EmbeddedPostgres(home).ground / "data" / "postmaster.pid").read_text().split()[0])


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def answers(url: str) -> bool:
    try:
        return await ask(url, "select 1") == 1
    except (TimeoutError, OSError, asyncpg.PostgresError):
        return False


@pytest.fixture
async def table(home: Path) -> AsyncGenerator[EmbeddedPostgres]:
    """A running server with an empty table `marks(n)`."""
    with EmbeddedPostgres(home) as postgres:
        await ask(postgres.superuser_url(), "create table marks (n int)")
        yield postgres
