"""Embeddings: charged for their prompt, exactly."""

from typing import Any, cast

import pytest
from openai import APIStatusError, BadRequestError

from operis_client import AsyncOperis
from tests.factories import Account, mint, set_balance
from tests.fakes.openai_upstream import OpenAIUpstream, Script
from tests.running import Api


async def newest(account: Account) -> tuple[str, str, bool]:
    row = (await account.client.list_requests(limit=1)).items[0]
    return row.outcome, row.charge, row.estimated


async def test_texts_are_embedded_and_their_tokens_charged(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    said = await api.openai(await mint(ada)).embeddings.with_raw_response.create(
        model=real_model, input=["one", "two"], encoding_format="float"
    )
    answer = said.parse()
    assert [found.embedding for found in answer.data] == [[0.5, -0.25], [0.5, -0.25]]
    assert answer.usage.prompt_tokens == 11
    assert answer.usage.model_extra == {"cost": "0.0000275"}  # 11 x 2.5 credits per million
    assert said.headers["x-operis-charge"] == "0.0000275"
    assert provider.calls == [{"model": "real-model", "input": ["one", "two"], "encoding_format": "float"}]
    assert await newest(ada) == ("completed", "0.0000275", False)
    assert script.status == 200


async def test_embeddings_without_usage_are_charged_by_an_estimate(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    script.usage = None
    answer = await api.client(await mint(ada)).create_embedding({"model": real_model, "input": "x" * 18})
    assert cast("dict[str, object]", answer["usage"])["prompt_tokens"] == 5  # 20 bytes at four to a token
    assert (await newest(ada))[2]


@pytest.mark.parametrize("raw", [b"", b"{}", b"no json", b'{"data": []}', b'{"data": [1], "error": {"message": "no"}}'])
async def test_an_empty_or_strange_answer_costs_nothing(
    api: Api, ada: Account, script: Script, real_model: str, raw: bytes
) -> None:
    script.raw_answer = raw
    with pytest.raises(APIStatusError) as failure:
        await api.openai(await mint(ada)).embeddings.create(model=real_model, input="one")
    assert (failure.value.status_code, failure.value.code) == (502, "upstream_error")
    assert await newest(ada) == ("failed", "0", False)


async def test_a_wallet_that_cannot_cover_the_prompt_is_a_402(
    api: Api, ada: Account, admin: AsyncOperis, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    await set_balance(admin, ada, "0.000001")
    with pytest.raises(APIStatusError) as refusal:
        await api.openai(await mint(ada)).embeddings.create(model=real_model, input="one")
    assert (refusal.value.status_code, refusal.value.code) == (402, "insufficient_credits")
    assert provider.calls == []
    assert script.status == 200


async def test_the_built_in_model_embeds_a_text_always_alike(api: Api, ada: Account) -> None:
    client = api.openai(await mint(ada))
    first = await client.embeddings.create(model="operis/echo", input=["one", "two"])
    again = await client.embeddings.create(model="operis/echo", input="one", encoding_format="float", dimensions=64)
    one, two = (found.embedding for found in first.data)
    assert (len(one), one == two) == (64, False)
    assert again.data[0].embedding == pytest.approx(one)
    assert first.usage.model_extra == {"cost": "0.000006"}  # six characters at 1 credit per million
    assert await newest(ada) == ("completed", "0.000003", False)
    for wrong in ({"input": [1, 2]}, {"input": "one", "dimensions": 0}, {"input": ["x"] * 257}):
        with pytest.raises(BadRequestError):
            await client.embeddings.create(model="operis/echo", **cast("Any", wrong))
