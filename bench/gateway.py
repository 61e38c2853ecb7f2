"""What Operis adds to a call: CPU, throughput and latency beside a bare relay and a direct call, in one run."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
from tests.factories import mint, sign_up
from tests.running import free_port, make_database, run_api

from operis_db.embedded import EmbeddedPostgres

CONNECTIONS = 32
LOADS = {
    "whole": "a whole answer, at once",
    "stream": "a stream of 50 chunks, at once",
    "paced": "a stream of 50 chunks, 2 ms apart",
}
STAGES = {
    "refused": "server, routing",
    "unreadable": "authenticate, decode",
    "unaffordable": "quote, admit (refused)",
    "echoed": "hold, meter, settle",
    "whole": "upstream",
}
"""Calls that go further and further: what each costs more than the one before is that stage's."""


class Sample(msgspec.Struct):
    calls: int
    failures: int
    seconds: float
    p50: float
    p99: float
    first_p50: float
    first_p99: float
    cpu_ms: float = 0.0
    postgres_cpu_ms: float = 0.0

    @property
    def rate(self) -> float:
        return self.calls / self.seconds


async def main(postgres: EmbeddedPostgres, seconds: int) -> list[str]:
    database = await make_database(postgres)
    async with run_upstream() as upstream, run_relay(upstream) as relay, run_api(database) as api:
        admin = await api.admin()
        provider = await admin.create_upstream(
            name="bench", base_url=f"http://127.0.0.1:{upstream}/v1", api_key="sk-bench"
        )
        for name, price in (("model", "0.01"), ("paced", "0.01"), ("dear", "1000000")):
            await admin.create_model(id=f"bench/{name}", upstream_id=provider.id, upstream_model=name)
            await admin.create_price(model_id=f"bench/{name}", input=price, output=price)
        account = await sign_up(api)
        await admin.adjust_wallet(account.organization_id, amount="1000", reason="bench")
        key = await mint(account)
        port = int(api.base_url.rsplit(":", 1)[1])
        pid = api.process.pid
        for kind in LOADS:
            await load(port, kind, seconds=2, key=key)  # warm, and every connection open
            bare = await measure(postgres, relay[0], kind, relay[1], seconds=seconds)
            ours = await measure(postgres, port, kind, pid, seconds=seconds, key=key)
            again = await measure(postgres, relay[0], kind, relay[1], seconds=seconds)
            report(kind, bare if bare.cpu_ms < again.cpu_ms else again, ours)
        rungs = {kind: await measure(postgres, port, kind, pid, seconds=seconds, key=key) for kind in STAGES}
        report_stages(rungs)
        for kind in ("whole", "stream"):
            direct = await load(upstream, kind, seconds=seconds, connections=1, rate=20)
            paced = await load(port, kind, seconds=seconds, connections=1, rate=20, key=key)
            report_latency(kind, direct, paced)
        return await database.broken_invariants()


def report(kind: str, bare: Sample, ours: Sample) -> None:
    total = ours.cpu_ms + ours.postgres_cpu_ms
    print(f"{LOADS[kind]}; {CONNECTIONS} connections")
    print(f"  bare relay   {bare.rate:8.0f} calls/s   CPU {bare.cpu_ms:6.3f} ms a call   p50 {bare.p50:6.2f} ms")
    print(
        f"  operis       {ours.rate:8.0f} calls/s   CPU {ours.cpu_ms:6.3f} ms API + {ours.postgres_cpu_ms:5.3f} ms "
        f"PostgreSQL   p50 {ours.p50:6.2f}   p99 {ours.p99:6.2f} ms   failures {ours.failures}"
    )
    print(f"  ratio        CPU {total / bare.cpu_ms:5.2f} times the relay's; {ours.rate / bare.rate:4.2f} of its rate")


def report_stages(rungs: dict[str, Sample]) -> None:
    print("stages of a call, each from a load of calls that end there; CPU in ms: API, PostgreSQL")
    api = postgres = 0.0
    for kind, stage in STAGES.items():
        sample = rungs[kind]
        more, more_postgres = sample.cpu_ms - api, sample.postgres_cpu_ms - postgres
        print(
            f"  {stage:<24}{more:7.3f} {more_postgres:7.3f}   in all {sample.cpu_ms:6.3f} {sample.postgres_cpu_ms:6.3f}"
        )
        api, postgres = sample.cpu_ms, sample.postgres_cpu_ms


def report_latency(kind: str, direct: Sample, ours: Sample) -> None:
    print(
        f"{kind} at 20 calls/s: adds p50 {ours.p50 - direct.p50:5.2f} ms, p99 {ours.p99 - direct.p99:5.2f} ms, "
        f"first byte {ours.first_p50 - direct.first_p50:5.2f} ms to a direct call of {direct.p50:4.2f} ms"
    )


async def measure(
    postgres: EmbeddedPostgres, port: int, kind: str, pid: int, *, seconds: float, key: str = "none"
) -> Sample:
    before, postgres_before = cpu_seconds([pid]), postgres_cpu_seconds(postgres)
    sample = await load(port, kind, seconds=seconds, key=key)
    calls = max(sample.calls, 1)
    sample.cpu_ms = (cpu_seconds([pid]) - before) * 1000 / calls
    sample.postgres_cpu_ms = (postgres_cpu_seconds(postgres) - postgres_before) * 1000 / calls
    return sample


async def load(
    port: int, kind: str, *, seconds: float, connections: int = CONNECTIONS, rate: float = 0, key: str = "none"
) -> Sample:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", str(port), str(connections), str(seconds), kind, str(rate), key,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return msgspec.convert(json.loads(output), Sample)


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time, user and system, of processes that still live."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for pid in pids:
        path = Path(f"/proc/{pid}/stat")
        if path.exists():
            fields = path.read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def postgres_cpu_seconds(postgres: EmbeddedPostgres) -> float:
    """Return the CPU time of the server's processes: the postmaster, its children, and those that have ended."""
    postmaster = int((postgres.ground / "data" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    ended = Path(f"/proc/{postmaster}/stat").read_text().rsplit(")", 1)[1].split()[13:15]
    return cpu_seconds([postmaster, *map(int, children)]) + sum(map(int, ended)) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def run_upstream() -> AsyncGenerator[int]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.upstream", str(port))
    try:
        await asyncio.sleep(1)
        yield port
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def run_relay(upstream: int) -> AsyncGenerator[tuple[int, int]]:
    """Run the baseline under the same server as the API; yields its port and process id."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "bench.relay:app", "--port", str(port), "--no-access-log", "--lifespan", "off",
        "--log-level", "warning", "--no-date-header", "--no-server-header",
        env={**os.environ, "BENCH_UPSTREAM": f"http://127.0.0.1:{upstream}/v1"},
    )  # fmt: skip
    try:
        async with httpx.AsyncClient() as http:
            for _ in range(200):
                try:
                    await http.get(f"http://127.0.0.1:{port}/readyz")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield port, process.pid
    finally:
        process.kill()
        await process.wait()
