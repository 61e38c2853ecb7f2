"""Clients that send or take too slowly, or too much: none of them holds a call, its hold or our memory without end."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.factories import Account, mint, sign_up
from tests.fakes.raw_upstream import STREAM_HEAD, Play, RawUpstream, run_raw_upstream
from tests.running import Api, Database, run_api

MEBIBYTE = 1024 * 1024
PATIENCE_SECONDS = 2
GONE_WITHIN_SECONDS = 15
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}\n\ndata: [DONE]\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
LONG_WORD = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 65_000 + b'"},"finish_reason":null}]}\n\n'
LARGE_ANSWER = [STREAM_HEAD, *[LONG_WORD] * 320, STOP, USAGE]
"""20 MiB: more than what the kernel keeps between two processes."""


@dataclass
class Stage:
    api: Api
    account: Account
    secret: str
    upstream: RawUpstream

    @property
    def port(self) -> int:
        return int(self.api.base_url.rsplit(":", 1)[1])

    def head(self, path: str = "/v1/chat/completions", **headers: str) -> bytes:
        given = {"host": "x", "authorization": f"Bearer {self.secret}", "content-type": "application/json", **headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
        return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode()

    def request(self, *, stream: bool = True, filler: int = 0) -> bytes:
        words = "What is the answer?" + "x" * filler
        body = json.dumps(
            {"model": "slow/model", "messages": [{"role": "user", "content": words}], "max_tokens": 9, "stream": stream}
        ).encode()
        return self.head(content_length=str(len(body))) + body

    async def connect(self, *, receive_bytes: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raw = socket.socket()
        raw.setblocking(False)
        if receive_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=raw, limit=4096)

    async def settled(self) -> tuple[str, str]:
        """Return outcome and charge of the newest request, once nothing is held any more."""
        async with asyncio.timeout(GONE_WITHIN_SECONDS):
            while (await self.account.client.get_wallet()).held != "0":
                await asyncio.sleep(0.1)
        newest = (await self.account.client.list_requests(limit=1)).items[0]
        return newest.outcome, newest.charge

    @property
    def memory(self) -> int:
        """Resident, in mebibytes."""
        status = Path(f"/proc/{self.api.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024


@pytest.fixture(scope="module")
async def stage(database: Database) -> AsyncGenerator[Stage]:
    settings = {"OPERIS_CLIENT_SECONDS": str(PATIENCE_SECONDS), "OPERIS_BODIES_MEBIBYTES": "20"}
    async with run_api(database, OPERIS_UPSTREAM_TOTAL_SECONDS="4", **settings) as api, run_raw_upstream() as upstream:
        admin = await api.admin()
        made = await admin.create_upstream(name="Slow", base_url=upstream.base_url, api_key="sk-raw-credential")
        await admin.create_model(id="slow/model", upstream_id=made.id, upstream_model="real")
        await admin.create_price(model_id="slow/model", input="1", output="2")
        account = await sign_up(api)
        await admin.adjust_wallet(account.organization_id, amount="1000", reason="long prompts")
        yield Stage(api, account, await mint(account), upstream)


async def answer_to(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the connection is closed."""
    answer = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(GONE_WITHIN_SECONDS):
            while part := await reader.read(65_536):
                answer += part
    return answer


async def trickle(writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.2)


async def test_a_client_that_stops_reading_is_dropped_and_charged_once(stage: Stage) -> None:
    stage.upstream.play = Play(LARGE_ANSWER)
    reader, writer = await stage.connect(receive_bytes=4096)
    began = time.monotonic()
    writer.write(stage.request())
    await reader.readexactly(100)
    assert await stage.settled() == ("disconnected", "0.000025")  # the provider's own usage: it was read to its end
    assert PATIENCE_SECONDS - 0.1 <= time.monotonic() - began < 10
    writer.close()


async def test_clients_that_stop_reading_hold_little_memory(stage: Stage) -> None:
    stage.upstream.play = Play(LARGE_ANSWER)
    before = stage.memory
    open_ones = [await stage.connect(receive_bytes=4096) for _ in range(20)]  # 400 MiB, if it were kept
    for reader, writer in open_ones:
        writer.write(stage.request())
        await reader.readexactly(100)
    most = 0
    for _ in range(10):
        most = max(most, stage.memory)
        await asyncio.sleep(0.1)
    assert most - before < 100
    assert (await stage.settled())[0] == "disconnected"
    for _, writer in open_ones:
        writer.close()


async def test_a_client_that_reads_slowly_gets_everything(stage: Stage) -> None:
    stage.upstream.play = Play([STREAM_HEAD, *[LONG_WORD] * 30, STOP, USAGE])
    reader, writer = await stage.connect(receive_bytes=4096)
    writer.write(stage.request())
    taken = b""
    while b"[DONE]" not in taken:
        taken += await asyncio.wait_for(reader.read(65_536), 10)
        await asyncio.sleep(0.02)
    assert taken.count(b"x" * 65_000) == 30
    assert await stage.settled() == ("completed", "0.000025")
    writer.close()


