"""Run several programs as one: start them together, wait until each answers, and stop them all when one ends or we are
told to. Knows nothing about what it runs.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

Result = TypeVar("Result")
Say = Callable[[str], None]

STOP_SECONDS_MAX = 40
READY_SECONDS_MAX = 120
LINE_BYTES_MAX = 64 * 1024
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Program(NamedTuple):
    name: str
    """What its lines of output begin with."""
    command: Sequence[str]
    environment: Mapping[str, str]
    ready_url: str | None = None
    """It is ready when a GET of this address answers below 400; without one, as soon as it runs."""


class StopRequestedError(Exception):
    """Somebody pressed Ctrl-C, or asked this process to end."""


class ProgramFailedError(Exception):
    """A program ended by itself, or never became ready. `status` is what our own process shall end with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class StopSignals:
    """What SIGINT, SIGTERM and SIGHUP have asked for so far: once is to stop, twice is to stop at once."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.repeated = asyncio.Event()

    def request(self) -> None:
        (self.repeated if self.requested.is_set() else self.requested).set()

    async def unless_requested(self, work: Awaitable[Result]) -> Result:
        """Return what `work` returns; when a stop is requested first, cancel it and raise `StopRequestedError`."""
        task = asyncio.ensure_future(work)
        stop = asyncio.create_task(self.requested.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if not self.requested.is_set():
                return task.result()
            raise StopRequestedError
        finally:
            for waiting in (task, stop):
                waiting.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)


@asynccontextmanager
async def stop_signals() -> AsyncGenerator[StopSignals]:
    """Turn the signals that end a process into requests, for as long as the block runs."""
    loop, signals = asyncio.get_running_loop(), StopSignals()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup wants us to outlive the terminal
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, signals.request)
    try:
        yield signals
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def supervise(
    programs: Sequence[Program],
    *,
    signals: StopSignals,
    say: Say,
    on_ready: Callable[[], None],
    on_stop: Callable[[], None],
) -> None:
    """Run `programs` until a stop is requested; `on_ready` is called once, when all of them answer, and
    `on_stop` before they are stopped on request.

    Raises `ProgramFailedError` when one ends by itself. Whatever happens, none of them is left running.
    """
    running: list[_Running] = []
    try:
        for program in programs:
            running.append(await _start(program, say))  # noqa: PERF401 - one that cannot start must not hide the others
        ends = [asyncio.create_task(_watch(one)) for one in running]
        try:
            await signals.unless_requested(_first_failure(ends, _all_ready(programs)))
            on_ready()
            await signals.unless_requested(_first_failure(ends, asyncio.Event().wait()))
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
    except StopRequestedError:
        on_stop()
    finally:
        await _stop_all(running, signals)


async def run_once(program: Program, *, signals: StopSignals, say: Say) -> None:
    """Run one program to its end, or raise `ProgramFailedError` or `StopRequestedError`; it is not left running."""
    one = await _start(program, say)
    try:
        status = await signals.unless_requested(one.process.wait())
        await one.output
    finally:
        await _stop_all([one], signals)
    if status != 0:
        raise ProgramFailedError(f"{program.name} ended with status {status}.", _exit_status(status))


async def answers(url: str, *, timeout_seconds: float = 3) -> bool:
    """Tell whether a GET of a local `url` answers below 400. No proxy of the environment is asked."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            try:
                writer.write(
                    f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
                )
                words = (await reader.readline()).split()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return False
    return len(words) > 1 and words[1].isdigit() and int(words[1]) < 400


class _Running(NamedTuple):
    program: Program
    process: asyncio.subprocess.Process
    output: asyncio.Task[None]


async def _start(program: Program, say: Say) -> _Running:
    parent = os.getpid()
    process = await asyncio.create_subprocess_exec(
        *program.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**program.environment, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # its own group: Ctrl-C is for us alone, and its children can be ended with it
        preexec_fn=lambda: _die_with(parent),
    )
    assert process.stdout is not None
    return _Running(program, process, asyncio.create_task(_relay(process.stdout, program.name, say)))


def _die_with(parent: int) -> None:
    """Ask the kernel to end this child when the supervisor is killed and can no longer do so."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was killed before we asked
            os._exit(1)


async def _relay(stream: asyncio.StreamReader, name: str, say: Say) -> None:
    """Pass on output line by line; a line that does not end is cut, so that it cannot fill our memory."""
    rest = b""
    while chunk := await stream.read(LINE_BYTES_MAX):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) >= LINE_BYTES_MAX:
            lines, rest = [*lines, rest], b""
        for line in lines:
            say(f"{name:<9} | {line.decode(errors='replace').rstrip()}")
    if rest:
        say(f"{name:<9} | {rest.decode(errors='replace').rstrip()}")


async def _watch(one: _Running) -> None:
    status = await one.process.wait()
    # What it said last is why it ended; a grandchild that keeps the pipe open must not keep us.
    await asyncio.wait((one.output,), timeout=1)
    raise ProgramFailedError(f"{one.program.name} ended by itself with status {status}.", _exit_status(status))


async def _first_failure(ends: Sequence[asyncio.Task[None]], work: Awaitable[object]) -> None:
    """Wait for `work`, but raise what ends one of the programs as soon as it happens."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait((*ends, task), return_when=asyncio.FIRST_COMPLETED)
        for end in (*ends, task):
            if end in done:
                end.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _all_ready(programs: Sequence[Program]) -> None:
    waiting = {program.name: program.ready_url for program in programs if program.ready_url is not None}
    deadline = asyncio.get_running_loop().time() + READY_SECONDS_MAX
    while waiting:
        if asyncio.get_running_loop().time() > deadline:
            named = ", ".join(f"{name} ({url})" for name, url in waiting.items())
            raise ProgramFailedError(
                f"{named} did not answer within {READY_SECONDS_MAX} seconds; see its lines above.", 1
            )
        for name, url in list(waiting.items()):
            if await answers(url):
                del waiting[name]
        await asyncio.sleep(0.1)


async def _stop_all(running: Sequence[_Running], signals: StopSignals) -> None:
    """End every program and what it started: politely, and after a while or a second request by force."""
    for one in running:
        if one.process.returncode is None:
            _signal_group(one, signal.SIGTERM)
    ended = asyncio.gather(*(one.process.wait() for one in running))
    repeated = asyncio.create_task(signals.repeated.wait())
    await asyncio.wait((ended, repeated), timeout=STOP_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
    repeated.cancel()
    for one in running:
        _signal_group(one, signal.SIGKILL)  # also what a program left behind when it ended
    await asyncio.gather(ended, repeated, *(one.output for one in running), return_exceptions=True)


def _signal_group(one: _Running, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(one.process.pid, number)


def _exit_status(returncode: int) -> int:
    """Return what a shell would end with: a program that stops by itself is a failure, even with status 0."""
    return 128 - returncode if returncode < 0 else returncode or 1
