"""A wallet is a hard limit: of many calls at once, exactly as many are served as it pays for."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence

import aiohttp
from tests.factories import mint, set_balance, sign_up
from tests.running import Database, make_database, run_api

from bench.drills.processes import run_processes
from bench.drills.progress import progress
from operis_api.kit.money import format_nano
from operis_db.embedded import EmbeddedPostgres

CALLS = 1000
CALL_NANO = 15_000
"""What the built-in model asks for one hello."""
HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "Hello"}]}


async def race(database: Database, *, repetitions: int, calls: int) -> list[str]:
    """Let so many calls run for a balance that pays for some of them, in one process and in two by turns."""
    findings: list[str] = []
    timeout = aiohttp.ClientTimeout(120)
    async with (
        run_api(database) as api,
        run_processes(database, 1) as [other],
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=timeout) as http,
    ):
        admin, account = await api.admin(), await sign_up(api)
        headers = {"Authorization": f"Bearer {await mint(account)}"}
        for nth in range(repetitions):
            paid_for, rest = random.randint(0, calls), random.randrange(CALL_NANO)
            await set_balance(admin, account, format_nano(paid_for * CALL_NANO + rest))
            urls = [api.base_url, other.base_url] if nth % 2 else [api.base_url]
            statuses = await call_at_once(http, urls, headers, calls)
            wallet = await account.client.get_wallet()
            expected = Counter({200: paid_for, 402: calls - paid_for})
            if statuses != expected or (wallet.available, wallet.held) != (format_nano(rest), "0"):
                findings.append(
                    f"for {paid_for} calls: {dict(statuses)}, {wallet.available} left of {format_nano(rest)}, "
                    f"{wallet.held} held"
                )
            progress(nth + 1, repetitions, "races")
    return findings + await database.broken_invariants()


async def call_at_once(
    http: aiohttp.ClientSession, urls: Sequence[str], headers: dict[str, str], calls: int
) -> Counter[int]:
    async def call(nth: int) -> int:
        url, body = urls[nth % len(urls)], {**HELLO, "stream": nth % 3 == 0}
        async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
            content = await response.read()
            whole = not body["stream"] or response.status != 200 or content.endswith(b"data: [DONE]\n\n")
            return response.status if whole else -1

    return Counter(await asyncio.gather(*(call(nth) for nth in range(calls))))


async def main(postgres: EmbeddedPostgres, repetitions: int) -> list[str]:
    began = time.monotonic()
    findings = await race(await make_database(postgres), repetitions=repetitions, calls=CALLS)
    print(f"{repetitions} times {CALLS} calls at once in {time.monotonic() - began:.0f} s: {len(findings)} differences")
    return findings
