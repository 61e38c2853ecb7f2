"""A client of one dialect on a provider of the other, by the official SDKs: the same conversation, the same money."""

import asyncio
import json
from typing import Any, cast

import anthropic
import openai
import pytest
from anthropic.types import TextBlock, ThinkingBlock, ToolUseBlock
from openai import BadRequestError
from openai.types.chat import ChatCompletionMessageFunctionToolCall
from pydantic import BaseModel

from operis_client import AsyncOperis
from tests.factories import Account, mint, set_balance
from tests.fakes.anthropic_upstream import API_KEY as CLAUDE_API_KEY
from tests.fakes.anthropic_upstream import AnthropicUpstream, text_block
from tests.fakes.anthropic_upstream import Script as ClaudeScript
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.running import Api

QUESTION: Any = [{"role": "user", "content": "What is the answer?"}]
IMAGE = "data:image/png;base64,aGVsbG8="
TOOL: Any = {
    "type": "function",
    "function": {"name": "look", "description": "Looks", "parameters": {"type": "object", "properties": {}}},
}
USES: list[dict[str, Any]] = [
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"where": "Hà Nội"}},
    {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
]
CALLS: list[dict[str, Any]] = [
    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"where":"Hà Nội"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
]


async def newest(account: Account) -> tuple[str, str, bool]:
    row = (await account.client.list_requests(limit=1)).items[0]
    return row.outcome, row.charge, row.estimated


# -- OpenAI's clients on Anthropic's protocol


async def test_a_chat_client_asks_an_anthropic_provider(
    api: Api, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: ClaudeScript
) -> None:
    claude_script.usage = {"input_tokens": 10, "cache_read_input_tokens": 40, "output_tokens": 5}
    said = await api.openai(await mint(ada)).chat.completions.with_raw_response.create(
        model=claude,
        messages=[
            {"role": "developer", "content": "Be brief"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]},
        ],
        stop="END",
        temperature=0.5,
        max_completion_tokens=50,
        user="ada",
    )
    answer = said.parse()
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("The answer is 42.", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (50, 5, 55)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 40
    assert answer.usage.model_extra == {"cost": "0.000117"}  # 10 x 3 + 40 x 0.3 + 5 x 15
    assert said.headers["x-operis-charge"] == "0.000117"
    assert claude_provider.calls == [
        {
            "model": "real-claude",
            "max_tokens": 50,
            "system": [{"type": "text", "text": "Be brief"}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="},
                        }
                    ],
                }
            ],
            "stop_sequences": ["END"],
            "temperature": 0.5,
            "metadata": {"user_id": "ada"},
        }
    ]
    assert claude_provider.headers[-1]["anthropic-version"] == "2023-06-01"
    assert await newest(ada) == ("completed", "0.000117", False)


async def test_a_chat_client_without_a_limit_gets_the_models_own(
    api: Api, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: ClaudeScript
) -> None:
    await api.openai(await mint(ada)).chat.completions.create(model=claude, messages=QUESTION)
    assert claude_provider.calls[-1]["max_tokens"] == 4096
    assert claude_script.status == 200


async def test_a_chat_client_streams_thinking_tools_and_usage_from_an_anthropic_provider(
    api: Api, ada: Account, claude: str, claude_script: ClaudeScript
) -> None:
    thought = {"type": "thinking", "thinking": "Let me think.", "signature": "c2lnbmVk"}
    claude_script.blocks = [thought, text_block("I look."), *USES]
    claude_script.stop_reason, claude_script.split_bytes = "tool_use", 11
    async with api.openai(await mint(ada)).chat.completions.stream(
        model=claude, messages=QUESTION, tools=[TOOL], stream_options={"include_usage": True}
    ) as stream:
        async for _ in stream:
            pass
        answer = await stream.get_final_completion()
    message, usage = answer.choices[0].message, answer.usage
    assert (message.content, answer.choices[0].finish_reason) == ("I look.", "tool_calls")
    calls = cast("list[ChatCompletionMessageFunctionToolCall]", message.tool_calls)
    assert [(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("toolu_1", "look", {"where": "Hà Nội"}),
        ("toolu_2", "look", {}),
    ]
    extra = cast("dict[str, Any]", message.model_extra)
    assert extra["reasoning_content"] == "Let me think."
    assert extra["thinking_blocks"] == [{"index": 0, **thought}]
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.model_extra) == (11, 7, {"cost": "0.000138"})
    assert await newest(ada) == ("completed", "0.000138", False)


