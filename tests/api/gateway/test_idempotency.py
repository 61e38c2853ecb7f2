"""Idempotency-Key on calls of models: whatever is lost on the way, a call is charged once."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from operis_db.embedded import EmbeddedPostgres
from tests.factories import Account, mint, set_balance, sign_up
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.money.moving import LAPSE
from tests.running import Api, Database, make_database, run_api

QUESTION: list[dict[str, str]] = [{"role": "user", "content": "What is the answer?"}]
CHARGE = "0.0000975"


async def ask(
    api: Api, secret: str, model: str, *, key: str = "k", path: str = "chat/completions", **members: Any
) -> httpx.Response:
    body = {"model": model, "messages": QUESTION, **members}
    headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key}
    return await api.http.post(f"{api.base_url}/v1/{path}", json=body, headers=headers)


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def charges(account: Account) -> list[str]:
    return [row.charge for row in (await account.client.list_requests()).items]


async def test_a_retry_is_told_the_same_answer_and_not_charged_again(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    secret = await mint(ada)
    first = await ask(api, secret, real_model)
    script.words = ["Something else."]
    again = await ask(api, secret, real_model)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-operis-charge"] == first.headers["x-operis-charge"] == CHARGE
    assert again.headers["x-operis-request-id"] == first.headers["x-operis-request-id"]
    assert "idempotent-replayed" not in first.headers
    assert (len(provider.calls), await charges(ada)) == (1, [CHARGE])


@pytest.mark.parametrize("path", ["messages", "responses", "embeddings"])
async def test_each_kind_of_call_takes_the_key(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str, path: str
) -> None:
    secret = await mint(ada)
    members: Any = {"messages": {"max_tokens": 9}, "responses": {"messages": None, "input": "x"}}.get(
        path, {"input": "x"}
    )
    answers = [await ask(api, secret, real_model, path=path, **members) for _ in range(2)]
    assert answers[0].status_code == 200, answers[0].text
    assert answers[0].content == answers[1].content
    assert len(await charges(ada)) == 1
    assert script.status == 200


async def test_the_playground_may_retry_as_well(api: Api, ada: Account, script: Script, real_model: str) -> None:
    assert ada.client.token is not None
    answers = [await ask(api, ada.client.token, real_model) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert await charges(ada) == [CHARGE]
    assert script.status == 200


async def test_another_body_or_path_under_the_key_is_refused(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    secret = await mint(ada)
    await ask(api, secret, real_model)
    assert code_of(await ask(api, secret, real_model, temperature=1)) == (422, "idempotency_key_reused")
    other = await ask(api, secret, real_model, path="embeddings", input="x")
    assert code_of(other) == (422, "idempotency_key_reused")
    assert (len(provider.calls), await charges(ada)) == (1, [CHARGE])
    assert script.status == 200


async def test_the_key_belongs_to_the_api_key_that_sent_it(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    await ask(api, await mint(ada), real_model)
    await ask(api, await mint(ada), real_model, temperature=1)
    await ask(api, await mint(await sign_up(api)), real_model)
    assert len(provider.calls) == 3
    assert script.status == 200


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_that_is_none_is_refused(api: Api, ada: Account, key: str) -> None:
    assert code_of(await ask(api, await mint(ada), "operis/echo", key=key)) == (400, "invalid_request")
    assert await charges(ada) == []


async def test_of_many_at_once_one_is_made_and_charged(
    api: Api, second_api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    script.seconds_before_answer = 0.3
    secret = await mint(ada)
    answers = await asyncio.gather(
        *(ask(running, secret, real_model) for running in [api, second_api] for _ in range(8))
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses.count(200) >= 1
    assert set(statuses) <= {200, 409}
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert code_of(refused) == (409, "idempotency_key_in_use")
    assert refused.headers["retry-after"] == "2"
    assert (await ask(second_api, secret, real_model)).headers["idempotent-replayed"] == "true"
    assert (len(provider.calls), await charges(ada)) == (1, [CHARGE])


async def test_a_caller_that_leaves_finds_the_answer_when_it_asks_again(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    script.seconds_before_answer = 0.5
    secret = await mint(ada)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(api, secret, real_model), 0.2)
    async with asyncio.timeout(10):
        while (answer := await ask(api, secret, real_model)).status_code == 409:
            await asyncio.sleep(0.1)
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (200, "true")
    assert (len(provider.calls), await charges(ada)) == (1, [CHARGE])


async def test_what_failed_or_was_refused_may_be_asked_again(
    api: Api, ada: Account, admin: Any, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    secret = await mint(ada)
    script.status = 503
    assert (await ask(api, secret, real_model)).status_code == 502
    script.status = 400
    assert (await ask(api, secret, real_model)).status_code == 400
    await set_balance(admin, ada, "0")
    assert (await ask(api, secret, real_model)).status_code == 402
    await set_balance(admin, ada, "1")
    script.status = 200
    assert (await ask(api, secret, real_model)).status_code == 200
    assert await charges(ada) == [CHARGE, "0", "0"]


async def test_an_answer_too_large_to_keep_is_not_made_twice(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    script.words = ["x" * 300_000]
    secret = await mint(ada)
    first = await ask(api, secret, real_model)
    again = await ask(api, secret, real_model)
    assert (first.status_code, code_of(again)) == (200, (409, "answer_not_kept"))
    assert again.headers["x-should-retry"] == "false"  # SDKs would try a 409 again by themselves
    assert again.json()["error"]["first_request_id"] == first.headers["x-operis-request-id"]
    assert (len(provider.calls), await charges(ada)) == (1, [CHARGE])


async def test_a_stream_is_not_told_again_and_not_charged_again(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    secret = await mint(ada)
    assert (await ask(api, secret, real_model, stream=True)).content.endswith(b"data: [DONE]\n\n")
    assert code_of(await ask(api, secret, real_model, stream=True)) == (409, "answer_not_kept")
    assert (len(provider.calls), await charges(ada)) == (1, [CHARGE])
    assert script.status == 200


async def test_a_stream_that_broke_off_cost_nothing_and_may_be_asked_again(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    secret = await mint(ada)
    script.break_after_words, script.seconds_between_words = 2, 0.01
    assert b"broke off" in (await ask(api, secret, real_model, stream=True)).content
    script.break_after_words = None
    assert (await ask(api, secret, real_model, stream=True)).content.endswith(b"data: [DONE]\n\n")
    assert (len(provider.calls), await charges(ada)) == (2, [CHARGE, "0"])


async def test_a_stream_that_is_about_to_be_held_is_running_and_not_over(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    secret = await mint(ada)
    wallet = await asyncpg.connect(api.database.superuser_url)
    async with wallet.transaction():
        await wallet.execute("SELECT FROM wallets WHERE organization_id = $1 FOR UPDATE", UUID(ada.organization_id))
        first = asyncio.create_task(ask(api, secret, real_model, stream=True))
        kept = "SELECT FROM idempotent_calls WHERE organization_id = $1"
        async with asyncio.timeout(10):
            while not await api.database.fetch(kept, UUID(ada.organization_id)):
                await asyncio.sleep(0.01)
        assert code_of(await ask(api, secret, real_model, stream=True)) == (409, "idempotency_key_in_use")
    await wallet.close()
    assert (await first).content.endswith(b"data: [DONE]\n\n")
    assert code_of(await ask(api, secret, real_model, stream=True)) == (409, "answer_not_kept")
    assert (script.status, await charges(ada)) == (200, [CHARGE])


async def test_a_retry_in_the_moment_the_first_fails_is_made(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    secret, mine = await mint(ada), "organization_id = $1"
    assert (await ask(api, secret, real_model)).status_code == 200
    other = await asyncpg.connect(api.database.superuser_url)
    async with other.transaction():
        await other.execute(f"SELECT FROM idempotent_calls WHERE {mine} FOR UPDATE", UUID(ada.organization_id))
        again = asyncio.create_task(ask(api, secret, real_model))
        waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%idempotent_calls%'"
        async with asyncio.timeout(10):
            while not await api.database.fetch(waiting):
                await asyncio.sleep(0.01)
        await other.execute(f"DELETE FROM idempotent_calls WHERE {mine}", UUID(ada.organization_id))
    await other.close()
    answer = await again
    assert (answer.status_code, "idempotent-replayed" in answer.headers) == (200, False)
    assert (script.status, await charges(ada)) == (200, [CHARGE, CHARGE])


async def test_kept_answers_are_encrypted_and_end_after_a_day(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    secret = await mint(ada)
    await ask(api, secret, real_model)
    mine = f"organization_id = '{ada.organization_id}'"
    row = (await api.database.fetch(f"SELECT * FROM idempotent_calls WHERE {mine}"))[0]
    assert b"answer" not in row["answer_encrypted"]
    assert QUESTION[0]["content"] not in str(dict(row))
    await api.database.fetch(f"UPDATE idempotent_calls SET created_at = now() - interval '25 hours' WHERE {mine}")
    again = await ask(api, secret, real_model, temperature=1)
    assert again.status_code == 200
    assert (len(provider.calls), await charges(ada)) == (2, [CHARGE, CHARGE])
    assert script.status == 200


async def test_a_call_without_the_key_keeps_nothing(api: Api, ada: Account, script: Script, real_model: str) -> None:
    await api.openai(await mint(ada)).chat.completions.create(model=real_model, messages=QUESTION)  # type: ignore[arg-type]
    kept = "SELECT 1 FROM idempotent_calls WHERE organization_id = $1::uuid"
    assert await api.database.fetch(kept, ada.organization_id) == []
    assert script.status == 200


@pytest.fixture
async def own_database(postgres: EmbeddedPostgres) -> Database:
    return await make_database(postgres)


async def test_a_call_whose_process_was_killed_was_not_charged_and_is_made_again_a_minute_later(
    own_database: Database, provider: OpenAIUpstream, script: Script
) -> None:
    async with run_api(own_database) as dying, run_api(own_database) as living:
        admin = await dying.admin()
        upstream = await admin.create_upstream(name="Fake", base_url=provider.base_url, api_key=API_KEY)
        await admin.create_model(id="acme/large", upstream_id=upstream.id, upstream_model="real-model")
        await admin.create_price(model_id="acme/large", input="2.5", output="10")
        ada = await sign_up(living)
        secret = await mint(ada)
        script.seconds_before_answer = 20
        asking = asyncio.create_task(ask(dying, secret, "acme/large"))
        async with asyncio.timeout(10):
            while not provider.calls:
                await asyncio.sleep(0.02)
        await dying.kill()
        with pytest.raises(httpx.TransportError):
            await asking
        script.seconds_before_answer = 0
        assert code_of(await ask(living, secret, "acme/large")) == (409, "idempotency_key_in_use")
        await own_database.fetch("UPDATE idempotent_calls SET created_at = now() - interval '2 minutes'")
        assert code_of(await ask(living, secret, "acme/large")) == (409, "idempotency_key_in_use")  # it is still held
        await own_database.fetch(LAPSE)
        async with asyncio.timeout(30):
            while (answer := await ask(living, secret, "acme/large")).status_code == 409:
                await asyncio.sleep(0.2)
        assert answer.status_code == 200
        assert "idempotent-replayed" not in answer.headers
        assert await charges(ada) == [CHARGE, "0"]
        assert await own_database.broken_invariants() == []
