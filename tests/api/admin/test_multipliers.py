"""What a plan pays of the prices: exact, in force for the next call, and each call keeps the one it began with."""

import asyncio
import secrets
from decimal import Decimal

import pytest

from operis_client import AsyncOperis
from tests.factories import Account, mint, set_balance
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.refusing import refused
from tests.running import Api

NOWHERE = "00000000-0000-7000-8000-00000000dead"


@pytest.fixture
async def model(admin: AsyncOperis, provider: OpenAIUpstream, script: Script) -> str:
    """A model of 11 input and 7 output tokens a call, at 1 and 2 credits per million: 25,000 nanocredits."""
    model = f"acme/{secrets.token_hex(4)}"
    upstream = await admin.create_upstream(name=model, base_url=provider.base_url, api_key=API_KEY)
    await admin.create_model(id=model, upstream_id=upstream.id, upstream_model="real-model", default_output_tokens=100)
    await admin.create_price(model_id=model, input="1", output="2", cost_input="0.5", cost_output="1")
    return model


@pytest.fixture
async def plan_id(api: Api, ada: Account) -> str:
    """A plan of ada's own."""
    name = f"plan {secrets.token_hex(4)}"
    (row,) = await api.database.fetch(
        "INSERT INTO plans (id, name) VALUES (gen_random_uuid(), $1) RETURNING id::text AS id", name
    )
    await api.database.fetch(
        "UPDATE organizations SET plan_id = $1::text::uuid WHERE id = $2::text::uuid", row["id"], ada.organization_id
    )
    return str(row["id"])


async def charge(api: Api, secret: str, model: str) -> str:
    answer = await api.openai(secret).chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "hi"}]
    )
    return answer.headers["x-operis-charge"]


async def test_a_plan_pays_its_part_of_the_price_in_every_process_from_the_next_call_on(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account, model: str, plan_id: str
) -> None:
    secret = await mint(ada)
    for multiplier, shown, expected in (
        ("0.8", "0.8", "0.00002"),
        ("1/3", "1/3", "0.000008334"),  # 8,333.33 nanocredits, rounded up once
        ("1.5", "1.5", "0.0000375"),
        ("4/5", "0.8", "0.00002"),
        ("0", "0", "0"),
        ("1", "1", "0.000025"),
    ):
        assert (await admin.set_multiplier(plan_id=plan_id, multiplier=multiplier)).multiplier == shown
        for running in (api, second_api):
            assert await charge(running, secret, model) == expected
            offered = (await running.client(ada.client.token).list_models()).items
            assert next(row for row in offered if row.id == model).multiplier == shown
    (row,) = [row for row in (await admin.list_multipliers()).items if row.plan_id == plan_id]
    assert (row.model_id, row.multiplier) == (None, "1")


async def test_what_is_said_for_a_model_stands_before_what_is_said_for_the_plan(
    api: Api, admin: AsyncOperis, ada: Account, model: str, plan_id: str
) -> None:
    secret = await mint(ada)
    await admin.set_multiplier(plan_id=plan_id, multiplier="0.5")
    own = await admin.set_multiplier(plan_id=plan_id, model_id=model, multiplier="2")
    assert await charge(api, secret, model) == "0.00005"
    await admin.remove_multiplier(own.id)
    assert await charge(api, secret, model) == "0.0000125"
    with refused(404, "not_found"):
        await admin.remove_multiplier(own.id)
    events = await api.database.fetch(
        "SELECT action, before, after FROM audit_events WHERE target_id = $1 ORDER BY created_at, id", plan_id
    )
    assert [event["action"] for event in events] == ["multiplier.set", "multiplier.set", "multiplier.remove"]
    assert '"multiplier": "2"' in events[1]["after"]
    assert '"multiplier": "2"' in events[2]["before"]


async def test_an_organization_that_changes_its_plan_pays_by_the_new_one_at_once(
    api: Api, admin: AsyncOperis, ada: Account, model: str, plan_id: str
) -> None:
    secret = await mint(ada)
    assert await charge(api, secret, model) == "0.000025"
    (other,) = await api.database.fetch(
        "INSERT INTO plans (id, name) VALUES (gen_random_uuid(), $1) RETURNING id::text AS id", secrets.token_hex(8)
    )
    await admin.set_multiplier(plan_id=other["id"], multiplier="0.1")
    await api.database.fetch(
        "UPDATE organizations SET plan_id = $1::text::uuid WHERE id = $2::text::uuid",
        other["id"],
        ada.organization_id,
    )
    assert await charge(api, secret, model) == "0.0000025"


