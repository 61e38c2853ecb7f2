"""Passing a stream on to its client, and draining it for a while when the client has left."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import structlog

from operis_api.gateway.call import Call
from operis_api.gateway.dialects import StreamMeter
from operis_api.gateway.upstreams import AttemptFailed
from operis_api.kit.crashing import crash_here

STREAM_BYTES_MAX = 128 * 1024 * 1024
DRAIN_SECONDS = 15
"""How long an upstream may go on for its usage after the client has left."""
log = structlog.get_logger()


class Client:
    """The caller's end of one request."""

    def __init__(
        self,
        begin: Callable[[Mapping[str, str]], Awaitable[None]],
        send: Callable[[bytes], Awaitable[None]],
        left: Callable[[], Awaitable[None]],
    ) -> None:
        self.begin = begin
        """Start a streamed answer with these headers."""
        self.send = send
        self.left = left
        """Return once the client has disconnected."""


class Relay:
    """Passes a stream on as it comes, and drains it for a while when the client has left."""

    def __init__(self, call: Call, meter: StreamMeter, client: Client, *, seconds: int) -> None:
        self._seconds = seconds
        self.meter = meter
        self.client = client
        self.client_left = False
        self.too_long = False
        """Whether the stream was ended for its time or size while its upstream was still well."""
        self._received = 0
        self.failure: AttemptFailed | None = None
        """How the upstream broke off."""
        self._call = call

    async def run(self, first: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Return when the stream has ended, broken off, or run out of time; what it used is in the meter."""
        crash_here("before_first_byte")
        await self.client.begin(self._call.headers)
        try:
            async with asyncio.timeout(self._seconds) as limit:
                self._call.live.on_end = lambda: limit.reschedule(asyncio.get_running_loop().time())
                watcher = asyncio.create_task(self._watch(limit))
                try:
                    await self._pass_on(first)
                    async for received in chunks:
                        await self._pass_on(self.meter.feed(received))
                        self._received += len(received)
                        self.too_long = self._received > STREAM_BYTES_MAX
                        if self.meter.failed or self.too_long:
                            break
                finally:
                    self._call.live.on_end = None
                    watcher.cancel()
        except TimeoutError:
            if self._call.live.refusal is not None:
                log.info("stream_ended", request_id=str(self._call.admitted.hold_id), why=self._call.live.refusal.code)
                return
            log.warning("stream_timed_out", request_id=str(self._call.admitted.hold_id), client_left=self.client_left)
            self.too_long = True
        except AttemptFailed as failure:
            self.failure = failure
            self.meter.failed = not self.meter.done

    async def _pass_on(self, events: bytes) -> None:
        if not events:
            return
        self._call.deliver(self.meter.output_tokens)
        if not self.client_left:
            await self.client.send(events)
        crash_here("while_streaming")

    async def _watch(self, limit: asyncio.Timeout) -> None:
        await self.client.left()
        self.client_left = True
        limit.reschedule(asyncio.get_running_loop().time() + DRAIN_SECONDS)
