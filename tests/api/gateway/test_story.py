"""The story a stranger lives through first, by the typed client and the official OpenAI SDK."""

from decimal import Decimal
from typing import cast

import pytest
from openai import APIStatusError

from operis_client import AsyncOperis
from tests.factories import Account, mint, set_balance
from tests.fakes.openai_upstream import OpenAIUpstream, Script
from tests.running import Api


async def test_somebody_signs_up_chats_runs_dry_and_goes_on_with_an_administrators_credit(
    api: Api, admin: AsyncOperis, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    assert await ada.available() == "1"
    secret = await mint(ada)
    openai = api.openai(secret)

    said = await openai.chat.completions.with_raw_response.create(
        model="operis/echo", messages=[{"role": "user", "content": "Hello"}]
    )
    assert said.parse().choices[0].message.content == "Hello"
    assert said.headers["x-operis-charge"] == "0.000015"  # 5 x 1 + 5 x 2 credits per million
    assert await ada.available() == "0.999985"

    answer = await openai.chat.completions.create(
        model=real_model, messages=[{"role": "user", "content": "What is the answer?"}]
    )
    assert answer.choices[0].message.content == "The answer is 42."
    assert answer.usage is not None
    assert answer.usage.model_extra == {"cost": "0.0000975"}  # 11 x 2.5 + 7 x 10 credits per million
    assert provider.calls[-1]["model"] == "real-model"

    stream = await openai.chat.completions.create(
        model=real_model,
        messages=[{"role": "user", "content": "Once more"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "The answer is 42."
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.model_extra == {"cost": "0.0000975"}
    assert await ada.available() == "0.99979"

    requests = await ada.client.list_requests()
    assert [(row.model, row.charge, row.streamed) for row in requests.items] == [
        (real_model, "0.0000975", True),
        (real_model, "0.0000975", False),
        ("operis/echo", "0.000015", False),
    ]
    entries = await ada.client.list_wallet_entries()
    assert [(entry.amount, entry.balance_after) for entry in entries.items] == [
        ("-0.0000975", "0.99979"),
        ("-0.0000975", "0.9998875"),
        ("-0.000015", "0.999985"),
        ("1", "1"),
    ]
    assert (await ada.client.get_usage()).total.charge == "0.00021"

    await set_balance(admin, ada, "0.000001")
    provider.calls.clear()
    with pytest.raises(APIStatusError) as refusal:
        await openai.chat.completions.create(
            model=real_model, messages=[{"role": "user", "content": "Again"}], max_tokens=10
        )
    assert refusal.value.status_code == 402
    assert refusal.value.code == "insufficient_credits"
    body = cast("dict[str, object]", refusal.value.body)
    assert (body["available"], body["held"], body["affordable_output_tokens"]) == ("0.000001", "0", 0)
    assert Decimal(str(body["required"])) > Decimal("0.0001")
    assert provider.calls == []

    found = (await admin.list_users(search=ada.email)).items[0]
    await admin.adjust_wallet(found.organization_id, amount="2.5", reason="A gift")
    again = await openai.chat.completions.create(
        model=real_model, messages=[{"role": "user", "content": "Again"}], max_tokens=10
    )
    assert again.choices[0].message.content == "The answer is 42."
    assert await ada.available() == "2.4999035"


async def test_a_charge_is_explained_down_to_its_ledger_lines(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    script.usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    await api.openai(await mint(ada)).chat.completions.create(
        model=real_model, messages=[{"role": "user", "content": "x" * 100}]
    )
    request = (await ada.client.list_requests()).items[0]
    explained = await ada.client.explain_request(request.id)
    assert [(line.meter, line.quantity, line.price, line.amount) for line in explained.meters] == [
        ("input", 40, "2.5", "0.0001"),
        ("cached_input", 60, "0.25", "0.000015"),
        ("output", 15, "10", "0.00015"),
        ("reasoning", 5, "10", "0.00005"),
    ]
    assert explained.request.charge == "0.000315"
    assert [(line.account, line.amount) for line in explained.entries] == [
        ("revenue", "0.000315"),
        ("wallet", "-0.000315"),
    ]
    assert [(grant.source, grant.amount) for grant in explained.burnt] == [("bonus", "0.000315")]
    assert Decimal(explained.hold) >= Decimal(explained.request.charge)


async def test_a_call_from_the_playground_counts_as_spent_though_it_has_no_key(
    api: Api, admin: AsyncOperis, ada: Account
) -> None:
    assert ada.client.token is not None
    playground = api.openai(ada.client.token)
    await playground.chat.completions.create(model="operis/echo", messages=[{"role": "user", "content": "Hello"}])
    assert (await admin.get_user(ada.user_id)).spent == "0.000015"
    assert (await ada.client.list_requests()).items[0].key_id is None
