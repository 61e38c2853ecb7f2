"""Anthropic's dialect by the official SDK: the built-in echo, a provider, exact charges, and all that goes wrong."""

import asyncio
import json
from typing import Any, cast

import anthropic
import pytest
from anthropic import APIStatusError, BadRequestError, NotFoundError, RateLimitError
from anthropic.types import MessageParam, RawMessageDeltaEvent, TextBlock, ThinkingBlock, ToolUseBlock

from operis_client import ApiError, AsyncOperis
from tests.factories import Account, mint, set_balance
from tests.fakes.anthropic_upstream import API_KEY, AnthropicUpstream, Script, run_anthropic_upstream, text_block
from tests.fakes.openai_upstream import API_KEY as OPENAI_API_KEY
from tests.fakes.openai_upstream import OpenAIUpstream
from tests.fakes.openai_upstream import Script as OpenAIScript
from tests.running import Api

QUESTION: list[MessageParam] = [{"role": "user", "content": "What is the answer?"}]
BODY: dict[str, Any] = {"model": "acme/claude", "max_tokens": 100, "messages": QUESTION}


async def newest(account: Account) -> tuple[str, str, bool]:
    row = (await account.client.list_requests(limit=1)).items[0]
    return row.outcome, row.charge, row.estimated


async def meters(account: Account) -> list[tuple[str, int]]:
    request = (await account.client.list_requests(limit=1)).items[0]
    return [(line.meter, line.quantity) for line in (await account.client.explain_request(request.id)).meters]


async def stream_text(api: Api, secret: str, model: str) -> str:
    async with api.anthropic(secret).messages.stream(model=model, max_tokens=100, messages=QUESTION) as stream:
        return "".join([text async for text in stream.text_stream])


async def answer_text(api: Api, secret: str, model: str) -> str:
    message = await api.anthropic(secret).messages.create(model=model, max_tokens=100, messages=QUESTION)
    return cast("TextBlock", message.content[0]).text


async def raw_stream(api: Api, secret: str, body: dict[str, Any]) -> bytes:
    response = await api.http.post(
        f"{api.base_url}/v1/messages", json={**body, "stream": True}, headers={"x-api-key": secret}
    )
    assert response.status_code == 200
    return response.content


# -- the built-in model


async def test_echo_answers_in_anthropics_shape_and_its_quote_is_its_charge(api: Api, ada: Account) -> None:
    said = await api.anthropic(await mint(ada)).messages.with_raw_response.create(
        model="operis/echo", max_tokens=3, system="Shout", messages=[{"role": "user", "content": "Grüße"}]
    )
    message = await said.parse()
    assert message.content == [TextBlock(type="text", text="Grü", citations=None)]
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("max_tokens", 10, 3)
    assert message.usage.model_extra == {"cost": "0.000016"}  # 10 x 1 + 3 x 2 credits per million
    assert said.headers["x-operis-charge"] == "0.000016"
    request = (await ada.client.list_requests()).items[0]
    assert (request.charge, said.headers["request-id"]) == ("0.000016", request.id)
    assert (await ada.client.explain_request(request.id)).hold == "0.000016"


async def test_echo_streams_in_anthropics_events_with_its_cost_at_the_end(api: Api, ada: Account) -> None:
    client = api.anthropic(await mint(ada))
    async with client.messages.stream(
        model="operis/echo", max_tokens=100, messages=[{"role": "user", "content": "Hello there"}]
    ) as stream:
        events = [event async for event in stream]
        message = await stream.get_final_message()
    assert message.content[0].to_dict() == {"type": "text", "text": "Hello there"}
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 11)
    ends = [event for event in events if isinstance(event, RawMessageDeltaEvent)]
    assert [end.usage.model_extra for end in ends] == [{"cost": "0.000033"}]
    assert await newest(ada) == ("completed", "0.000033", False)


async def test_the_blocking_sdk_works_as_well(api: Api, ada: Account) -> None:
    secret = await mint(ada)

    def ask() -> str:
        with anthropic.Anthropic(base_url=api.base_url, auth_token=secret, max_retries=0) as client:
            message = client.messages.create(
                model="operis/echo",
                max_tokens=9,
                messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            )
            return cast("TextBlock", message.content[0]).text

    assert await asyncio.to_thread(ask) == "Hi"


# -- a provider of the same dialect


