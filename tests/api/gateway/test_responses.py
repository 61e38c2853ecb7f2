"""OpenAI's responses by the official SDK: the built-in echo, upstreams that serve them and upstreams that do not."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, cast

import openai
import pytest
from openai import BadRequestError
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

from operis_client import AsyncOperis
from tests.factories import Account, mint
from tests.fakes.anthropic_upstream import AnthropicUpstream, text_block
from tests.fakes.anthropic_upstream import Script as ClaudeScript
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script, run_openai_upstream
from tests.running import Api

TOOL: Any = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}
CALLS: list[dict[str, Any]] = [
    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"where":"Hà Nội"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
]


@pytest.fixture
async def modern(admin: AsyncOperis) -> AsyncGenerator[OpenAIUpstream]:
    """A provider that serves /responses; its model is acme/modern-<port>."""
    async with run_openai_upstream() as running:
        running.script = Script(responses=True)
        upstream = await admin.create_upstream(
            name=f"Modern {running.base_url}", base_url=running.base_url, api_key=API_KEY
        )
        await admin.create_model(id=model_of(running), upstream_id=upstream.id, upstream_model="real-model")
        await admin.create_price(model_id=model_of(running), input="2.5", output="10", cached_input="0.25")
        yield running


def model_of(upstream: OpenAIUpstream) -> str:
    return f"acme/modern-{upstream.base_url.rpartition(':')[2].removesuffix('/v1')}"


async def newest(account: Account) -> tuple[str, str, bool]:
    row = (await account.client.list_requests(limit=1)).items[0]
    return row.outcome, row.charge, row.estimated


# -- the built-in model


async def test_echo_answers_and_streams_a_response(api: Api, ada: Account) -> None:
    client = api.openai(await mint(ada))
    said = await client.responses.with_raw_response.create(model="operis/echo", instructions="Hm", input="Hello there")
    answer = said.parse()
    assert (answer.output_text, answer.status, answer.instructions) == ("Hello there", "completed", "Hm")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (13, 11)
    assert answer.usage.model_extra == {"cost": "0.000035"}  # 13 x 1 + 11 x 2 credits per million
    assert said.headers["x-operis-charge"] == "0.000035"
    async with client.responses.stream(
        model="operis/echo", input=[{"role": "user", "content": "Hello there"}], max_output_tokens=5
    ) as stream:
        kinds = [event.type async for event in stream]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.incomplete")
    assert await newest(ada) == ("completed", "0.000021", False)


async def test_a_response_needs_no_memory_of_ours(api: Api, ada: Account) -> None:
    client = api.openai(await mint(ada))
    asked: list[tuple[dict[str, Any], str]] = [
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ]
    for members, field in asked:
        with pytest.raises(BadRequestError) as refusal:
            await client.responses.create(model="operis/echo", input="x", **members)
        assert (refusal.value.code, refusal.value.param) == ("not_offered", field)
    assert (await ada.client.list_requests()).items == []


async def test_the_typed_client_speaks_it_too(api: Api, ada: Account) -> None:
    client = api.client(await mint(ada))
    answer = await client.create_response({"model": "operis/echo", "input": "Hello"})
    assert cast("dict[str, object]", answer["usage"])["cost"] == "0.000015"
    async with client.stream_response({"model": "operis/echo", "input": "Hello"}) as payloads:
        events = [json.loads(payload) async for payload in payloads]
    assert (events[-1]["type"], events[-1]["response"]["usage"]["cost"]) == ("response.completed", "0.000015")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


# -- an upstream that serves responses


async def test_a_response_passes_through_whole_and_nothing_is_stored(
    api: Api, ada: Account, modern: OpenAIUpstream
) -> None:
    response = await api.http.post(
        f"{api.base_url}/v1/responses",
        json={"model": model_of(modern), "input": "x", "max_output_tokens": 50, "x_custom": [1, None]},
        headers={"Authorization": f"Bearer {await mint(ada)}"},
    )
    answer = response.json()
    assert answer["provider_extra"] == {"kept": True}
    assert answer["usage"] == {**cast("dict[str, Any]", modern.script.response_usage), "cost": "0.000315"}
    assert modern.calls == [
        {"model": "real-model", "input": "x", "max_output_tokens": 50, "x_custom": [1, None], "store": False}
    ]
    assert await newest(ada) == ("completed", "0.000315", False)  # 40 x 2.5 + 60 x 0.25 + 20 x 10


@pytest.mark.parametrize("split", [None, 1, 17])
async def test_a_responses_stream_arrives_byte_for_byte_but_for_the_cost(
    api: Api, ada: Account, modern: OpenAIUpstream, split: int | None
) -> None:
    modern.script.split_bytes = split
    response = await api.http.post(
        f"{api.base_url}/v1/responses",
        json={"model": model_of(modern), "input": "x", "stream": True},
        headers={"Authorization": f"Bearer {await mint(ada)}"},
    )
    theirs, ours = modern.sent.split(b"\n\n"), response.content.split(b"\n\n")
    assert theirs[:-2] == ours[:-2]
    end = json.loads(ours[-2].removeprefix(b"event: response.completed\ndata: "))
    assert end["response"]["usage"].pop("cost") == "0.000315"
    assert end == json.loads(theirs[-2].removeprefix(b"event: response.completed\ndata: "))


async def test_the_stream_helper_gets_its_final_response(api: Api, ada: Account, modern: OpenAIUpstream) -> None:
    async with api.openai(await mint(ada)).responses.stream(model=model_of(modern), input="x") as stream:
        final = await stream.get_final_response()
    assert final.output_text == "The answer is 42."
    assert final.usage is not None
    assert final.usage.model_extra == {"cost": "0.000315"}


@pytest.mark.parametrize("split", [None, 150])
async def test_a_response_that_fails_in_its_stream_costs_nothing(
    api: Api, ada: Account, modern: OpenAIUpstream, split: int | None
) -> None:
    modern.script.response_end, modern.script.split_bytes = "response.failed", split
    client = api.openai(await mint(ada))

    async def read() -> None:
        async for _ in await client.responses.create(model=model_of(modern), input="x", stream=True):
            pass

    with pytest.raises(openai.APIError, match="broke off" if split else "provider failed"):
        await read()
    assert await newest(ada) == ("failed", "0", False)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_response_without_usage_is_estimated(
    api: Api, ada: Account, modern: OpenAIUpstream, streamed: bool
) -> None:
    modern.script.response_usage = None
    client = api.openai(await mint(ada))
    if streamed:
        async with client.responses.stream(model=model_of(modern), input="x") as stream:
            answer: Any = await stream.get_final_response()
    else:
        answer = await client.responses.create(model=model_of(modern), input="x")
    assert answer.usage.output_tokens == 5  # 17 bytes at four to a token
    assert (await newest(ada))[::2] == ("completed", True)


async def test_an_upstreams_refusal_of_a_response_is_told(api: Api, ada: Account, modern: OpenAIUpstream) -> None:
    modern.script.status = 400
    with pytest.raises(BadRequestError, match="the provider's own words"):
        await api.openai(await mint(ada)).responses.create(model=model_of(modern), input="x")
    assert len(modern.calls) == 1


# -- upstreams that do not


async def test_a_response_is_asked_as_a_chat_where_the_upstream_has_no_responses(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    class Found(BaseModel):
        number: int

    script.words, script.reasoning = ['{"number": 42}'], "Hm."
    image = "data:image/png;base64,aGVsbG8="
    answer = await api.openai(await mint(ada)).responses.parse(
        model=real_model,
        instructions="Be brief",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What?"},
                    {"type": "input_image", "image_url": image, "detail": "low"},
                ],
            }
        ],
        text_format=Found,
        reasoning={"effort": "low"},
        max_output_tokens=50,
        store=False,
    )
    assert answer.output_parsed == Found(number=42)
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    sent = provider.calls[-1]
    assert (sent["max_tokens"], sent["reasoning_effort"]) == (50, "low")
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": image, "detail": "low"}},
            ],
        },
    ]
    assert sent["response_format"]["json_schema"]["name"] == "Found"
    assert "store" not in sent
    assert await newest(ada) == ("completed", "0.0000975", False)


async def test_a_loop_of_tools_streams_through_a_chat(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    script.words, script.tool_calls, script.finish_reason = ["I look."], list(CALLS), "tool_calls"
    client = api.openai(await mint(ada))
    async with client.responses.stream(model=real_model, input="Weather?", tools=[TOOL]) as stream:
        first = await stream.get_final_response()
    calls = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
    assert [(call.call_id, json.loads(call.arguments)) for call in calls] == [
        ("call_1", {"where": "Hà Nội"}),
        ("call_2", {}),
    ]
    assert (first.output_text, first.usage and first.usage.model_extra) == ("I look.", {"cost": "0.0000975"})
    results: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]
    before: Any = [item.to_dict() for item in first.output]
    script.words, script.tool_calls, script.finish_reason = ["It rains."], [], "stop"
    second = await client.responses.create(
        model=real_model, input=[{"role": "user", "content": "Weather?"}, *before, *results], tools=[TOOL]
    )
    assert second.output_text == "It rains."
    assert provider.calls[-1]["messages"] == [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}], "tool_calls": CALLS},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_2", "content": "rain"},
    ]


async def test_a_response_is_asked_of_an_anthropic_provider(
    api: Api, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: ClaudeScript
) -> None:
    client = api.openai(await mint(ada))
    said = await client.responses.with_raw_response.create(model=claude, input="What?", instructions="Be brief")
    assert said.parse().output_text == "The answer is 42."
    assert said.headers["x-operis-charge"] == "0.000138"
    assert claude_provider.calls[-1]["system"] == [{"type": "text", "text": "Be brief"}]
    claude_script.blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        text_block("I look."),
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
    ]
    claude_script.stop_reason = "tool_use"
    async with client.responses.stream(model=claude, input="What?", tools=[TOOL]) as stream:
        final = await stream.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.model_extra) == (11, {"cost": "0.000138"})


async def test_what_a_chat_cannot_say_is_named(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    with pytest.raises(BadRequestError) as refusal:
        await api.openai(await mint(ada)).responses.create(
            model=real_model, input="x", tools=[{"type": "custom", "name": "free"}]
        )
    assert (refusal.value.code, refusal.value.param) == ("not_translatable", "tools[0].type (custom)")
    assert provider.calls == []
    assert await newest(ada) == ("failed", "0", False)
    assert script.status == 200


async def test_the_blocking_sdk_works_as_well(api: Api, ada: Account) -> None:
    secret = await mint(ada)

    def ask() -> str:
        with (
            openai.OpenAI(base_url=f"{api.base_url}/v1", api_key=secret, max_retries=0) as client,
            client.responses.stream(model="operis/echo", input="Hi") as stream,
        ):
            return stream.get_final_response().output_text

    assert await asyncio.to_thread(ask) == "Hi"
