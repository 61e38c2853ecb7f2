"""Being started by make: a stop that reaches make and a stop that reaches us must come to the same, clean end."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from operis_api.supervisor import StopSignals

LOOK_SECONDS = 0.5


@contextmanager
def own_terminal() -> Generator[None]:
    """Take the terminal's Ctrl-C for ourselves: make would die of it, with a failure, although we stop cleanly.

    We become the terminal's foreground group, as a shell does for its jobs. Ctrl-Z would then stop us without make or
    the shell noticing, so it does nothing.
    """
    with contextlib.ExitStack() as cleanup:
        if "MAKELEVEL" in os.environ:
            with contextlib.suppress(OSError):  # no terminal: nothing to take
                terminal = os.open("/dev/tty", os.O_RDWR)
                cleanup.callback(os.close, terminal)
                group = os.getpgrp()
                if os.tcgetpgrp(terminal) == group != os.getpid():
                    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
                    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
                    os.setpgid(0, 0)
                    os.tcsetpgrp(terminal, os.getpid())
                    cleanup.callback(os.tcsetpgrp, terminal, group)
        yield


@asynccontextmanager
async def watched_make(signals: StopSignals) -> AsyncGenerator[None]:
    """Request a stop when make is gone or was interrupted: a signal sent to it alone does not reach us."""
    if "MAKELEVEL" not in os.environ:
        yield
        return
    watch = asyncio.create_task(_watch(os.getppid(), signals))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def _watch(make: int, signals: StopSignals) -> None:
    catches = _catches_interrupts(make)  # it does not where a script started it in the background
    while os.getppid() == make and _catches_interrupts(make) == catches:  # noqa: ASYNC110 - the kernel sends no event
        await asyncio.sleep(LOOK_SECONDS)
    signals.requested.set()


def _catches_interrupts(pid: int) -> bool | None:
    """Tell whether make still handles Ctrl-C: once it had one, it only waits for us (only Linux shows this)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    caught = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(caught) and bool(caught[0] >> (signal.SIGINT - 1) & 1)