async def test_an_answer_is_charged_exactly_and_keeps_everything_of_its_own(
    api: Api, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: Script
) -> None:
    secret = await mint(ada)
    response = await api.http.post(
        f"{api.base_url}/v1/messages",
        json={**BODY, "x_custom": {"deep": [1, None]}},
        headers={"x-api-key": secret, "anthropic-beta": "some-beta-2027", "anthropic-version": "2027-01-01"},
    )
    answer = response.json()
    assert answer["provider_extra"] == {"kept": True}
    assert answer["usage"] == {**cast("dict[str, Any]", claude_script.usage), "cost": "0.000138"}  # 11 x 3 + 7 x 15
    sent, headers = claude_provider.calls[-1], claude_provider.headers[-1]
    assert sent == {**BODY, "model": "real-claude", "x_custom": {"deep": [1, None]}}
    assert (headers["anthropic-beta"], headers["anthropic-version"]) == ("some-beta-2027", "2027-01-01")
    assert (headers["x-api-key"], secret in str(headers)) == (API_KEY, False)
    assert await ada.available() == "0.999862"
    assert claude == BODY["model"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_cached_tokens_are_counted_beside_the_input_each_at_its_price(
    api: Api, ada: Account, claude: str, claude_script: Script, streamed: bool
) -> None:
    claude_script.usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 40,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 5,
    }
    secret = await mint(ada)
    if streamed:
        assert await stream_text(api, secret, claude) == "The answer is 42."
    else:
        assert await answer_text(api, secret, claude) == "The answer is 42."
    expected = [("input", 10), ("cached_input", 40), ("cache_write_5m", 10), ("cache_write_1h", 20), ("output", 5)]
    assert await meters(ada) == expected
    assert await newest(ada) == ("completed", "0.0002745", False)  # 10 x 3 + 40 x 0.3 + 10 x 3.75 + 20 x 6 + 5 x 15


async def test_a_stream_arrives_byte_for_byte_but_for_the_cost(
    api: Api, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: Script
) -> None:
    claude_script.pings = False
    received = await raw_stream(api, await mint(ada), BODY)
    theirs, ours = claude_provider.sent.split(b"\n\n"), received.split(b"\n\n")
    assert (theirs[:-3], theirs[-2:]) == (ours[:-3], ours[-2:])
    end = json.loads(ours[-3].removeprefix(b"event: message_delta\ndata: "))
    assert end["usage"].pop("cost") == "0.000138"
    assert end == json.loads(theirs[-3].removeprefix(b"event: message_delta\ndata: "))
    assert claude == BODY["model"]


async def test_thinking_and_tools_stream_whole(api: Api, ada: Account, claude: str, claude_script: Script) -> None:
    claude_script.blocks = [
        {"type": "thinking", "thinking": "Let me think.", "signature": "c2lnbmVk"},
        text_block("I look."),
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"where": "Hà Nội", "deep": {"n": 3}}},
    ]
    claude_script.early_usage = True
    client = api.anthropic(await mint(ada))
    async with client.messages.stream(model=claude, max_tokens=100, messages=QUESTION) as stream:
        message = await stream.get_final_message()
    thinking, text, tool = message.content
    assert cast("ThinkingBlock", thinking).thinking == "Let me think."
    assert cast("TextBlock", text).text == "I look."
    assert cast("ToolUseBlock", tool).input == {"where": "Hà Nội", "deep": {"n": 3}}
    assert message.usage.output_tokens == 7
    assert await newest(ada) == ("completed", "0.000138", False)


@pytest.mark.parametrize(("newline", "split"), [("\r\n", None), ("\n", 1), ("\r\n", 3), ("\n", 7)])
async def test_a_stream_cut_anywhere_arrives_whole(
    api: Api, ada: Account, claude: str, claude_script: Script, newline: str, split: int | None
) -> None:
    claude_script.blocks = [text_block("Grüße 🌍 đẹp")]
    claude_script.newline, claude_script.split_bytes = newline, split
    assert await stream_text(api, await mint(ada), claude) == "Grüße 🌍 đẹp"
    assert await newest(ada) == ("completed", "0.000138", False)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_without_usage_is_charged_by_an_estimate_and_says_so(
    api: Api, ada: Account, claude: str, claude_script: Script, streamed: bool
) -> None:
    claude_script.usage = None
    secret = await mint(ada)
    if streamed:
        events = (await raw_stream(api, secret, {**BODY, "model": claude})).decode().strip().split("\n\n")
        usage = json.loads(events[-2].partition("data: ")[2])["usage"]
    else:
        response = await api.http.post(f"{api.base_url}/v1/messages", json=BODY, headers={"x-api-key": secret})
        usage = response.json()["usage"]
    assert usage["output_tokens"] == 5  # 17 bytes at four to a token
    assert await newest(ada) == ("completed", usage["cost"], True)


