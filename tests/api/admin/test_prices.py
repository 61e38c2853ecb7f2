"""Prices are versions: a later one supersedes, none is edited, and each call pays the one in force."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from operis_client import AsyncOperis
from operis_client.models import Price, PriceTier
from tests.factories import Account, mint
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.refusing import refused
from tests.running import Api


@pytest.fixture
async def model(admin: AsyncOperis, provider: OpenAIUpstream, script: Script) -> str:
    """A model of 11 input and 7 output tokens a call, without a price."""
    model = f"acme/{secrets.token_hex(4)}"
    upstream = await admin.create_upstream(name=model, base_url=provider.base_url, api_key=API_KEY)
    await admin.create_model(id=model, upstream_id=upstream.id, upstream_model="real-model", default_output_tokens=100)
    return model


async def charge(api: Api, secret: str, model: str) -> str:
    answer = await api.openai(secret).chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "hi"}]
    )
    return answer.headers["x-operis-charge"]


async def test_a_new_price_is_charged_for_the_next_call_in_every_process(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account, model: str
) -> None:
    secret = await mint(ada)
    for price, expected in (("1", "0.000018"), ("2", "0.000036"), ("0.5", "0.000009"), ("0", "0"), ("3", "0.000054")):
        await admin.create_price(model_id=model, input=price, output=price)
        assert await charge(api, secret, model) == expected
        assert await charge(second_api, secret, model) == expected
    requests = (await ada.client.list_requests(limit=1)).items
    explained = await ada.client.explain_request(requests[0].id)
    newest = (await admin.list_prices(model_id=model)).items[0]
    assert explained.price_id == newest.id


async def test_a_later_price_begins_at_its_moment_in_every_process(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account, model: str
) -> None:
    secret = await mint(ada)
    await admin.create_price(model_id=model, input="1", output="1")
    moment = datetime.now(UTC) + timedelta(seconds=2)
    await admin.create_price(model_id=model, input="2", output="2", effective_from=moment)
    for running in (api, second_api):
        assert await charge(running, secret, model) == "0.000018"
    row = next(row for row in (await admin.list_model_rows()).items if row.id == model)
    assert row.price is not None
    assert row.price.input == "1"
    await asyncio.sleep((moment - datetime.now(UTC)).total_seconds() + 0.05)
    for running in (api, second_api):
        assert await charge(running, secret, model) == "0.000036"


async def test_a_model_whose_first_price_begins_later_is_on_offer_from_then_on(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account, model: str
) -> None:
    secret = await mint(ada)
    moment = datetime.now(UTC) + timedelta(seconds=2)
    await admin.create_price(model_id=model, input="1", output="1", effective_from=moment)
    for running in (api, second_api):
        client = running.client(secret)
        with refused(404, "model_not_found"):
            await client.create_chat_completion({"model": model, "messages": [{"role": "user", "content": "hi"}]})
        with refused(404, "model_not_found"):
            await client.get_gateway_model(model)
        assert model not in str(await client.list_gateway_models())
        assert model not in [row.id for row in (await running.client(ada.client.token).list_models()).items]
    await asyncio.sleep((moment - datetime.now(UTC)).total_seconds() + 0.05)
    for running in (api, second_api):
        assert await charge(running, secret, model) == "0.000018"
        assert model in str(await running.client(secret).list_gateway_models())


async def test_every_version_stays_listed_by_its_beginning(admin: AsyncOperis, model: str) -> None:
    later = datetime.now(UTC) + timedelta(days=30)
    await admin.create_price(model_id=model, input="3", output="6", effective_from=later)
    first = await admin.create_price(
        model_id=model,
        input="1.000001",
        output="2",
        cached_input="0.1",
        reasoning="4",
        per_request="1000",
        cost_input="0.5",
        cost_output="1.5",
    )
    second = await admin.create_price(model_id=model, input="1", output="2")
    assert (first.input, first.cached_input, first.reasoning) == ("1.000001", "0.1", "4")
    assert (first.per_request, first.cost_input, first.cost_output) == ("1000", "0.5", "1.5")
    assert (second.cached_input, second.reasoning, second.per_request, second.cost_input) == (None, None, None, None)
    pages: list[str] = []
    after: str | None = None
    while True:
        page = await admin.list_prices(model_id=model, limit=1, after=after)
        pages += [price.input for price in page.items]
        after = page.next
        if after is None:
            break
    assert pages == ["3", "1", "1.000001"]
    rows = (await admin.list_prices(limit=200)).items
    assert [row.effective_from for row in rows] == sorted((row.effective_from for row in rows), reverse=True)


async def test_a_version_keeps_every_meter_and_tier_it_was_given(
    api: Api, admin: AsyncOperis, ada: Account, model: str
) -> None:
    sale = {"input": "1", "output": "2", "cached_input": "0.1", "cache_write_5m": "1.25", "cache_write_1h": "2.5"}
    sale |= {"reasoning": "3", "audio_input": "4", "audio_output": "5", "image": "6", "per_request": "7"}
    cost = {f"cost_{meter}": f"0.{price.replace('.', '')}" for meter, price in sale.items()}
    tiers = [
        PriceTier(from_prompt_tokens=201, input="2", cost_input="1.5"),
        PriceTier(from_prompt_tokens=9000, image="9"),
    ]
    answer = await api.http.post(
        f"{api.base_url}/api/v1/admin/prices",
        json={"model_id": model, **sale, **cost, "tiers": msgspec.to_builtins(tiers)},
        headers={"authorization": f"Bearer {admin.token}"},
    )
    (price,) = (await admin.list_prices(model_id=model)).items
    assert msgspec.json.decode(answer.content, type=Price) == price
    assert {name: getattr(price, name) for name in (*sale, *cost)} == {**sale, **cost}
    assert price.tiers == tiers
    offered = next(row for row in (await ada.client.list_models()).items if row.id == model)
    assert {name: getattr(offered, name) for name in sale} == sale
    assert [(tier.from_prompt_tokens, tier.input, tier.image) for tier in offered.tiers] == [
        (201, "2", "6"),
        (9000, "2", "9"),
    ]
    (event,) = await api.database.fetch("SELECT after FROM audit_events WHERE target_id = $1", price.id)
    assert '"from_201": "input 2, cost_input 1.5"' in event["after"]


async def test_a_long_prompt_is_quoted_charged_and_explained_at_its_tier(
    api: Api, admin: AsyncOperis, ada: Account, model: str, script: Script
) -> None:
    tiers = [PriceTier(from_prompt_tokens=201, input="3", output="4", cost_input="2")]
    await admin.create_price(model_id=model, input="1", output="2", cost_input="0.5", cost_output="1", tiers=tiers)
    secret = await mint(ada)
    for prompt_tokens, cost, charged in ((200, "0.000107", "0.000214"), (201, "0.000409", "0.000631")):
        script.usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 7, "total_tokens": prompt_tokens + 7}
        answer = await api.openai(secret).chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "x" * 300}]
        )
        assert answer.headers["x-operis-charge"] == charged
        (request,) = (await ada.client.list_requests(limit=1)).items
        explained = await ada.client.explain_request(request.id)
        assert explained.price_from_prompt_tokens == (201 if prompt_tokens > 200 else 0)
        assert sum(Decimal(line.amount) for line in explained.meters) == Decimal(charged)
        assert Decimal(explained.hold) > Decimal("0.0009")  # by its bytes, each of which may be dear
        assert (await admin.list_admin_requests(limit=1)).items[0].cost == cost


async def test_a_price_cannot_begin_in_the_past(admin: AsyncOperis, model: str) -> None:
    for moment in (datetime.now(UTC) - timedelta(seconds=1), datetime(2020, 1, 1, tzinfo=UTC)):
        with refused(422, "invalid_field") as refusal:
            await admin.create_price(model_id=model, input="1", output="1", effective_from=moment)
        assert refusal.error.facts["field"] == "effective_from"
    assert (await admin.list_prices(model_id=model)).items == []


async def test_two_prices_do_not_begin_at_the_same_moment(admin: AsyncOperis, model: str) -> None:
    moment = datetime.now(UTC) + timedelta(days=1)
    await admin.create_price(model_id=model, input="1", output="1", effective_from=moment)
    with refused(409, "price_exists"):
        await admin.create_price(
            model_id=model,
            input="2",
            output="2",
            effective_from=moment.astimezone(datetime.now().astimezone().tzinfo),
        )
    assert [price.input for price in (await admin.list_prices(model_id=model)).items] == ["1"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"input": "-1"}, "input"),
        ({"input": "NaN"}, "input"),
        ({"input": "1e3"}, "input"),
        ({"input": "0.0000001"}, "input"),
        ({"input": "1000000.000001"}, "input"),
        ({"output": ""}, "output"),
        ({"output": "9999999999"}, "output"),
        ({"cached_input": "-0.1"}, "cached_input"),
        ({"per_request": "free"}, "per_request"),
        ({"cost_output": "1,5"}, "cost_output"),
        ({"effective_from": "2099-01-01T00:00:00"}, "effective_from"),
        ({"effective_from": "9999-12-31T23:59:59-14:00"}, "effective_from"),
        ({"effective_from": "2200-01-01T00:00:00Z"}, "effective_from"),
        ({"image": "-1"}, "image"),
        ({"cost_audio_output": "1e9"}, "cost_audio_output"),
        ({"tiers": [{"from_prompt_tokens": 0, "input": "1"}]}, "tiers[0].from_prompt_tokens"),
        ({"tiers": [{"from_prompt_tokens": 100_000_001, "input": "1"}]}, "tiers[0].from_prompt_tokens"),
        ({"tiers": [{"from_prompt_tokens": 9, "input": "1"}] * 2}, "tiers[1].from_prompt_tokens"),
        ({"tiers": [{"from_prompt_tokens": 9}]}, "tiers[0]"),
        ({"tiers": [{"from_prompt_tokens": 9, "cost_image": "NaN"}]}, "tiers[0].cost_image"),
        ({"tiers": [{"from_prompt_tokens": nth, "input": "1"} for nth in range(1, 10)]}, "tiers"),
    ],
)
async def test_what_a_price_cannot_be_is_refused_by_field(
    api: Api, admin: AsyncOperis, model: str, wrong: dict[str, object], field: str
) -> None:
    answer = await api.http.post(
        f"{api.base_url}/api/v1/admin/prices",
        json={"model_id": model, "input": "1", "output": "1", **wrong},
        headers={"authorization": f"Bearer {admin.token}"},
    )
    assert (answer.status_code, answer.json().get("field")) == (422, field), answer.text
    assert (await admin.list_prices(model_id=model)).items == []


async def test_a_price_needs_its_model(admin: AsyncOperis) -> None:
    with refused(404, "not_found"):
        await admin.create_price(model_id="acme/nowhere", input="1", output="1")


@pytest.mark.parametrize("cursor", ["WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwgIjEiXQ", "IjEi", "bm9uZQ"])
async def test_what_is_no_cursor_of_ours_is_refused(admin: AsyncOperis, cursor: str) -> None:
    with refused(422, "invalid_field"):
        await admin.list_prices(after=cursor)


async def test_there_is_no_way_to_edit_or_delete_a_price(api: Api, admin: AsyncOperis, model: str) -> None:
    price = await admin.create_price(model_id=model, input="1", output="1")
    for method in ("PUT", "PATCH", "DELETE"):
        answer = await api.http.request(
            method,
            f"{api.base_url}/api/v1/admin/prices/{price.id}",
            json={"input": "2"},
            headers={"authorization": f"Bearer {admin.token}"},
        )
        assert answer.status_code in {404, 405}
    assert (await admin.list_prices(model_id=model)).items == [price]
