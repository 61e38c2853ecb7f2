"""Upstreams that fail rest, credentials that are limited rest alone, and operators see it."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import msgspec
import pytest

from operis_client import AsyncOperis
from operis_client.models import UpstreamHealth
from tests.factories import Account, mint
from tests.fakes.openai_upstream import ANOTHER_KEY, API_KEY, OpenAIUpstream, Script, run_openai_upstream
from tests.refusing import refused
from tests.running import Api


class Pair(msgspec.Struct):
    """A model with a first upstream, and a second that is asked where the first cannot be."""

    model: str
    first: OpenAIUpstream
    second: OpenAIUpstream
    first_id: str
    second_id: str

    def count(self) -> tuple[int, int]:
        return len(self.first.calls), len(self.second.calls)

    async def call(self, api: Api, secret: str) -> httpx.Response:
        return await api.http.post(
            f"{api.base_url}/v1/chat/completions",
            json={"model": self.model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5},
            headers={"Authorization": f"Bearer {secret}"},
        )


@pytest.fixture
async def pair(admin: AsyncOperis, ada: Account) -> AsyncGenerator[Pair]:
    async with run_openai_upstream() as first, run_openai_upstream() as second:
        name = f"pair/{ada.organization_id[-12:]}"
        ids = [
            (await admin.create_upstream(name=f"{name} {nth}", base_url=one.base_url, api_key=API_KEY)).id
            for nth, one in enumerate((first, second))
        ]
        await admin.create_model(id=name, upstream_id=ids[0], upstream_model="real")
        await admin.add_model_upstream(name, upstream_id=ids[1], upstream_model="real", priority=1)
        await admin.create_price(model_id=name, input="1", output="2")
        yield Pair(name, first, second, ids[0], ids[1])


async def wait_for(admin: AsyncOperis, upstream_id: str, state: str) -> UpstreamHealth:
    """Return the upstream's health once it is in this state; the jobs that write it down run every few seconds."""
    async with asyncio.timeout(40):
        while True:
            listed = (await admin.list_upstreams()).items
            health = next(one.health for one in listed if one.id == upstream_id)
            if health.state == state:
                return health
            await asyncio.sleep(0.1)


async def test_an_upstream_that_fails_five_times_in_a_row_rests_and_is_spared(
    api: Api, admin: AsyncOperis, ada: Account, pair: Pair
) -> None:
    secret = await mint(ada)
    pair.first.script = Script(status=500)
    for _ in range(8):
        assert (await pair.call(api, secret)).status_code == 200
    assert pair.count() == (5, 8)
    health = await wait_for(admin, pair.first_id, "resting")
    assert health.failures == 5
    assert health.last_error is not None
    assert "HTTP 500" in health.last_error
    assert health.resting_until is not None


async def test_after_its_rest_one_call_tries_and_all_follow_when_it_is_well(api: Api, ada: Account, pair: Pair) -> None:
    secret = await mint(ada)
    pair.first.script = Script(status=503)
    for _ in range(5):
        await pair.call(api, secret)
    assert pair.count() == (5, 5)
    pair.first.script = Script()
    await asyncio.sleep(10.5)
    for _ in range(3):
        assert (await pair.call(api, secret)).status_code == 200
    assert pair.count() == (8, 5)


async def test_an_upstream_without_another_is_asked_however_often_it_failed(
    api: Api, admin: AsyncOperis, ada: Account, pair: Pair
) -> None:
    await admin.update_upstream(pair.second_id, enabled=False)
    secret = await mint(ada)
    pair.first.script = Script(status=500)
    assert [(await pair.call(api, secret)).status_code for _ in range(7)] == [502] * 7
    pair.first.script = Script()
    assert (await pair.call(api, secret)).status_code == 200


async def test_what_is_wrong_with_a_request_or_a_model_is_no_ones_illness(api: Api, ada: Account, pair: Pair) -> None:
    secret = await mint(ada)
    pair.first.script = Script(status=400)
    assert [(await pair.call(api, secret)).status_code for _ in range(7)] == [400] * 7
    pair.first.script = Script(status=404)
    assert [(await pair.call(api, secret)).status_code for _ in range(7)] == [200] * 7
    assert pair.count() == (14, 7)


async def test_a_limited_credential_rests_alone_and_the_next_one_answers(
    api: Api, admin: AsyncOperis, ada: Account, pair: Pair
) -> None:
    await admin.update_upstream(pair.second_id, enabled=False)
    shown = await admin.add_upstream_key(pair.first_id, api_key=ANOTHER_KEY)
    assert [key.last_four for key in shown.further_keys] == ["5678"]
    pair.first.script = Script(limited_keys={ANOTHER_KEY: "30"})
    secret = await mint(ada)
    for _ in range(20):
        assert (await pair.call(api, secret)).status_code == 200
    assert pair.first.limited <= 1


async def test_a_further_key_shares_the_load_and_can_be_taken_away(
    api: Api, admin: AsyncOperis, ada: Account, pair: Pair
) -> None:
    added = await admin.add_upstream_key(pair.first_id, api_key=ANOTHER_KEY)
    secret = await mint(ada)
    for _ in range(30):
        await pair.call(api, secret)
    used = set(pair.first.keys_used)
    assert used == {API_KEY, ANOTHER_KEY}
    left = await admin.remove_upstream_key(pair.first_id, added.further_keys[0].id)
    assert left.further_keys == []
    pair.first.keys_used.clear()
    for _ in range(10):
        await pair.call(api, secret)
    assert set(pair.first.keys_used) == {API_KEY}
    with refused(404, "not_found"):
        await admin.remove_upstream_key(pair.first_id, added.further_keys[0].id)


async def test_a_new_address_is_refused_while_further_keys_would_follow_it(admin: AsyncOperis, pair: Pair) -> None:
    await admin.add_upstream_key(pair.first_id, api_key=ANOTHER_KEY)
    moved = pair.first.base_url.replace("127.0.0.1", "127.0.0.2")
    with refused(422, "invalid_field") as refusal:
        await admin.update_upstream(pair.first_id, base_url=moved, api_key=API_KEY)
    assert refusal.error.facts["field"] == "base_url"


async def test_each_attempt_keeps_its_usage_cost_latency_and_error(
    api: Api, admin: AsyncOperis, ada: Account, pair: Pair
) -> None:
    await admin.create_price(model_id=pair.model, input="1", output="2", cost_input="0.5", cost_output="1")
    pair.first.script = Script(status=500)
    answer = await pair.call(api, await mint(ada))
    explained = await admin.explain_admin_request(ada.organization_id, answer.headers["x-operis-request-id"])
    failed, answered = explained.attempts
    assert (failed.status, failed.usage, failed.cost) == (500, {}, "0")
    assert failed.error is not None
    assert (answered.status, answered.error) == (200, None)
    assert answered.usage == {"input": 11, "output": 7, "per_request": 1}
    assert answered.cost == "0.0000125"


async def test_upstreams_are_asked_how_they_are_and_operators_see_it(api: Api, admin: AsyncOperis, pair: Pair) -> None:
    assert api.process.returncode is None
    health = await wait_for(admin, pair.first_id, "well")
    assert health.check_error is None
    assert health.checked_at is not None
    assert health.check_latency_ms is not None