async def test_the_beta_client_is_served_with_its_betas(
    api: Api, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: Script
) -> None:
    message = await api.anthropic(await mint(ada)).beta.messages.create(
        model=claude, max_tokens=9, messages=[{"role": "user", "content": "Hi"}], betas=["one-2027", "two-2027"]
    )
    assert message.usage.model_extra == {"cost": "0.000138"}
    assert claude_provider.headers[-1]["anthropic-beta"] == "one-2027,two-2027"
    assert claude_script.status == 200


async def test_a_model_with_upstreams_of_both_protocols_is_served_in_each_dialect_by_those_that_speak_it(
    api: Api, ada: Account, admin: AsyncOperis, provider: OpenAIUpstream, claude_provider: AnthropicUpstream
) -> None:
    claude_provider.script, provider.script = Script(), OpenAIScript()
    dead = await admin.create_upstream(
        name="Dead Anthropic", protocol="anthropic", base_url="http://127.0.0.1:9", api_key=API_KEY
    )
    theirs = await admin.create_upstream(
        name="Anthropic of two", protocol="anthropic", base_url=claude_provider.base_url, api_key=API_KEY
    )
    other = await admin.create_upstream(name="OpenAI of two", base_url=provider.base_url, api_key=OPENAI_API_KEY)
    await admin.create_model(id="acme/both", upstream_id=dead.id, upstream_model="real-claude")
    await admin.add_model_upstream("acme/both", upstream_id=theirs.id, upstream_model="real-claude", priority=1)
    await admin.add_model_upstream("acme/both", upstream_id=other.id, upstream_model="real-model", priority=2)
    await admin.create_price(model_id="acme/both", input="1", output="1")
    secret = await mint(ada)
    assert await answer_text(api, secret, "acme/both") == "The answer is 42."
    assert await stream_text(api, secret, "acme/both") == "The answer is 42."
    request = (await ada.client.list_requests()).items[0]
    attempts = (await ada.client.explain_request(request.id)).attempts
    assert [attempt.error for attempt in attempts] == ["The provider failed.", None]
    await api.client(secret).create_chat_completion({"model": "acme/both", "messages": QUESTION})
    assert provider.calls[-1]["model"] == "real-model"
    request = (await ada.client.list_requests(limit=1)).items[0]
    assert len((await ada.client.explain_request(request.id)).attempts) == 1


async def test_a_stream_that_begins_with_an_error_is_tried_on_the_next_upstream(
    api: Api, ada: Account, admin: AsyncOperis, claude_provider: AnthropicUpstream, claude_script: Script
) -> None:
    claude_script.usage = {"input_tokens": 11, "output_tokens": 7}
    async with run_anthropic_upstream() as failing:
        failing.script.error_after_deltas = 0
        first = await admin.create_upstream(
            name="Failing at once", protocol="anthropic", base_url=failing.base_url, api_key=API_KEY
        )
        second = await admin.create_upstream(
            name="Well", protocol="anthropic", base_url=claude_provider.base_url, api_key=API_KEY
        )
        await admin.create_model(id="acme/second-try", upstream_id=first.id, upstream_model="real-claude")
        await admin.add_model_upstream(
            "acme/second-try", upstream_id=second.id, upstream_model="real-claude", priority=1
        )
        await admin.create_price(model_id="acme/second-try", input="3", output="15")
        assert await stream_text(api, await mint(ada), "acme/second-try") == "The answer is 42."
    assert await newest(ada) == ("completed", "0.000138", False)


async def test_usage_beyond_the_hold_is_charged_up_to_it(
    api: Api, ada: Account, claude: str, claude_script: Script
) -> None:
    claude_script.usage = {"input_tokens": 11, "output_tokens": 50_000}
    assert await stream_text(api, await mint(ada), claude) == "The answer is 42."
    request = (await ada.client.list_requests()).items[0]
    assert request.charge == (await ada.client.explain_request(request.id)).hold


# -- what goes wrong