async def test_a_call_keeps_the_multiplier_it_began_with_and_its_charge_is_explained_by_it(
    api: Api, admin: AsyncOperis, ada: Account, model: str, plan_id: str, script: Script
) -> None:
    secret = await mint(ada)
    await admin.set_multiplier(plan_id=plan_id, multiplier="1/3")
    script.seconds_between_words = 0.3
    stream = await api.openai(secret).chat.completions.create(
        model=model, messages=[{"role": "user", "content": "hi"}], stream=True
    )
    await anext(aiter(stream))
    await admin.set_multiplier(plan_id=plan_id, multiplier="3")
    async for _ in stream:
        pass
    (request,) = (await ada.client.list_requests(limit=1)).items
    explained = await ada.client.explain_request(request.id)
    assert (request.charge, explained.multiplier) == ("0.000008334", "1/3")
    assert sum(Decimal(line.amount) for line in explained.meters) == Decimal("0.000025")
    assert (await admin.list_admin_requests(limit=1)).items[0].cost == "0.0000125"  # what the upstream asks stays


async def test_the_quote_is_multiplied_too(
    api: Api, admin: AsyncOperis, ada: Account, model: str, plan_id: str
) -> None:
    secret = await mint(ada)
    await set_balance(admin, ada, "0.0001")
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}
    with refused(402, "insufficient_credits") as refusal:
        await api.client(secret).create_chat_completion(body)
    whole = Decimal(str(refusal.error.facts["required"]))
    affordable = int(str(refusal.error.facts["affordable_output_tokens"]))
    await admin.set_multiplier(plan_id=plan_id, multiplier="2/3")
    with refused(402, "insufficient_credits") as refusal:
        await api.client(secret).create_chat_completion(body)
    multiplied = Decimal(str(refusal.error.facts["required"]))
    assert multiplied - Decimal("0.000000001") < whole * 2 / 3 <= multiplied
    assert int(str(refusal.error.facts["affordable_output_tokens"])) > affordable
    await admin.set_multiplier(plan_id=plan_id, multiplier="1/2")
    assert (await api.client(secret).create_chat_completion(body))["model"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"multiplier": ""}, "multiplier"),
        ({"multiplier": "-1"}, "multiplier"),
        ({"multiplier": "1/0"}, "multiplier"),
        ({"multiplier": "1/1000001"}, "multiplier"),
        ({"multiplier": "1e3"}, "multiplier"),
        ({"multiplier": "NaN"}, "multiplier"),
        ({"multiplier": "0.1234567"}, "multiplier"),
        ({"multiplier": "1000.000001"}, "multiplier"),
        ({"multiplier": "1/-2"}, "multiplier"),
        ({"multiplier": "\u0661"}, "multiplier"),
        ({"plan_id": NOWHERE}, "plan_id"),
    ],
)
async def test_what_a_multiplier_cannot_be_is_refused_by_field(
    api: Api, admin: AsyncOperis, plan_id: str, wrong: dict[str, str], field: str
) -> None:
    answer = await api.http.post(
        f"{api.base_url}/api/v1/admin/multipliers",
        json={"plan_id": plan_id, "multiplier": "1", **wrong},
        headers={"authorization": f"Bearer {admin.token}"},
    )
    assert (answer.status_code, answer.json().get("field")) == (422, field), answer.text
    assert [row for row in (await admin.list_multipliers()).items if row.plan_id == plan_id] == []


async def test_a_multiplier_needs_a_model_that_is_there(admin: AsyncOperis, plan_id: str) -> None:
    with refused(404, "not_found"):
        await admin.set_multiplier(plan_id=plan_id, model_id="acme/nowhere", multiplier="1")


async def test_the_same_multiplier_set_many_times_at_once_is_one(admin: AsyncOperis, model: str, plan_id: str) -> None:
    await asyncio.gather(
        *(admin.set_multiplier(plan_id=plan_id, model_id=model, multiplier=f"{nth}/20") for nth in range(1, 21))
    )
    assert len([row for row in (await admin.list_multipliers()).items if row.plan_id == plan_id]) == 1
