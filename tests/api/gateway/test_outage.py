"""The database killed under load: no free answers, nothing acknowledged is lost, and service comes back by itself."""

import asyncio

import httpx

from operis_db.embedded import EmbeddedPostgres
from tests.factories import mint, sign_up
from tests.fakes.anthropic_upstream import API_KEY as ANTHROPIC_API_KEY
from tests.fakes.anthropic_upstream import AnthropicUpstream, text_block
from tests.fakes.anthropic_upstream import Script as AnthropicScript
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.running import Api, kill_postgres, make_database, run_api

HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "Hello"}]}


async def call(api: Api, secret: str) -> httpx.Response:
    return await api.http.post(
        f"{api.base_url}/v1/chat/completions", json=HELLO, headers={"Authorization": f"Bearer {secret}"}
    )


async def test_without_its_database_the_gateway_answers_503_and_recovers_by_itself(
    own_postgres: EmbeddedPostgres,
) -> None:
    database = await make_database(own_postgres)
    async with run_api(database) as api:
        account = await sign_up(api)
        secret = await mint(account)
        assert (await call(api, secret)).status_code == 200
        kill_postgres(own_postgres)
        refused = await call(api, secret)
        assert (refused.status_code, refused.headers.get("retry-after")) == (503, "5"), api.log.read_text()
        assert refused.json()["error"]["code"] == "unavailable"
        problem = await api.http.get(f"{api.base_url}/readyz")
        assert (problem.status_code, problem.json()["code"]) == (503, "unavailable")
        assert (await api.http.get(f"{api.base_url}/healthz")).status_code == 200
        with EmbeddedPostgres(own_postgres.directory.parent):  # starts what was killed
            async with asyncio.timeout(30):
                while (await call(api, secret)).status_code != 200:
                    await asyncio.sleep(0.2)
            assert await account.available() == "0.99997"
            assert await database.broken_invariants() == []


async def test_a_stream_that_outlives_its_database_is_settled_when_it_is_back(
    own_postgres: EmbeddedPostgres, provider: OpenAIUpstream, script: Script
) -> None:
    database = await make_database(own_postgres)
    script.words, script.seconds_between_words = ["word "] * 20, 0.05
    async with run_api(database) as api:
        admin = await api.admin()
        upstream = await admin.create_upstream(name="Provider", base_url=provider.base_url, api_key=API_KEY)
        await admin.create_model(id="acme/long", upstream_id=upstream.id, upstream_model="real-model")
        await admin.create_price(model_id="acme/long", input="2", output="10")
        account = await sign_up(api)
        secret = await mint(account)
        body = {"model": "acme/long", "messages": [{"role": "user", "content": "Go on"}], "stream": True}
        request = api.http.stream(
            "POST", f"{api.base_url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"}
        )
        async with request as response:
            chunks = aiter(response.aiter_text())
            text = await anext(chunks)
            kill_postgres(own_postgres)
            await asyncio.sleep(2)  # the provider has finished by now; its settlement cannot commit
            with EmbeddedPostgres(own_postgres.directory.parent):
                async for chunk in chunks:
                    text += chunk
                assert text.endswith("data: [DONE]\n\n")
                rows = await database.fetch("SELECT outcome, charge_nano FROM usage_records")
                assert [(row["outcome"], row["charge_nano"]) for row in rows] == [("completed", 92_000)]
                assert await database.broken_invariants() == []


async def test_the_end_of_a_message_waits_for_its_settlement(
    own_postgres: EmbeddedPostgres, claude_provider: AnthropicUpstream, claude_script: AnthropicScript
) -> None:
    database = await make_database(own_postgres)
    claude_script.blocks, claude_script.seconds_between_deltas = [text_block("word " * 20)], 0.05
    async with run_api(database) as api:
        admin = await api.admin()
        upstream = await admin.create_upstream(
            name="Provider", protocol="anthropic", base_url=claude_provider.base_url, api_key=ANTHROPIC_API_KEY
        )
        await admin.create_model(id="acme/long", upstream_id=upstream.id, upstream_model="real-claude")
        await admin.create_price(model_id="acme/long", input="3", output="15")
        body = {"model": "acme/long", "max_tokens": 99, "messages": HELLO["messages"], "stream": True}
        headers = {"x-api-key": await mint(await sign_up(api))}
        received: list[str] = []
        async with api.http.stream("POST", f"{api.base_url}/v1/messages", json=body, headers=headers) as response:
            chunks = aiter(response.aiter_text())
            received.append(await anext(chunks))
            kill_postgres(own_postgres)

            async def collect() -> None:
                async for chunk in chunks:
                    received.append(chunk)  # noqa: PERF401  # what has come is looked at while more is awaited

            reading = asyncio.create_task(collect())
            await asyncio.sleep(2)  # the provider has finished by now; its settlement cannot commit
            assert not reading.done()
            assert "event: content_block_stop" in "".join(received)
            assert "message_delta" not in "".join(received)
            with EmbeddedPostgres(own_postgres.directory.parent):
                await asyncio.wait_for(reading, 30)
                events = "".join(received).strip().split("\n\n")
                assert [event.split("\n")[0] for event in events[-2:]] == [
                    "event: message_delta",
                    "event: message_stop",
                ]
                assert '"cost":"0.000138"' in events[-2]
                rows = await database.fetch("SELECT outcome, charge_nano FROM usage_records")
                assert [(row["outcome"], row["charge_nano"]) for row in rows] == [("completed", 138_000)]
                assert await database.broken_invariants() == []