async def test_a_402_has_anthropics_envelope_with_our_facts(
    api: Api, admin: AsyncOperis, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: Script
) -> None:
    await set_balance(admin, ada, "0.000001")
    with pytest.raises(APIStatusError) as refusal:
        await api.anthropic(await mint(ada)).messages.create(model=claude, max_tokens=100, messages=QUESTION)
    assert refusal.value.status_code == 402
    body = cast("dict[str, Any]", refusal.value.body)
    assert (body["type"], body["request_id"]) == ("error", refusal.value.request_id)
    error = body["error"]
    assert (error["type"], error["code"], error["available"]) == ("billing_error", "insufficient_credits", "0.000001")
    assert error["affordable_output_tokens"] == 0
    assert claude_provider.calls == []
    assert claude_script.status == 200


@pytest.mark.parametrize(
    ("method", "path", "key", "status", "kind", "code"),
    [
        ("POST", "/v1/messages", "", 401, "authentication_error", "unauthenticated"),
        ("POST", "/v1/messages", "sk-op-nothing", 401, "authentication_error", "invalid_api_key"),
        ("GET", "/v1/messages", None, 405, "invalid_request_error", "method_not_allowed"),
        ("POST", "/v1/messages/nowhere", None, 404, "not_found_error", "not_found"),
        ("POST", "/v1/messages/count_tokens", "", 401, "authentication_error", "unauthenticated"),
    ],
)
async def test_each_refusal_under_messages_has_anthropics_envelope(
    api: Api, ada: Account, method: str, path: str, key: str | None, status: int, kind: str, code: str
) -> None:
    secret = await mint(ada) if key is None else key
    headers = {"x-api-key": secret} if secret else {}
    response = await api.http.request(method, f"{api.base_url}{path}", json=BODY, headers=headers)
    body = response.json()
    assert (response.status_code, body["type"]) == (status, "error")
    assert (body["error"]["type"], body["error"]["code"]) == (kind, code)
    assert body["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("body", [{"max_tokens": None}, {"max_tokens": -1}, {"messages": 7}, {"max_tokens": "many"}])
async def test_a_body_that_does_not_fit_is_a_400(api: Api, ada: Account, body: dict[str, Any]) -> None:
    sent = {name: value for name, value in {**BODY, "model": "operis/echo", **body}.items() if value is not None}
    response = await api.http.post(f"{api.base_url}/v1/messages", json=sent, headers={"x-api-key": await mint(ada)})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")
    assert (await ada.client.get_wallet()).held == "0"


async def test_what_has_no_translation_is_served_only_by_upstreams_of_its_dialect(
    api: Api, ada: Account, claude: str, claude_script: Script
) -> None:
    secret = await mint(ada)
    with pytest.raises(ApiError) as other:
        await api.client(secret).create_embedding({"model": claude, "input": "one"})
    assert (other.value.code, other.value.facts["served_at"]) == ("dialect_not_served", ["/v1/messages"])
    with pytest.raises(NotFoundError):
        await api.anthropic(secret).messages.create(model="no/model", max_tokens=9, messages=QUESTION)
    assert claude_script.status == 200


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failing_provider_costs_nothing_and_its_words_stay_with_the_operator(
    api: Api, ada: Account, claude: str, claude_script: Script, status: int, streamed: bool
) -> None:
    claude_script.status, claude_script.error = status, "key sk-ant-secret of org-42 is broken"
    secret = await mint(ada)
    ask = stream_text if streamed else answer_text
    with pytest.raises(APIStatusError) as failure:
        await ask(api, secret, claude)
    error = cast("dict[str, Any]", failure.value.body)["error"]
    assert (failure.value.status_code, error["type"], error["code"]) == (502, "api_error", "upstream_error")
    assert "secret" not in str(failure.value.body)
    assert await newest(ada) == ("failed", "0", False)


async def test_an_overloaded_provider_is_a_429(api: Api, ada: Account, claude: str, claude_script: Script) -> None:
    claude_script.status, claude_script.error_type, claude_script.retry_after = 529, "overloaded_error", "17"
    with pytest.raises(RateLimitError) as refusal:
        await api.anthropic(await mint(ada)).messages.create(model=claude, max_tokens=9, messages=QUESTION)
    assert refusal.value.response.headers["retry-after"] == "17"
    assert await newest(ada) == ("failed", "0", False)


@pytest.mark.parametrize(
    ("words", "status"),
    [("max_tokens: 9 > 8", 400), ("Your credit balance is too low to access the Anthropic API.", 502)],
)
async def test_what_is_wrong_with_the_request_is_told_but_not_what_is_wrong_with_the_operators_account(
    api: Api, ada: Account, claude: str, claude_script: Script, words: str, status: int
) -> None:
    claude_script.status, claude_script.error = 400, words
    with pytest.raises(APIStatusError) as refusal:
        await api.anthropic(await mint(ada)).messages.create(model=claude, max_tokens=9, messages=QUESTION)
    assert refusal.value.status_code == status
    assert (words in str(refusal.value.body)) is (status == 400)


@pytest.mark.parametrize("after", ["break_after_deltas", "error_after_deltas"])
async def test_a_stream_that_fails_costs_nothing_and_ends_with_an_error_event(
    api: Api, ada: Account, claude: str, claude_script: Script, after: str
) -> None:
    setattr(claude_script, after, 2)
    claude_script.error, claude_script.seconds_between_deltas = "internal secret", 0.05
    with pytest.raises(APIStatusError) as failure:
        await stream_text(api, await mint(ada), claude)
    error = cast("dict[str, Any]", failure.value.body)["error"]
    assert (error["type"], error["code"]) == ("api_error", "upstream_error")
    assert "internal secret" not in str(failure.value.body)
    assert await newest(ada) == ("failed", "0", False)
    assert await ada.available() == "1"


@pytest.mark.parametrize(
    "raw", [b"", b"not json", b"{}", b"[1]", b'{"type": "error", "error": {"type": "api_error", "message": "no"}}']
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_empty_or_strange_answer_costs_nothing(
    api: Api, ada: Account, claude: str, claude_script: Script, raw: bytes, streamed: bool
) -> None:
    claude_script.raw_answer = raw
    response = await api.http.post(
        f"{api.base_url}/v1/messages",
        json={**BODY, "model": claude, "stream": streamed},
        headers={"x-api-key": await mint(ada)},
    )
    assert b"upstream_error" in response.content
    assert await newest(ada) == ("failed", "0", False)


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": -5, "output_tokens": 7},
        {"input_tokens": 10**15, "output_tokens": 1},
        {"input_tokens": "many", "output_tokens": 1},
        {
            "input_tokens": 5,
            "output_tokens": 1,
            "cache_creation_input_tokens": 3,
            "cache_creation": {"ephemeral_1h_input_tokens": 50},
        },
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_usage_that_cannot_be_believed_is_replaced_by_an_estimate(
    api: Api, ada: Account, claude: str, claude_script: Script, usage: dict[str, Any], streamed: bool
) -> None:
    claude_script.usage = usage
    response = await api.http.post(
        f"{api.base_url}/v1/messages",
        json={**BODY, "model": claude, "stream": streamed},
        headers={"x-api-key": await mint(ada)},
    )
    assert response.status_code == 200
    outcome, _, estimated = await newest(ada)
    assert (outcome, estimated) == ("completed", True)


async def test_a_client_that_leaves_pays_once_for_what_was_generated(
    api: Api, ada: Account, claude: str, claude_script: Script
) -> None:
    claude_script.blocks, claude_script.seconds_between_deltas = [text_block("word " * 20)], 0.05
    async with api.http.stream(
        "POST",
        f"{api.base_url}/v1/messages",
        json={**BODY, "model": claude, "stream": True},
        headers={"x-api-key": await mint(ada)},
    ) as response:
        async for _ in response.aiter_bytes():
            break
    async with asyncio.timeout(30):
        while (await ada.client.get_wallet()).held != "0":
            await asyncio.sleep(0.05)
    assert await newest(ada) == ("disconnected", "0.000138", False)  # drained to its usage


async def test_an_image_or_a_document_counts_for_the_quote(
    api: Api, ada: Account, admin: AsyncOperis, claude: str, claude_script: Script
) -> None:
    await admin.adjust_wallet(ada.organization_id, amount="9", reason="A gift")
    secret = await mint(ada)
    holds: list[float] = []
    for kind in ("text", "image", "docu\\u006dent"):
        raw = (
            f'{{"model": "{claude}", "max_tokens": 1, "messages": [{{"role": "user", "content": '
            f'[{{"type": "{kind}", "source": {{"type": "url", "url": "https://example.com/cat"}}}}]}}]}}'
        )
        response = await api.http.post(f"{api.base_url}/v1/messages", content=raw, headers={"x-api-key": secret})
        assert response.status_code == 200
        request = (await ada.client.list_requests(limit=1)).items[0]
        holds.append(float((await ada.client.explain_request(request.id)).hold))
    text, image, document = holds
    assert text < 0.002
    assert 0.03 < image < 0.04  # 5,000 tokens at 6 credits per million, the dearest input
    assert document > 1.2  # 200,000
    assert claude_script.status == 200


# -- counting, and the back office


async def test_counting_tokens_is_free(
    api: Api, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: Script
) -> None:
    client = api.anthropic(await mint(ada))
    echo = await client.messages.count_tokens(model="operis/echo", system="Shout", messages=QUESTION)
    assert echo.input_tokens == 24
    counted = await client.messages.count_tokens(model=claude, messages=QUESTION)
    assert counted.input_tokens == 23
    assert claude_provider.calls == [{"model": "real-claude", "messages": QUESTION}]
    assert (await ada.client.list_requests()).items == []
    assert await ada.available() == "1"
    claude_script.status, claude_script.error = 400, "messages: no"
    with pytest.raises(BadRequestError, match="messages: no"):
        await client.messages.count_tokens(model=claude, messages=QUESTION)


async def test_a_model_that_no_upstream_counts_for_is_estimated_and_says_so(
    api: Api, ada: Account, provider: OpenAIUpstream, real_model: str
) -> None:
    provider.calls.clear()
    client = api.anthropic(await mint(ada))
    counted = await client.messages.count_tokens(model=real_model, messages=QUESTION)
    assert counted.input_tokens == -(-len(json.dumps(QUESTION, separators=(",", ":"))) // 4)
    assert counted.model_extra == {"estimated": True}
    image = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo" * 10_000}
    seen: Any = [{"role": "user", "content": [{"type": "image", "source": image}]}]
    assert 1_500 < (await client.messages.count_tokens(model=real_model, messages=seen)).input_tokens < 1_600
    assert provider.calls == []
    assert await ada.available() == "1"


async def test_a_revoked_key_counts_no_tokens(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="short")
    client = api.anthropic(minted.secret)
    await client.messages.count_tokens(model="operis/echo", messages=QUESTION)
    await ada.client.revoke_key(minted.key.id)
    with pytest.raises(anthropic.AuthenticationError):
        await client.messages.count_tokens(model="operis/echo", messages=QUESTION)


async def test_an_operator_tests_an_upstream_of_anthropics_protocol(
    admin: AsyncOperis, claude_provider: AnthropicUpstream
) -> None:
    upstream = await admin.create_upstream(
        name="Anthropic to test", protocol="anthropic", base_url=claude_provider.base_url, api_key=API_KEY
    )
    assert upstream.protocol == "anthropic"
    tested = await admin.test_upstream(upstream.id)
    assert (tested.ok, tested.models) == (True, ["real-claude"])
    await admin.update_upstream(upstream.id, api_key="wrong")
    refused = await admin.test_upstream(upstream.id)
    assert (refused.ok, refused.status) == (False, 401)


async def test_the_typed_client_speaks_it_too(api: Api, ada: Account) -> None:
    client = api.client(await mint(ada))
    body: dict[str, object] = {
        "model": "operis/echo",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    message = await client.create_message(body)
    assert cast("dict[str, object]", message["usage"])["cost"] == "0.000015"
    async with client.stream_message(body) as payloads:
        events = [json.loads(payload) async for payload in payloads]
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
    assert events[-2]["usage"]["cost"] == "0.000015"
    counted = await client.count_message_tokens({"model": "operis/echo", "messages": body["messages"]})
    assert counted == {"input_tokens": 5}


@pytest.mark.parametrize("usage", ["5", '"much"', "[1]"])
async def test_usage_that_is_no_object_is_replaced_and_the_message_still_arrives(
    api: Api, ada: Account, claude: str, claude_script: Script, usage: str
) -> None:
    claude_script.raw_answer = (
        b'{"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", '
        b'"text": "Four"}], "stop_reason": "end_turn", "usage": ' + usage.encode() + b"}"
    )
    assert await answer_text(api, await mint(ada), claude) == "Four"
    outcome, charge, estimated = await newest(ada)
    assert (outcome, estimated) == ("completed", True)
    assert charge != "0"