async def test_a_whole_answer_that_nobody_takes_is_dropped(stage: Stage) -> None:
    answer = json.dumps(
        {
            "choices": [{"index": 0, "message": {"content": "x" * 20 * MEBIBYTE}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
    ).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    stage.upstream.play = Play([head % len(answer), answer])
    reader, writer = await stage.connect(receive_bytes=4096)
    writer.write(stage.request(stream=False))
    await reader.readexactly(100)
    assert await stage.settled() == ("completed", "0.000025")  # it was made, and offered
    await asyncio.sleep(PATIENCE_SECONDS + 1)
    assert len(await answer_to(reader)) < len(answer)  # what the kernel had of it
    writer.close()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/v1/auth/login"])
async def test_a_body_that_trickles_in_is_not_waited_for(stage: Stage, path: str) -> None:
    requests = (await stage.account.client.list_requests()).items
    reader, writer = await stage.connect()
    began = time.monotonic()
    writer.write(stage.head(path, content_length="1000000"))
    trickling = asyncio.create_task(trickle(writer))
    assert (await answer_to(reader)).startswith(b"HTTP/1.1 408")
    assert PATIENCE_SECONDS - 0.1 <= time.monotonic() - began < PATIENCE_SECONDS + 4
    trickling.cancel()
    assert (await stage.account.client.list_requests()).items == requests
    writer.close()


@pytest.mark.parametrize("sent", [b"", b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: "])
async def test_a_head_that_does_not_come_is_not_waited_for(stage: Stage, sent: bytes) -> None:
    reader, writer = await stage.connect()
    began = time.monotonic()
    writer.write(sent)
    assert (await answer_to(reader)).startswith(b"HTTP/1.1 408")
    assert PATIENCE_SECONDS - 0.1 <= time.monotonic() - began < PATIENCE_SECONDS + 4
    writer.close()


async def test_a_head_without_end_is_refused(stage: Stage) -> None:
    reader, writer = await stage.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: " + b"x" * 40_000)
    await asyncio.sleep(0.2)
    writer.write(b"x" * 40_000)  # all of which is read, so that the answer is no reset
    assert (await answer_to(reader)).startswith(b"HTTP/1.1 431")
    writer.close()


async def test_a_body_that_goes_on_after_its_refusal_is_cut_off(stage: Stage) -> None:
    reader, writer = await stage.connect()
    writer.write(stage.head(authorization="Bearer sk-op-wrong", content_length=str(10**12)))
    assert b" 401 " in await reader.readuntil(b"\r\n")
    sent = 0
    with suppress(ConnectionError):
        while sent < 100:
            writer.write(b"x" * MEBIBYTE)
            await asyncio.wait_for(writer.drain(), 10)
            sent += 1
    assert sent < 60
    writer.close()


async def test_a_client_that_is_idle_between_requests_is_no_slow_one(stage: Stage) -> None:
    for _ in range(2):
        said = await stage.api.http.get(f"{stage.api.base_url}/healthz")
        assert said.status_code == 200
        await asyncio.sleep(PATIENCE_SECONDS + 1)


async def test_bodies_of_calls_in_progress_have_a_bound_together(stage: Stage) -> None:
    stage.upstream.play = Play([], "hang")
    reader, writer = await stage.connect()
    calls = stage.upstream.calls
    writer.write(stage.request(filler=12 * MEBIBYTE))
    await writer.drain()
    async with asyncio.timeout(10):
        while stage.upstream.calls == calls:
            await asyncio.sleep(0.05)
    other, second = await stage.connect()
    second.write(stage.request(filler=12 * MEBIBYTE))
    head = await other.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1\r\n" in head
    assert b"bodies_too_many" in await other.read(4096)
    second.close()
    assert b"upstream_error" in (await reader.readuntil(b"}}"))  # the provider was given up; now there is room
    writer.close()
    stage.upstream.play = Play([STREAM_HEAD, LONG_WORD, STOP, USAGE])
    reader, writer = await stage.connect()
    writer.write(stage.request(filler=12 * MEBIBYTE))
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    assert await stage.settled() == ("completed", "0.000025")
    writer.close()


async def test_a_stream_ends_after_its_longest_time_and_what_came_is_charged(stage: Stage) -> None:
    word = b'data: {"choices":[{"index":0,"delta":{"content":"abcd"},"finish_reason":null}]}\n\n'
    stage.upstream.play = Play([STREAM_HEAD, *[word] * 100], "drip")
    reader, writer = await stage.connect()
    began = time.monotonic()
    writer.write(stage.request())
    async with asyncio.timeout(20):
        assert b"stream_too_long" in await reader.readuntil(b"stream_too_long")
    assert 3.9 < time.monotonic() - began < 10
    outcome, charge = await stage.settled()
    assert outcome == "interrupted"
    assert float(charge) > 0
    writer.close()


async def test_a_stream_of_any_size_is_not_taken(stage: Stage) -> None:
    stage.upstream.play = Play([STREAM_HEAD, LONG_WORD, *[b": " + b"x" * MEBIBYTE + b"\n\n"] * 140], "hang")
    reader, writer = await stage.connect()
    before = stage.memory
    writer.write(stage.request())
    taken, tail = 0, b""
    async with asyncio.timeout(30):
        while b"stream_too_long" not in tail:
            part = await reader.read(MEBIBYTE)
            assert part
            taken, tail = taken + len(part), (tail + part)[-4096:]
    assert 128 * MEBIBYTE < taken < 131 * MEBIBYTE
    assert stage.memory - before < 60
    assert (await stage.settled())[0] == "interrupted"
    writer.close()
