"""Stopping without losing anybody: readiness turns first, the door closes after a while, what runs gets a bound."""

import asyncio
import signal
from collections.abc import Callable
from types import FrameType

from operis_api.kit.errors import DomainError

LAST_WORDS_SECONDS = 2.0
"""Before the bound, those that still run are told to end, so that they can settle and say so."""
_Handler = Callable[[int, FrameType | None], object]


class ShuttingDown(DomainError):
    status, code, title = 503, "shutting_down", "This process is being stopped."

    def __init__(self) -> None:
        super().__init__(
            "This process is being stopped. What was delivered is charged, anything else is not; try again.",
            retry_after_seconds=1,
        )


class Draining:
    """Of one process. Goes between the signal and the server, which closes its door at once when it is told."""

    def __init__(self, *, notice_seconds: float, graceful_seconds: float, end: Callable[[], None]) -> None:
        self._notice = notice_seconds
        self._graceful = graceful_seconds
        self._end = end
        self._servers: dict[int, _Handler] = {}
        self.begun = False

    def stand_before(self, server: type[object]) -> None:
        """Take the signals that end the process in the server's stead, where it has them."""
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler) and isinstance(getattr(handler, "__self__", None), server):
                self._servers[number] = handler
                signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        server = self._servers[number]
        if self.begun:  # asked twice: at once
            server(number, frame)
            return
        self.begun = True

        def begin() -> None:
            self._loop.call_later(self._notice, lambda: server(number, frame))
            self._loop.call_later(self._notice + max(self._graceful - LAST_WORDS_SECONDS, 0), self._end)

        self._loop.call_soon_threadsafe(begin)
