"""What open streams cost in memory: the resident size of one API process before, with so many open, and after."""

import asyncio
import resource
from pathlib import Path

from tests.factories import mint, sign_up
from tests.running import make_database, run_api

from bench.gateway import run_upstream
from operis_db.embedded import EmbeddedPostgres

OPENED_AT_ONCE = 50
HELD_SECONDS = 20
TARGET_MEBIBYTES = 250
MODEL = "bench/held"


async def main(postgres: EmbeddedPostgres, streams: int) -> list[str]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    database = await make_database(postgres)
    async with run_upstream() as upstream, run_api(database) as api:
        admin = await api.admin()
        made = await admin.create_upstream(name="bench", base_url=f"http://127.0.0.1:{upstream}/v1", api_key="sk-bench")
        await admin.create_model(id=MODEL, upstream_id=made.id, upstream_model="held")
        await admin.create_price(model_id=MODEL, input="0.01", output="0.01")
        account = await sign_up(api)
        await admin.adjust_wallet(account.organization_id, amount="1000", reason="bench")
        request = make_request(await mint(account))
        port = int(api.base_url.rsplit(":", 1)[1])
        before = resident_mebibytes(api.process.pid)
        opened: list[asyncio.StreamWriter] = []
        readers: list[asyncio.Task[None]] = []
        for begin in range(0, streams, OPENED_AT_ONCE):
            some = range(begin, min(begin + OPENED_AT_ONCE, streams))
            for reader, writer in await asyncio.gather(*(open_stream(port, request) for _ in some)):
                opened.append(writer)
                readers.append(asyncio.create_task(read_on(reader)))
        await asyncio.sleep(HELD_SECONDS)
        ended = sum(reading.done() for reading in readers)
        held = await database.fetch("SELECT count(*) AS holds FROM holds")
        during = resident_mebibytes(api.process.pid)
        for writer in opened:
            writer.close()
        await asyncio.gather(*readers, return_exceptions=True)
        async with asyncio.timeout(60):
            while await database.fetch("SELECT FROM holds LIMIT 1"):
                await asyncio.sleep(0.2)
        after = resident_mebibytes(api.process.pid)
        print(f"one process: {before} MiB idle, {during} MiB with {streams:,} open streams, {after} MiB when they left")
        print(f"{(during - before) * 1024 / streams:.0f} KiB a stream; the target is {TARGET_MEBIBYTES} MiB")
        findings = await database.broken_invariants()
        if ended or held[0]["holds"] != streams:
            findings.append(f"{ended} streams ended, and {held[0]['holds']} calls were held, of {streams}")
        return findings


def make_request(key: str) -> bytes:
    body = b'{"model":"%s","messages":[{"role":"user","content":"%s"}],"stream":true}' % (MODEL.encode(), b"x" * 500)
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s" % (key.encode(), len(body), body)
    )


async def open_stream(port: int, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return reader, writer


async def read_on(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass


def resident_mebibytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024
