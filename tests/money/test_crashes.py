"""The API killed in the middle: after a restart the books balance, and what was delivered is charged once."""

import asyncio
import json
from fractions import Fraction
from math import ceil

import httpx

from operis_client import AsyncOperis
from operis_db.embedded import EmbeddedPostgres
from tests.factories import Account, mint, sign_up
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.money.moving import LAPSE
from tests.running import Api, Database, make_database, run_api


async def stream_until(api: Api, secret: str, model: str, *, words: int | None) -> int:
    """Read a stream until so many words have come (None: to its end); returns how many came."""
    body = {"model": model, "messages": [{"role": "user", "content": "Count"}], "stream": True}
    seen = 0
    async with (
        httpx.AsyncClient(timeout=60) as http,
        http.stream(
            "POST",
            f"{api.base_url}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {secret}"},
        ) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                seen += bool(chunk["choices"] and chunk["choices"][0]["delta"].get("content"))
            if seen == words or (words is None and line == "data: [DONE]"):
                return seen
    raise AssertionError(f"the stream ended after {seen} words")


async def serve_model(api: Api, provider: OpenAIUpstream) -> str:
    admin = await api.admin()
    upstream = await admin.create_upstream(name="Slow provider", base_url=provider.base_url, api_key=API_KEY)
    await admin.create_model(id="acme/slow", upstream_id=upstream.id, upstream_model="real-model")
    await admin.create_price(model_id="acme/slow", input="2", output="10")
    return "acme/slow"


async def let_leases_lapse(database: Database) -> None:
    """Let a minute pass for holds nobody renews."""
    await database.fetch(LAPSE)


async def wait_until_released(account: Account) -> None:
    async with asyncio.timeout(40):
        while (await account.client.get_wallet()).held != "0":
            await asyncio.sleep(0.1)


async def test_a_kill_in_the_middle_of_a_stream_charges_what_was_delivered_once_and_releases_the_rest(
    postgres: EmbeddedPostgres, provider: OpenAIUpstream, script: Script
) -> None:
    database = await make_database(postgres)
    script.words, script.seconds_between_words = ["four "] * 400, 0.02
    async with run_api(database) as first:
        model = await serve_model(first, provider)
        account = await sign_up(first)
        plan = (await (await first.admin()).list_plans()).items[0]
        await (await first.admin()).set_multiplier(plan_id=plan.id, multiplier="2/3")
        secret = await mint(account)
        reading = asyncio.create_task(stream_until(first, secret, model, words=200))
        assert await reading == 200  # some four seconds: at least one checkpoint
        # The client that left is still being drained when the process dies.
        await first.kill()
        held = await database.fetch("SELECT amount_nano, output_tokens FROM holds")
        assert len(held) == 1
        assert held[0]["output_tokens"] > 0
    await let_leases_lapse(database)
    async with run_api(database) as second:
        account = Account(second.client(account.client.token), account.user_id, account.organization_id, account.email)
        await wait_until_released(account)
        request = (await account.client.list_requests()).items[0]
        assert request.outcome == "interrupted"
        assert request.estimated
        assert request.output_tokens == held[0]["output_tokens"]
        explained = await account.client.explain_request(request.id)
        assert {line.meter: line.quantity for line in explained.meters}["output"] == request.output_tokens
        multiplied = sum(Fraction(line.amount) for line in explained.meters) * Fraction(explained.multiplier)
        assert (explained.multiplier, Fraction(request.charge)) == ("2/3", Fraction(ceil(multiplied * 10**9), 10**9))
        assert await database.broken_invariants() == []
        await asyncio.sleep(11)  # another turn of the sweeper
        assert len((await account.client.list_requests()).items) == 1
        assert (await account.client.get_wallet()).held == "0"


async def test_a_kill_before_the_first_token_costs_nothing(
    postgres: EmbeddedPostgres, provider: OpenAIUpstream, script: Script
) -> None:
    database = await make_database(postgres)
    script.words, script.seconds_between_words = ["late"], 30
    async with run_api(database) as first:
        model = await serve_model(first, provider)
        account = await sign_up(first)
        secret = await mint(account)
        asking = asyncio.create_task(stream_until(first, secret, model, words=1))
        while not await database.fetch("SELECT FROM holds"):
            await asyncio.sleep(0.02)
        await first.kill()
        await asyncio.gather(asking, return_exceptions=True)
    await let_leases_lapse(database)
    async with run_api(database) as second:
        client: AsyncOperis = second.client(account.client.token)
        account = Account(client, account.user_id, account.organization_id, account.email)
        await wait_until_released(account)
        request = (await client.list_requests()).items[0]
        assert (request.outcome, request.charge) == ("interrupted", "0")
        assert await account.available() == "1"
        assert await database.broken_invariants() == []


async def test_a_stop_lets_running_streams_end_and_settles_them(
    postgres: EmbeddedPostgres, provider: OpenAIUpstream, script: Script
) -> None:
    database = await make_database(postgres)
    script.words, script.seconds_between_words = ["word "] * 20, 0.05
    async with run_api(database) as running:
        model = await serve_model(running, provider)
        account = await sign_up(running)
        secret = await mint(account)
        reading = asyncio.create_task(stream_until(running, secret, model, words=None))
        while not await database.fetch("SELECT FROM holds"):
            await asyncio.sleep(0.02)
        assert await running.stop() == 0
        assert await reading == 20
    rows = await database.fetch("SELECT outcome, charge_nano FROM usage_records")
    assert [(row["outcome"], row["charge_nano"]) for row in rows] == [("completed", 92_000)]  # 11 x 2 + 7 x 10
    assert await database.broken_invariants() == []