async def test_a_loop_of_tools_goes_on_at_an_anthropic_provider(
    api: Api, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: ClaudeScript
) -> None:
    claude_script.blocks, claude_script.stop_reason = list(USES), "tool_use"
    client = api.openai(await mint(ada))
    first = await client.chat.completions.create(
        model=claude, messages=QUESTION, tools=[TOOL], tool_choice="required", parallel_tool_calls=True
    )
    said = first.choices[0].message
    assert said.tool_calls is not None
    results: Any = [
        {"role": "tool", "tool_call_id": call.id, "content": f"result of {call.id}"} for call in said.tool_calls
    ]
    claude_script.blocks, claude_script.stop_reason = [text_block("It rains.")], "end_turn"
    second = await client.chat.completions.create(
        model=claude, messages=[*QUESTION, cast("Any", said.model_dump()), *results], tools=[TOOL]
    )
    assert second.choices[0].message.content == "It rains."
    assert claude_provider.calls[0]["tool_choice"] == {"type": "any"}
    assert claude_provider.calls[1]["messages"][1:] == [
        {"role": "assistant", "content": USES},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "result of toolu_1"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "result of toolu_2"},
            ],
        },
    ]


async def test_a_parsed_answer_comes_from_an_anthropic_provider(
    api: Api, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: ClaudeScript
) -> None:
    class Found(BaseModel):
        number: int

    claude_script.blocks = [text_block('{"number": 42}')]
    answer = await api.openai(await mint(ada)).chat.completions.parse(
        model=claude, messages=QUESTION, response_format=Found
    )
    assert answer.choices[0].message.parsed == Found(number=42)
    output = claude_provider.calls[-1]["output_config"]["format"]
    assert (output["type"], output["schema"]["required"]) == ("json_schema", ["number"])


async def test_what_the_provider_cannot_be_told_is_refused_by_its_name_and_costs_nothing(
    api: Api, ada: Account, claude: str, claude_provider: AnthropicUpstream, claude_script: ClaudeScript
) -> None:
    client = api.openai(await mint(ada))
    with pytest.raises(BadRequestError) as refusal:
        await client.chat.completions.create(model=claude, messages=QUESTION, n=2)
    assert (refusal.value.code, refusal.value.param) == ("not_translatable", "n")
    audio: Any = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "mp3"}}]}]
    with pytest.raises(BadRequestError) as other:
        await client.chat.completions.create(model=claude, messages=audio)
    assert other.value.param == "messages[0].content[0].type (input_audio)"
    assert claude_provider.calls == []
    assert (await ada.client.list_requests()).items == []
    assert claude_script.status == 200


@pytest.mark.parametrize(("status", "expected"), [(400, 400), (429, 429), (529, 429), (500, 502)])
async def test_an_anthropic_providers_refusal_reaches_a_chat_client_in_its_own_shape(
    api: Api, ada: Account, claude: str, claude_script: ClaudeScript, status: int, expected: int
) -> None:
    claude_script.status = status
    with pytest.raises(openai.APIStatusError) as refusal:
        await api.openai(await mint(ada)).chat.completions.create(model=claude, messages=QUESTION)
    assert refusal.value.status_code == expected
    assert (await newest(ada))[:2] == ("failed", "0")


