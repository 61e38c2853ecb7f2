"""API processes that start quickly, so that hundreds can be killed in minutes.

A small server process imports the application once, and every API process is forked from it. What runs in them is what
`operis api` runs, each with its own port, connections and log.
"""

import asyncio
import contextlib
import multiprocessing
import os
import tempfile
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from tests.running import START_SECONDS, Database, environment, free_port

from operis_api.cli import cli

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["operis_api.app", "uvicorn.protocols.http.httptools_impl", "uvicorn.loops.uvloop"])


class ApiProcess:
    """One process; `place` is where it will die, for those who send it work that leads there."""

    def __init__(self, database: Database, home: Path, place: str = "", **settings: str) -> None:
        port = free_port()
        self.place = place
        self.base_url = f"http://127.0.0.1:{port}"
        self.log = home / f"api-{port}.log"
        environ = environment(database, home, port, **settings)
        self._process = _context.Process(target=_serve, args=(environ, str(self.log)), daemon=True)
        self._process.start()
        self._dead = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._process.sentinel, self._note_death)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        return not self._dead.is_set()

    async def ready(self) -> bool:
        """Return once it serves, or whether it died before."""
        async with httpx.AsyncClient(verify=False) as http:  # reading certificates takes longer than starting
            for _ in range(START_SECONDS * 50):
                if not self.lives:
                    return False
                with contextlib.suppress(httpx.TransportError, AttributeError):  # as in `load.py`
                    if (await http.get(f"{self.base_url}/readyz")).status_code == 200:
                        return True
                await asyncio.sleep(0.02)
        raise AssertionError(f"the API is not ready after {START_SECONDS} seconds: {self.log.read_text()}")

    async def died(self, within_seconds: float) -> bool:
        """Tell whether it dies by itself in this time."""
        try:
            async with asyncio.timeout(within_seconds):
                await self._dead.wait()
        except TimeoutError:
            return False
        return True

    async def kill(self) -> None:
        """End the process at once, as a power cut would."""
        self._process.kill()
        await self._dead.wait()

    def _note_death(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        self._dead.set()


@asynccontextmanager
async def run_processes(
    database: Database, count: int, *, place: str = "", **settings: str
) -> AsyncGenerator[list[ApiProcess]]:
    """Run so many until the block ends."""
    with tempfile.TemporaryDirectory() as home:
        processes = [ApiProcess(database, Path(home), place, **settings) for _ in range(count)]
        try:
            for process in processes:
                assert await process.ready(), f"the API ended: {process.log.read_text()}"
            yield processes
        finally:
            for process in processes:
                await process.kill()


def _serve(environ: dict[str, str], log: str) -> None:
    os.environ.clear()
    os.environ.update(environ)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    threading.Thread(target=_die_with_drill, daemon=True).start()
    cli(["api"], standalone_mode=False)


def _die_with_drill() -> None:
    """A drill that was killed itself leaves no process behind."""
    drill = multiprocessing.parent_process()
    assert drill is not None
    drill.join()
    os._exit(1)
