"""A provider that answers each call with the bytes a test gives it, cut and broken off wherever the test says."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@dataclass
class Play:
    """What the next calls are answered with."""

    pieces: list[bytes] = field(default_factory=list[bytes])
    """Sent one by one, each on its own."""
    then: Literal["close", "reset", "hang", "drip"] = "close"
    """What comes after the pieces; of "drip", each piece waits a tenth of a second instead."""


class RawUpstream:
    def __init__(self) -> None:
        self.play = Play()
        self.base_url = ""
        self.calls = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = next((line for line in head.splitlines() if line.startswith("content-length:")), "x:0")
            await reader.readexactly(int(length.split(":")[1]))
            self.calls += 1
            play = self.play
            for piece in play.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.1 if play.then == "drip" else 0)
            if play.then == "hang":
                await reader.read()
            if play.then == "reset":
                await asyncio.sleep(0.05)  # what was sent arrives; a reset would take back what has not
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
        writer.close()


@asynccontextmanager
async def run_raw_upstream() -> AsyncGenerator[RawUpstream]:
    upstream = RawUpstream()
    server = await asyncio.start_server(upstream.answer, "127.0.0.1", 0)
    upstream.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        yield upstream