async def test_an_anthropic_stream_that_fails_ends_with_openais_error(
    api: Api, ada: Account, claude: str, claude_script: ClaudeScript
) -> None:
    claude_script.error_after_deltas, claude_script.seconds_between_deltas = 2, 0.01
    stream = await api.openai(await mint(ada)).chat.completions.create(model=claude, messages=QUESTION, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in stream:
            pass
    assert await newest(ada) == ("failed", "0", False)


async def test_a_chat_client_that_leaves_pays_once_for_what_an_anthropic_provider_made(
    api: Api, ada: Account, claude: str, claude_script: ClaudeScript
) -> None:
    claude_script.blocks, claude_script.seconds_between_deltas = [text_block("word " * 20)], 0.05
    async with api.http.stream(
        "POST",
        f"{api.base_url}/v1/chat/completions",
        json={"model": claude, "messages": QUESTION, "stream": True},
        headers={"Authorization": f"Bearer {await mint(ada)}"},
    ) as response:
        async for _ in response.aiter_bytes():
            break
    async with asyncio.timeout(30):
        while (await ada.client.get_wallet()).held != "0":
            await asyncio.sleep(0.05)
    assert await newest(ada) == ("disconnected", "0.000138", False)


# -- Anthropic's clients on OpenAI's protocol


async def test_an_anthropic_client_asks_an_openai_provider(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    script.usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    script.reasoning = "Hm."
    said = await api.anthropic(await mint(ada)).messages.with_raw_response.create(
        model=real_model,
        max_tokens=50,
        system="Be brief",
        messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://a.b/c"}}]}],
        stop_sequences=["END"],
        thinking={"type": "adaptive"},
        output_config={"effort": "low"},
    )
    message = await said.parse()
    thought, text = message.content
    assert (cast("ThinkingBlock", thought).thinking, cast("TextBlock", text).text) == ("Hm.", "The answer is 42.")
    usage = message.usage
    assert (message.stop_reason, usage.input_tokens, usage.output_tokens) == ("end_turn", 40, 20)
    assert usage.cache_read_input_tokens == 60
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 5
    assert usage.model_extra == {"cost": "0.000315"}  # 40 x 2.5 + 60 x 0.25 + 20 x 10
    assert said.headers["x-operis-charge"] == "0.000315"
    assert provider.calls == [
        {
            "model": "real-model",
            "max_tokens": 50,
            "messages": [
                {"role": "system", "content": "Be brief"},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c"}}]},
            ],
            "stop": ["END"],
            "reasoning_effort": "low",
        }
    ]


async def test_an_anthropic_client_streams_thinking_tools_and_usage_from_an_openai_provider(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    script.reasoning, script.words, script.tool_calls = "Hm.", ["I ", "look."], list(CALLS)
    script.finish_reason, script.split_bytes = "tool_calls", 13
    async with api.anthropic(await mint(ada)).messages.stream(
        model=real_model,
        max_tokens=50,
        messages=QUESTION,
        tools=[{"name": "look", "input_schema": {"type": "object", "properties": {}}}],
    ) as stream:
        kinds = [event.type async for event in stream]
        message = await stream.get_final_message()
    thought, text, *uses = message.content
    assert (cast("ThinkingBlock", thought).thinking, cast("TextBlock", text).text) == ("Hm.", "I look.")
    assert [(use.id, use.input) for use in cast("list[ToolUseBlock]", uses)] == [
        ("call_1", {"where": "Hà Nội"}),
        ("call_2", {}),
    ]
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("tool_use", 11, 7)
    assert (kinds[0], kinds[-1], kinds.count("content_block_stop")) == ("message_start", "message_stop", 4)
    assert provider.calls[-1]["stream_options"] == {"include_usage": True}
    assert await newest(ada) == ("completed", "0.0000975", False)


async def test_a_loop_of_tools_goes_on_at_an_openai_provider(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    script.words, script.tool_calls, script.finish_reason = [], list(CALLS), "tool_calls"
    client = api.anthropic(await mint(ada))
    tools: Any = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]
    first = await client.messages.create(
        model=real_model,
        max_tokens=50,
        messages=QUESTION,
        tools=tools,
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    results: Any = [
        {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": use.id}]}
        for use in cast("list[ToolUseBlock]", first.content)
    ]
    script.words, script.tool_calls, script.finish_reason = ["It rains."], [], "stop"
    second = await client.messages.create(
        model=real_model,
        max_tokens=50,
        messages=[*QUESTION, first.to_param(), {"role": "user", "content": results}],
        tools=tools,
    )
    assert cast("TextBlock", second.content[0]).text == "It rains."
    assert (provider.calls[0]["tool_choice"], provider.calls[0]["parallel_tool_calls"]) == ("required", False)
    assert provider.calls[1]["messages"][1:] == [
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "call_1"}]},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "call_2"}]},
    ]


