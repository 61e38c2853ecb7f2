"""`make drill`: the API is killed again and again under load; afterwards the books must balance to the nanocredit.

Then a soak of random movements by many clients (bench/soak.py). Usage: python -m bench.drills [KILLS [OPERATIONS]].
Ends with exit code 1 and what is wrong, if anything is.
"""

import asyncio
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from uuid import UUID

import httpx
from tests.factories import Account, mint, sign_up
from tests.fakes.openai_upstream import API_KEY, Script, run_openai_upstream
from tests.running import Api, Database, make_database, run_api

from bench import soak
from operis_db.embedded import EmbeddedPostgres

KILLS = 25
OPERATIONS = 100_000
CLIENTS = 64
CALLERS = 12
CHARGE_NANO = 92_000
"""11 prompt tokens at 2 and 7 completion tokens at 10 credits per million: what every finished call costs."""


async def main(kills: int) -> int:
    directory = Path(tempfile.mkdtemp(prefix="operis-drill-"))
    directory.chmod(0o755)
    try:
        with EmbeddedPostgres(directory) as postgres:
            database = await make_database(postgres)
            async with run_openai_upstream() as provider:
                provider.script = Script(seconds_between_words=0.05)
                account, secret = await prepare(database, provider.base_url)
                seen: dict[str, str] = {}
                for nth in range(kills):
                    await run_and_kill(database, secret, seen)
                    print(f"kill {nth + 1} of {kills}: {dict(Counter(seen.values()))}", flush=True)
                await resolve(database, account)
                return await judge(database, seen)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def prepare(database: Database, base_url: str) -> tuple[Account, str]:
    async with run_api(database) as api:
        admin = await api.admin()
        upstream = await admin.create_upstream(name="Drill", base_url=base_url, api_key=API_KEY)
        await admin.create_model(id="acme/drill", upstream_id=upstream.id, upstream_model="real-model")
        await admin.create_price(model_id="acme/drill", input="2", output="10")
        account = await sign_up(api)
        await admin.adjust_wallet(account.organization_id, amount="1000", reason="drill")
        return account, await mint(account)


async def run_and_kill(database: Database, secret: str, seen: dict[str, str]) -> None:
    """Load the API until it is killed at a random moment; `seen` learns what clients saw, by request id."""
    async with run_api(database) as api:
        callers = [asyncio.create_task(call_for_ever(api, secret, seen)) for _ in range(CALLERS)]
        await asyncio.sleep(random.uniform(0.2, 2.5))
        await api.kill()
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


async def call_for_ever(api: Api, secret: str, seen: dict[str, str]) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        while True:
            body = {
                "model": "acme/drill",
                "messages": [{"role": "user", "content": "Drill"}],
                "stream": random.random() < 0.5,
            }
            request = http.stream(
                "POST",
                f"{api.base_url}/v1/chat/completions",
                json=body,
                headers={"Authorization": f"Bearer {secret}"},
            )
            async with request as response:
                request_id = response.headers["x-request-id"]
                seen[request_id] = "begun"
                content = await response.aread()
                if response.status_code == 200 and (not body["stream"] or content.endswith(b"data: [DONE]\n\n")):
                    seen[request_id] = "finished"


async def resolve(database: Database, account: Account) -> None:
    """Let a minute pass for the holds of the dead, and wait for the sweeper."""
    await database.fetch("UPDATE holds SET lease_until = now() - interval '1 second'")
    async with run_api(database):
        async with asyncio.timeout(60):
            while await database.fetch("SELECT FROM holds WHERE organization_id = $1", UUID(account.organization_id)):
                await asyncio.sleep(0.5)


async def judge(database: Database, seen: dict[str, str]) -> int:
    rows = await database.fetch("SELECT id, outcome, charge_nano, hold_nano FROM usage_records")
    records = {str(row["id"]): row for row in rows}
    wrong = await database.broken_invariants()
    for request_id, state in seen.items():
        record = records.get(request_id)
        if state == "finished" and (record is None or record["charge_nano"] != CHARGE_NANO):
            wrong.append(f"{request_id} was answered to its end, but its record is {record}")
        if state == "begun" and record is None:
            wrong.append(f"{request_id} had begun, but has no record")
    outcomes = Counter(row["outcome"] for row in rows)
    print(f"{len(rows)} calls: {dict(outcomes)}; {sum(state == 'finished' for state in seen.values())} answered whole")
    for line in wrong:
        print(f"WRONG: {line}")
    print("every finished call is charged once, every hold is resolved, the books balance" if not wrong else "FAILED")
    return 1 if wrong else 0


if __name__ == "__main__":
    kills, operations, *_ = [*map(int, sys.argv[1:]), *(KILLS, OPERATIONS)[len(sys.argv) - 1 :]]
    sys.exit(asyncio.run(main(kills)) or asyncio.run(soak.main(operations, CLIENTS)))
