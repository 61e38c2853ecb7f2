"""How a caller is told of the limit that binds, and that limits are exact over several processes."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import anthropic
import httpx
import pytest
from openai import RateLimitError

from operis_client import AsyncOperis
from tests.factories import Account, mint
from tests.running import Api, Database, run_api

HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "Hello"}]}  # 5 + 5 tokens, 0.000015 credits


async def limit(database: Database, account: Account, table: str, **columns: int | str | None) -> None:
    where = "id" if table == "organizations" else "organization_id"
    for column, value in columns.items():
        await database.fetch(
            f"UPDATE {table} SET {column} = $2 WHERE {where} = $1", UUID(account.organization_id), value
        )


async def call(api: Api, secret: str, **body: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret}"}
    return await api.http.post(f"{api.base_url}/v1/chat/completions", json={**HELLO, **body}, headers=headers)


async def call_at_once(apis: list[Api], secret: str, calls: int) -> Counter[int]:
    answers = await asyncio.gather(*(call(apis[nth % len(apis)], secret, stream=nth % 3 == 0) for nth in range(calls)))
    return Counter(answer.status_code for answer in answers)


async def test_100_calls_at_once_over_two_processes_on_a_key_budget_for_10_serve_10(
    api: Api, ada: Account, database: Database
) -> None:
    secret = await mint(ada)
    await limit(database, ada, "api_keys", budget_nano=10 * 15_000)
    async with run_api(database) as other:
        assert await call_at_once([api, other], secret, 100) == {200: 10, 402: 90}
    assert (await ada.client.list_keys()).items[0].spent == "0.00015"


async def test_100_calls_at_once_over_two_processes_on_20_requests_a_minute_serve_20(
    api: Api, ada: Account, database: Database
) -> None:
    secret = await mint(ada)
    await limit(database, ada, "memberships", rpm=20)
    async with run_api(database) as other:
        assert await call_at_once([api, other], secret, 100) == {200: 20, 429: 80}


async def test_tokens_per_minute_are_exact_over_two_processes(api: Api, ada: Account, database: Database) -> None:
    secret = await mint(ada)
    await limit(database, ada, "organizations", tpm=70)
    async with run_api(database) as other:
        assert await call_at_once([api, other], secret, 40) == {200: 7, 429: 33}


async def test_an_exhausted_budget_is_402_and_says_everything(api: Api, ada: Account, database: Database) -> None:
    secret = await mint(ada)
    await limit(database, ada, "api_keys", budget_daily_nano=20_000)
    assert (await call(api, secret)).status_code == 200
    refused = await call(api, secret)
    error = refused.json()["error"]
    assert refused.status_code == 402
    assert (error["code"], error["scope"], error["limit"]) == ("budget_exhausted", "key", "budget_daily")
    assert (error["value"], error["used"], error["held"], error["required"]) == ("0.00002", "0.000015", "0", "0.000015")
    assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600 + 1
    assert error["resets_at"].endswith("T00:00:00Z")
    assert "daily budget" in error["message"]


async def test_a_budget_for_good_gives_no_time_to_try_again(api: Api, ada: Account, database: Database) -> None:
    secret = await mint(ada)
    await limit(database, ada, "api_keys", budget_nano=1)
    refused = await call(api, secret)
    assert (refused.status_code, refused.json()["error"]["resets_at"]) == (402, None)
    assert "retry-after" not in refused.headers


async def test_a_rate_is_429_with_openais_headers_and_its_sdk_understands(
    api: Api, ada: Account, database: Database
) -> None:
    secret = await mint(ada)
    await limit(database, ada, "api_keys", rpm=2, tpm=1000)
    first = await call(api, secret)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    assert first.headers["x-ratelimit-remaining-tokens"] == "990"
    await call(api, secret)
    with pytest.raises(RateLimitError) as refusal:
        await api.openai(secret).chat.completions.create(
            model="operis/echo", messages=[{"role": "user", "content": "Hello"}]
        )
    assert refusal.value.code == "rate_limit_exceeded"
    assert 55 <= int(refusal.value.response.headers["retry-after"]) <= 63


async def test_a_rate_is_told_in_anthropics_headers_under_messages(api: Api, ada: Account, database: Database) -> None:
    secret = await mint(ada)
    await limit(database, ada, "api_keys", rpm=2, tpm=1000)
    client, messages = api.anthropic(secret), [{"role": "user", "content": "Hello"}]

    async def ask() -> httpx.Headers:
        answer = await client.messages.with_raw_response.create(
            model="operis/echo",
            max_tokens=5,
            messages=messages,  # pyright: ignore[reportArgumentType]  # a plain list
        )
        return httpx.Headers(dict(answer.headers))

    told = await ask()
    assert told["anthropic-ratelimit-requests-limit"] == "2"
    assert told["anthropic-ratelimit-requests-remaining"] == "1"
    assert told["anthropic-ratelimit-tokens-limit"] == "1000"
    assert told["anthropic-ratelimit-tokens-remaining"] == "990"
    reset = datetime.fromisoformat(told["anthropic-ratelimit-requests-reset"])
    assert 55 <= (reset - datetime.now(UTC)).total_seconds() <= 61
    assert not [name for name in told if name.startswith("x-ratelimit")]
    await ask()
    with pytest.raises(anthropic.RateLimitError) as refusal:
        await ask()
    told = refusal.value.response.headers
    assert told["anthropic-ratelimit-requests-remaining"] == "0"
    assert 55 <= int(told["retry-after"]) <= 63


async def test_a_refusal_by_a_rate_tells_the_rate_too(api: Api, ada: Account, database: Database) -> None:
    secret = await mint(ada)
    await limit(database, ada, "api_keys", tpm=15)
    await call(api, secret)
    told = (await call(api, secret)).headers
    assert (told["x-ratelimit-limit-tokens"], told["x-ratelimit-remaining-tokens"]) == ("15", "5")
    assert told["x-ratelimit-reset-tokens"].removesuffix("s").removeprefix("1m").isdigit()


async def test_an_unlimited_key_gets_no_rate_headers(api: Api, ada: Account) -> None:
    answer = await call(api, await mint(ada))
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


async def test_a_call_larger_than_the_tokens_of_a_minute_is_told_to_ask_for_less(
    api: Api, ada: Account, database: Database
) -> None:
    secret = await mint(ada)
    await limit(database, ada, "api_keys", tpm=9)
    error = (await call(api, secret)).json()["error"]
    assert (error["code"], error["value"], error["required"]) == ("rate_limit_exceeded", "9", "10")
    assert "Ask for less output" in error["message"]


async def test_concurrency_counts_open_streams(api: Api, ada: Account, database: Database) -> None:
    secret = await mint(ada)
    await limit(database, ada, "api_keys", concurrency=1)
    await database.fetch(
        "INSERT INTO holds (organization_id, id, created_at, lease_until, amount_nano, grant_ids, grant_amounts_nano,"
        " user_id, key_id, model_id, price_id, streamed, prompt_tokens) SELECT organization_id, gen_random_uuid(),"
        " now(), now() + interval '1 minute', 0, '{}', '{}', user_id, id, 'operis/echo',"
        " '00000000-0000-7000-8000-000000000004', true, 0 FROM api_keys WHERE organization_id = $1",
        UUID(ada.organization_id),
    )
    refused = await call(api, secret)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    error = refused.json()["error"]
    assert (error["code"], error["scope"], error["used"]) == ("concurrency_limit_exceeded", "key", "1")
    await database.fetch("DELETE FROM holds WHERE organization_id = $1", UUID(ada.organization_id))
    assert (await call(api, secret)).status_code == 200


async def test_a_plans_limits_hold_for_its_organizations_from_the_next_call_on(
    api: Api, admin: AsyncOperis, ada: Account, database: Database
) -> None:
    plan = await database.fetch(
        "INSERT INTO plans (id, name) VALUES (gen_random_uuid(), gen_random_uuid()::text) RETURNING id"
    )
    secret = await mint(ada)
    assert (await call(api, secret)).status_code == 200
    await limit(database, ada, "organizations", plan_id=plan[0]["id"])
    shown = await admin.update_plan(str(plan[0]["id"]), rpm=1, budget_monthly="5")
    assert (shown.rpm, shown.budget_monthly, shown.tpm) == (1, "5", None)
    assert (await call(api, secret)).status_code == 200
    assert (await call(api, secret)).json()["error"]["scope"] == "plan"
    await admin.update_plan(str(plan[0]["id"]), rpm=None)
    assert (await call(api, secret)).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [("rpm", 0), ("concurrency", -1), ("tpm", 2**63 - 1), ("budget", "-1"), ("budget_daily", "1e9"), ("budget", "NaN")],
)
async def test_a_limit_that_is_none_is_refused(api: Api, admin: AsyncOperis, field: str, value: int | str) -> None:
    plan = (await admin.list_plans()).items[0]
    answer = await api.http.patch(
        f"{api.base_url}/api/v1/admin/plans/{plan.id}",
        json={field: value},
        headers={"Authorization": f"Bearer {admin.token}"},
    )
    assert (answer.status_code, answer.json()["field"]) == (422, field)