async def test_what_openai_cannot_be_told_is_refused_by_its_name(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as refusal:
        await api.anthropic(await mint(ada)).messages.create(
            model=real_model, max_tokens=9, messages=QUESTION, extra_body={"top_k": 5}
        )
    error = cast("dict[str, Any]", refusal.value.body)["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "not_translatable", "top_k")
    assert provider.calls == []
    assert script.status == 200


@pytest.mark.parametrize("streamed", [False, True])
async def test_usage_an_openai_provider_leaves_out_is_estimated_and_told(
    api: Api, ada: Account, script: Script, real_model: str, streamed: bool
) -> None:
    script.usage = None
    client = api.anthropic(await mint(ada))
    if streamed:
        async with client.messages.stream(model=real_model, max_tokens=9, messages=QUESTION) as stream:
            message = await stream.get_final_message()
    else:
        message = await client.messages.create(model=real_model, max_tokens=9, messages=QUESTION)
    outcome, charge, estimated = await newest(ada)
    assert (outcome, estimated, message.usage.output_tokens) == ("completed", True, 5)
    assert charge != "0"


async def test_an_openai_stream_that_fails_ends_with_anthropics_error(
    api: Api, ada: Account, script: Script, real_model: str
) -> None:
    script.break_after_words, script.seconds_between_words = 2, 0.01
    client = api.anthropic(await mint(ada))
    async with client.messages.stream(model=real_model, max_tokens=9, messages=QUESTION) as stream:
        with pytest.raises(anthropic.APIStatusError, match="broke off"):
            await stream.until_done()
    assert await newest(ada) == ("failed", "0", False)


async def test_the_blocking_sdks_are_translated_for_as_well(
    api: Api, ada: Account, claude: str, claude_script: ClaudeScript, script: Script, real_model: str
) -> None:
    secret = await mint(ada)

    def ask() -> list[str | None]:
        with openai.OpenAI(base_url=f"{api.base_url}/v1", api_key=secret, max_retries=0) as chat:
            completion = chat.chat.completions.create(model=claude, messages=QUESTION)
        with anthropic.Anthropic(base_url=api.base_url, api_key=secret, max_retries=0) as client:
            message = client.messages.create(model=real_model, max_tokens=9, messages=QUESTION)
        return [completion.choices[0].message.content, cast("TextBlock", message.content[0]).text]

    assert await asyncio.to_thread(ask) == ["The answer is 42.", "The answer is 42."]
    assert claude_script.status == script.status == 200


# -- models served in both


@pytest.fixture(scope="session")
async def both(provider: OpenAIUpstream, claude_provider: AnthropicUpstream, admin: AsyncOperis) -> str:
    """A model with an upstream of each protocol; OpenAI's is the operator's second choice."""
    first = await admin.create_upstream(
        name="Both, Anthropic", protocol="anthropic", base_url=claude_provider.base_url, api_key=CLAUDE_API_KEY
    )
    second = await admin.create_upstream(name="Both, OpenAI", base_url=provider.base_url, api_key=API_KEY)
    await admin.create_model(id="acme/twofold", upstream_id=first.id, upstream_model="real-claude")
    await admin.add_model_upstream("acme/twofold", upstream_id=second.id, upstream_model="real-model", priority=9)
    await admin.create_price(model_id="acme/twofold", input="3", output="15", cached_input="0.3")
    return "acme/twofold"


async def test_an_upstream_of_the_callers_own_dialect_is_asked_first_and_the_other_when_it_fails(
    api: Api, ada: Account, both: str, provider: OpenAIUpstream, script: Script, claude_script: ClaudeScript
) -> None:
    client = api.openai(await mint(ada))
    claude_script.blocks = [text_block("From Anthropic.")]
    first = await client.chat.completions.create(model=both, messages=QUESTION)
    assert first.choices[0].message.content == "The answer is 42."
    script.status = 503
    second = await client.chat.completions.create(model=both, messages=QUESTION)
    assert second.choices[0].message.content == "From Anthropic."
    stream = await client.chat.completions.create(model=both, messages=QUESTION, stream=True)
    words = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    assert "".join(words) == "From Anthropic."
    with pytest.raises(openai.InternalServerError):  # what cannot be translated has one try alone
        await client.chat.completions.create(model=both, messages=QUESTION, n=2)
    assert len(provider.calls) == 4


async def test_the_hold_covers_the_dearer_of_both_forms(
    api: Api, ada: Account, admin: AsyncOperis, both: str, claude: str, script: Script, claude_script: ClaudeScript
) -> None:
    await set_balance(admin, ada, "9")
    image: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}]
    holds: list[float] = []
    for model in (both, claude):
        await api.openai(await mint(ada)).chat.completions.create(model=model, messages=image, max_tokens=1)
        request = (await ada.client.list_requests(limit=1)).items[0]
        holds.append(float((await ada.client.explain_request(request.id)).hold))
    assert (
        0.015 < holds[0] < 0.02
    )  # 5,000 tokens at 3 credits per million, though OpenAI's answer was the dearest 2,000
    assert 0.03 < holds[1] < 0.035  # at 6, the dearest input of that model
    assert script.status == claude_script.status == 200
