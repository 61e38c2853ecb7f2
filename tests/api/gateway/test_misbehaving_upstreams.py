"""What a customer sees and pays when a provider misbehaves."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, BadRequestError, RateLimitError

from operis_client import AsyncOperis
from tests.factories import Account, mint, set_balance
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.running import Api

QUESTION: Any = [{"role": "user", "content": "What is the answer?"}]


async def newest(account: Account) -> tuple[str, str, bool]:
    row = (await account.client.list_requests(limit=1)).items[0]
    return row.outcome, row.charge, row.estimated


async def stream_text(api: Api, secret: str, model: str) -> str:
    stream = await api.openai(secret).chat.completions.create(model=model, messages=QUESTION, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def raw_stream(api: Api, secret: str, body: dict[str, Any]) -> bytes:
    response = await api.http.post(
        f"{api.base_url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"}
    )
    assert response.status_code == 200
    return response.content


async def test_an_answer_without_usage_is_charged_by_an_estimate_and_says_so(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    script.usage = None
    answer = await api.openai(await mint(ada)).chat.completions.create(model=real_model, messages=QUESTION)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5  # 17 bytes at four to a token
    outcome, charge, estimated = await newest(ada)
    assert (outcome, estimated) == ("completed", True)
    assert answer.usage.model_extra == {"cost": charge}


async def test_a_stream_without_usage_still_ends_with_a_usage_chunk_where_it_was_asked_for(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    script.usage = None
    body = {"model": real_model, "messages": QUESTION, "stream": True, "stream_options": {"include_usage": True}}
    events = (await raw_stream(api, await mint(ada), body)).decode().strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    usage = json.loads(events[-2].removeprefix("data: "))
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 5
    assert usage["usage"]["cost"] == (await newest(ada))[1]


async def test_the_usage_chunk_is_hidden_unless_asked_for(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    content = await raw_stream(api, await mint(ada), {"model": real_model, "messages": QUESTION, "stream": True})
    assert b'"usage": {' not in content
    assert content.endswith(b"data: [DONE]\n\n")
    assert (await newest(ada)) == ("completed", "0.0000975", False)
    assert script.usage is not None


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
async def test_a_failing_provider_costs_nothing_and_its_words_stay_with_the_operator(
    api: Api, ada: Account, admin: AsyncOperis, script: Script, real_model: str, status: int
) -> None:
    script.status, script.error = status, "key sk-upstream-secret-1234 of org-42 is broken at https://internal.example"
    with pytest.raises(APIStatusError) as failure:
        await api.openai(await mint(ada)).chat.completions.create(model=real_model, messages=QUESTION)
    assert failure.value.status_code == 502
    assert failure.value.code == "upstream_error"
    assert "secret" not in str(failure.value.body)
    assert await newest(ada) == ("failed", "0", False)
    assert await ada.available() == "1"
    request = (await ada.client.list_requests()).items[0]
    attempt = (await ada.client.explain_request(request.id)).attempts[0]
    assert (attempt.status, attempt.upstream, attempt.error) == (status, "Upstream 1", "The provider failed.")
    seen = (await admin.list_admin_requests(organization_id=ada.organization_id)).items[0]
    assert seen.upstream == "Fake provider"
    told = await admin.explain_admin_request(ada.organization_id, request.id)
    noted = told.attempts[0].error
    assert noted is not None
    assert noted.startswith(f"HTTP {status}: ")
    assert "secret" not in noted


async def test_what_is_wrong_with_the_request_is_told_in_the_providers_cleaned_words(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    script.status, script.error = 400, "temperature must be at most 2; see https://internal.example and sk-abcdef123456"
    with pytest.raises(BadRequestError) as refusal:
        await api.openai(await mint(ada)).chat.completions.create(model=real_model, messages=QUESTION, temperature=9)
    assert "temperature must be at most 2" in str(refusal.value)
    assert "internal.example" not in str(refusal.value)
    assert "abcdef" not in str(refusal.value)
    assert await ada.available() == "1"


async def test_a_busy_provider_is_a_429_with_its_retry_after(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    script.status, script.retry_after = 429, "17"
    with pytest.raises(RateLimitError) as refusal:
        await api.openai(await mint(ada)).chat.completions.create(model=real_model, messages=QUESTION)
    assert refusal.value.response.headers["retry-after"] == "17"
    assert await ada.available() == "1"


async def test_a_stream_that_breaks_off_costs_nothing_and_ends_with_an_error_event(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    script.break_after_words, script.seconds_between_words = 2, 0.05
    with pytest.raises(APIError) as failure:
        await stream_text(api, await mint(ada), real_model)
    assert failure.value.code == "upstream_error"
    assert await newest(ada) == ("failed", "0", False)
    assert await ada.available() == "1"


async def test_an_error_event_inside_a_stream_costs_nothing_and_hides_the_providers_words(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    script.error_after_words, script.error, script.seconds_between_words = 2, "internal secret", 0.05
    with pytest.raises(APIError) as failure:
        await stream_text(api, await mint(ada), real_model)
    assert "internal secret" not in str(failure.value.body)
    assert await newest(ada) == ("failed", "0", False)


@pytest.mark.parametrize("raw", [b"", b"not json", b"{}", b'{"choices": []}', b'{"error": {"message": "no"}}', b"[1]"])
async def test_an_empty_or_strange_answer_costs_nothing(
    api: Api, ada: Account, script: Script, real_model: str, raw: bytes
) -> None:
    script.raw_answer = raw
    with pytest.raises(APIStatusError) as failure:
        await api.openai(await mint(ada)).chat.completions.create(model=real_model, messages=QUESTION)
    assert failure.value.status_code == 502
    assert await newest(ada) == ("failed", "0", False)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": 7},
        {"prompt_tokens": 10**15, "completion_tokens": 1},
        {"prompt_tokens": "many", "completion_tokens": 1},
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}},
    ],
)
async def test_usage_that_cannot_be_believed_is_replaced_by_an_estimate(
    api: Api, ada: Account, script: Script, real_model: str, usage: dict[str, Any]
) -> None:
    script.usage = usage
    await api.openai(await mint(ada)).chat.completions.create(model=real_model, messages=QUESTION)
    outcome, _, estimated = await newest(ada)
    assert (outcome, estimated) == ("completed", True)


async def test_usage_beyond_the_hold_is_charged_up_to_it_and_the_rest_is_the_platforms_loss(
    api: Api, ada: Account, admin: AsyncOperis, script: Script, real_model: str
) -> None:
    script.usage = {"prompt_tokens": 10, "completion_tokens": 5000}
    await api.openai(await mint(ada)).chat.completions.create(model=real_model, messages=QUESTION, max_tokens=10)
    request = (await ada.client.list_requests()).items[0]
    explained = await ada.client.explain_request(request.id)
    assert request.charge == explained.hold
    seen = (await admin.list_admin_requests(organization_id=ada.organization_id)).items[0]
    lines = {line.account: line.amount for line in explained.entries}
    assert lines["revenue"] == "0.050025"  # 10 x 2.5 + 5000 x 10 credits per million
    assert lines["wallet"] == f"-{explained.hold}"
    assert lines["platform_loss"] == f"-{seen.loss}"


@pytest.mark.parametrize(("newline", "split"), [("\r\n", None), ("\n", 1), ("\r\n", 3), ("\n", 7)])
async def test_a_stream_cut_anywhere_arrives_whole(
    api: Api, ada: Account, script: Script, real_model: str, newline: str, split: int | None
) -> None:
    script.words, script.newline, script.split_bytes = ["Grüße ", "🌍 ", "đẹp"], newline, split
    assert await stream_text(api, await mint(ada), real_model) == "Grüße 🌍 đẹp"
    assert (await newest(ada)) == ("completed", "0.0000975", False)


async def test_a_client_that_leaves_pays_once_for_what_was_generated(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    script.words, script.seconds_between_words = ["word "] * 20, 0.05
    secret = await mint(ada)
    async with api.http.stream(
        "POST",
        f"{api.base_url}/v1/chat/completions",
        json={"model": real_model, "messages": QUESTION, "stream": True},
        headers={"Authorization": f"Bearer {secret}"},
    ) as response:
        async for _ in response.aiter_bytes():
            break
    await settled(ada)
    assert await newest(ada) == ("disconnected", "0.0000975", False)  # drained to its usage


async def settled(account: Account, seconds: float = 30) -> None:
    """Wait until no hold of the account is open."""
    async with asyncio.timeout(seconds):
        while (await account.client.get_wallet()).held != "0":
            await asyncio.sleep(0.05)


async def test_a_second_upstream_answers_where_the_first_fails(
    api: Api, ada: Account, admin: AsyncOperis, provider: OpenAIUpstream, script: Script
) -> None:
    dead = await admin.create_upstream(name="Dead provider", base_url="http://127.0.0.1:9/v1", api_key=API_KEY)
    alive = await admin.create_upstream(name="Live provider", base_url=provider.base_url, api_key=API_KEY)
    await admin.create_model(id="acme/spread", upstream_id=dead.id, upstream_model="real-model")
    await admin.add_model_upstream("acme/spread", upstream_id=alive.id, upstream_model="real-model", priority=1)
    await admin.create_price(model_id="acme/spread", input="1", output="1")
    secret = await mint(ada)
    answer = await api.openai(secret).chat.completions.create(model="acme/spread", messages=QUESTION)
    assert answer.choices[0].message.content == "The answer is 42."
    assert await stream_text(api, secret, "acme/spread") == "The answer is 42."
    request = (await ada.client.list_requests()).items[0]
    attempts = (await ada.client.explain_request(request.id)).attempts
    assert [attempt.error for attempt in attempts] == ["The provider failed.", None]
    assert len(script.words) == 4


async def test_fields_we_do_not_know_pass_through_and_the_answer_keeps_its_own(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    body = {"model": real_model, "messages": QUESTION, "seed": 7, "x_custom": {"deep": [1, None]}}
    response = await api.http.post(
        f"{api.base_url}/v1/chat/completions", json=body, headers={"x-api-key": await mint(ada)}
    )
    assert response.json()["provider_extra"] == {"kept": True}
    sent = provider.calls[-1]
    assert (sent["seed"], sent["x_custom"]) == (7, {"deep": [1, None]})
    assert sent["max_tokens"] == 1000  # the model's default: without a limit a call has no worst case
    assert script.status == 200


async def test_an_explicit_output_limit_is_never_changed(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    await api.openai(await mint(ada)).chat.completions.create(
        model=real_model, messages=QUESTION, max_completion_tokens=33
    )
    assert provider.calls[-1]["max_tokens"] == 33  # the name that most compatible servers obey
    assert "max_completion_tokens" not in provider.calls[-1]
    assert script.status == 200


async def test_a_missing_output_limit_is_lowered_to_what_the_wallet_covers_and_a_header_says_so(
    api: Api, admin: AsyncOperis, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    await set_balance(admin, ada, "0.005")
    response: httpx.Response = await api.http.post(
        f"{api.base_url}/v1/chat/completions",
        json={"model": real_model, "messages": QUESTION},
        headers={"Authorization": f"Bearer {await mint(ada)}"},
    )
    limit = int(response.headers["x-operis-max-output-tokens"])
    assert provider.calls[-1]["max_tokens"] == limit
    request = (await ada.client.list_requests()).items[0]
    assert (await ada.client.explain_request(request.id)).hold == "0.005"
    assert 400 < limit < 500  # 0.005 credits less the prompt, at 10 credits per million
    assert script.status == 200


async def test_two_output_limits_at_once_are_one_for_the_quote_and_for_the_provider(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    body = {"model": real_model, "messages": QUESTION, "max_completion_tokens": 5, "max_tokens": 100_000}
    response = await api.http.post(
        f"{api.base_url}/v1/chat/completions", json=body, headers={"x-api-key": await mint(ada)}
    )
    assert response.status_code == 200
    sent = provider.calls[-1]
    assert (sent["max_tokens"], "max_completion_tokens" in sent) == (5, False)
    assert script.status == 200


async def test_an_image_counts_for_the_quote_however_its_key_is_written(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    secret = await mint(ada)
    holds: list[str] = []
    for key in ("image_url", "image\\u005furl"):
        raw = (
            f'{{"model": "{real_model}", "max_tokens": 1, "messages": [{{"role": "user", "content": '
            f'[{{"type": "{key}", "{key}": {{"url": "https://example.com/cat.png"}}}}]}}]}}'
        )
        response = await api.http.post(
            f"{api.base_url}/v1/chat/completions", content=raw, headers={"x-api-key": secret}
        )
        assert response.status_code == 200
        request = (await ada.client.list_requests(limit=1)).items[0]
        holds.append((await ada.client.explain_request(request.id)).hold)
    assert all(Decimal(hold) > Decimal("0.005") for hold in holds)  # 2,000 tokens at 2.5 credits per million
    assert script.status == 200


@pytest.mark.parametrize("usage", ["5", '"much"', "[1, 2]", "true"])
async def test_usage_that_is_no_object_is_replaced_and_the_answer_still_arrives(
    api: Api, ada: Account, script: Script, real_model: str, usage: str
) -> None:
    script.raw_answer = (
        b'{"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, '
        b'"message": {"role": "assistant", "content": "Four"}, "finish_reason": "stop"}], "usage": '
        + usage.encode()
        + b"}"
    )
    answer = await api.openai(await mint(ada)).chat.completions.create(model=real_model, messages=QUESTION)
    assert answer.choices[0].message.content == "Four"
    outcome, charge, estimated = await newest(ada)
    assert (outcome, estimated) == ("completed", True)
    assert answer.usage is not None
    assert answer.usage.model_extra == {"cost": charge}
