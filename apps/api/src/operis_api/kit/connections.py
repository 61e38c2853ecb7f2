"""Connections whose clients may be slow, but not without end: uvicorn itself would wait for them for ever.

A client has to send its request, and to take its answer, at a least pace; one that does not is dropped, which the
application sees as a disconnect. What it may make us keep is bounded too.
"""

import asyncio
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

HEAD_BYTES_MAX = 64 * 1024
DISCARDED_BYTES_MAX = 32 * 1024 * 1024
"""Of a body that goes on after its answer: more than the largest that is taken, so that a refusal of one is read."""
PROGRESS_BYTES = 32 * 1024
"""What has to move, either way, within a client's patience."""
WHOLE_REQUEST_TIMES = 10
"""A request has to be there after so many times that patience, however quickly it moves."""


class Pace:
    """Whether something that is waited for moves quickly enough."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._moved = 0

    def is_kept(self, *, waiting: bool, moved: int, now: float) -> bool:
        if not waiting:
            self._since = None
            return True
        if self._since is None or moved - self._moved >= PROGRESS_BYTES:
            self._since, self._moved = now, moved
        return now - self._since < self._seconds


class Connection(HttpToolsProtocol):
    """One client's connection, looked at from time to time."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        patience_seconds: float,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._patience = patience_seconds
        self._reading, self._writing = Pace(patience_seconds), Pace(patience_seconds)
        self._received = self._head_bytes = self._discarded = 0
        self._incomplete = True
        """Whether a request is being sent: from the first byte of the connection on, since that owes us one."""
        self._in_head = True
        self._began_at = 0.0
        self._next_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._began_at = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._incomplete = self._in_head = True
        self._began_at = self.loop.time()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = self._discarded = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > DISCARDED_BYTES_MAX:
                self.transport.close()

    def on_message_complete(self) -> None:
        self._incomplete = False
        super().on_message_complete()

    def _look(self) -> None:
        now = self.loop.time()
        self._next_look = self.loop.call_later(self._patience / 4, self._look)
        unsent = self.transport.get_write_buffer_size()
        closing = self.transport.is_closing()
        taking = self.flow.write_paused or (closing and unsent > 0)
        if not self._writing.is_kept(waiting=taking, moved=-unsent, now=now):
            self.transport.abort()
            return
        sending = self._incomplete and not self.flow.read_paused and not closing
        late = sending and now - self._began_at > WHOLE_REQUEST_TIMES * self._patience
        if late or not self._reading.is_kept(waiting=sending, moved=self._received, now=now):
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        """Close, with a status where it stands in no answer's way."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or not cycle.response_started or (self._in_head and cycle.response_complete):
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
