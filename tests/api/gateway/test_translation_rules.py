"""Translations are pure: there and back again is the same, and a stream says what the whole answer says."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operis_api.catalog.offers import Credential, Offer, Route
from operis_api.gateway.dialects import GatewayRequest, StreamMeter
from operis_api.gateway.dialects.anthropic.request import MessagesRequest
from operis_api.gateway.dialects.openai.request import ChatRequest
from operis_api.gateway.dialects.openai.responses import ResponsesRequest
from operis_api.gateway.dialects.translation.answers import completion_to_message, message_to_completion
from operis_api.gateway.dialects.translation.chat_to_messages import chat_to_messages
from operis_api.gateway.dialects.translation.completion_to_response import completion_to_response, frame_response
from operis_api.gateway.dialects.translation.forms import Forms, find_forms
from operis_api.gateway.dialects.translation.messages_to_chat import messages_to_chat
from operis_api.gateway.dialects.translation.responses_to_chat import responses_to_chat
from operis_api.gateway.errors import InvalidBody, NotTranslatable

Json = dict[str, Any]
Strategy = st.SearchStrategy[Any]
texts = st.text(min_size=1, max_size=12)
names = st.text("abcdefgh_", min_size=1, max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e6, 1e6) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
objects = st.dictionaries(names, values, max_size=3)
DATA = "aGVsbG8="
NOTHING: Strategy = st.fixed_dictionaries({})


def made_of(optional: Mapping[str, Strategy] | None = None, /, **members: object) -> Strategy:
    """Objects with these members, strategies or values, and some of the optional ones."""
    fixed: Json = {name: one if isinstance(one, st.SearchStrategy) else st.just(one) for name, one in members.items()}
    return st.fixed_dictionaries(fixed, optional=optional or {})


def encode(given: Json) -> str:
    return msgspec.json.encode(given).decode()


# -- chat requests in normal form: what can be said in Anthropic's dialect, said in one way

text_parts = made_of(type="text", text=texts)
image_urls = st.sampled_from([f"data:image/png;base64,{DATA}", "https://example.com/cat.png"])
files = st.sampled_from(
    [
        {"filename": "document.pdf", "file_data": f"data:application/pdf;base64,{DATA}"},
        {"filename": "deed.pdf", "file_data": f"data:application/pdf;base64,{DATA}"},
        {"filename": "note.txt", "file_data": f"data:text/plain;base64,{DATA}"},
    ]
)
chat_parts = st.one_of(
    text_parts, made_of(type="image_url", image_url=made_of(url=image_urls)), made_of(type="file", file=files)
)
chat_users = made_of(role="user", content=st.text(max_size=12) | st.lists(chat_parts, min_size=1, max_size=3))
chat_systems = made_of(role="system", content=texts)
chat_said = texts | st.lists(text_parts, min_size=2, max_size=3)
chat_found = st.text(max_size=5) | st.lists(text_parts, min_size=1, max_size=2)


@st.composite
def chat_turns(draw: st.DrawFn) -> list[Json]:
    """One message, or an assistant's parallel calls of tools with their results."""
    if draw(st.booleans()):
        assistants = made_of(role="assistant", content=st.just("") | chat_said)
        return [draw(st.one_of(chat_users, chat_systems, assistants))]
    functions = draw(st.lists(made_of(name=names, arguments=objects.map(encode)), min_size=1, max_size=3))
    calls: list[Json] = [
        {"id": f"call_{nth}", "type": "function", "function": function} for nth, function in enumerate(functions)
    ]
    results: list[Json] = [{"role": "tool", "tool_call_id": call["id"], "content": draw(chat_found)} for call in calls]
    return [{"role": "assistant", "content": draw(st.none() | chat_said), "tool_calls": calls}, *results]


more_of_tools: Json = {"description": texts, "strict": st.booleans()}
chat_tools = st.lists(
    made_of(type="function", function=made_of(more_of_tools, name=names, parameters=objects)), min_size=1, max_size=3
)
chat_choices = st.one_of(
    made_of(tool_choice=st.sampled_from(["none", "auto"])),
    made_of(tool_choice="required", parallel_tool_calls=False),
    made_of(tool_choice=made_of(type="function", function=made_of(name=names))),
)
chat_options: Json = {
    "stream": st.booleans(),
    "temperature": st.floats(0, 1),
    "top_p": st.floats(0, 1),
    "stop": st.lists(texts, min_size=1, max_size=3),
    "user": texts,
    "reasoning_effort": st.sampled_from(["none", "low", "medium", "high", "xhigh", "max"]),
    "response_format": made_of(type="json_schema", json_schema=made_of(name="answer", strict=True, schema=objects)),
}


@st.composite
def chats(draw: st.DrawFn) -> Json:
    messages = draw(st.lists(chat_systems, max_size=2))
    for turn in draw(st.lists(chat_turns(), min_size=1, max_size=5)):
        messages.extend(turn)
    tools = draw(NOTHING | made_of(tools=chat_tools))
    choice = draw(chat_choices if tools else NOTHING)
    return {"messages": messages, **draw(made_of(chat_options)), **tools, **choice}


@given(chats())
def test_a_chat_request_there_and_back_is_the_same(chat: Json) -> None:
    assert messages_to_chat(chat_to_messages(chat)) == chat


# -- messages requests in normal form

text_blocks = made_of(type="text", text=texts)
sources = st.sampled_from(
    [
        {"type": "base64", "media_type": "image/webp", "data": DATA},
        {"type": "url", "url": "https://example.com/cat.png"},
    ]
)
papers = st.sampled_from(
    [
        {"type": "base64", "media_type": "application/pdf", "data": DATA},
        {"type": "text", "media_type": "text/plain", "data": "Grüße"},
    ]
)
title: Json = {"title": names}
user_blocks = st.one_of(
    text_blocks, made_of(type="image", source=sources), made_of(title, type="document", source=papers)
)
user_messages = made_of(role="user", content=st.text(max_size=12) | st.lists(user_blocks, max_size=3))
assistant_messages = made_of(
    role="assistant", content=st.text(max_size=12) | st.lists(text_blocks, min_size=2, max_size=3)
)


@st.composite
def tool_uses(draw: st.DrawFn) -> list[Json]:
    calls = draw(st.lists(made_of(name=names, input=objects), min_size=1, max_size=3))
    return [{"type": "tool_use", "id": f"toolu_{nth}", **call} for nth, call in enumerate(calls)]


@st.composite
def exchanges(draw: st.DrawFn) -> list[Json]:
    """One message, or an assistant's uses of tools with their results."""
    if draw(st.booleans()):
        return [draw(user_messages | assistant_messages)]
    uses, said = draw(tool_uses()), draw(st.lists(text_blocks, max_size=2))
    found = st.text(max_size=12) | st.lists(text_blocks, min_size=1, max_size=2)
    results: list[Json] = [{"type": "tool_result", "tool_use_id": use["id"], "content": draw(found)} for use in uses]
    return [{"role": "assistant", "content": [*said, *uses]}, {"role": "user", "content": results}]


message_tools = st.lists(made_of(more_of_tools, name=names, input_schema=objects), min_size=1, max_size=3)
message_choices = st.one_of(
    made_of(type=st.sampled_from(["auto", "none"])),
    made_of(type="any", disable_parallel_tool_use=True),
    made_of(type="tool", name=names),
)
message_options: Json = {
    "system": st.lists(text_blocks, min_size=1, max_size=2),
    "stream": st.booleans(),
    "temperature": st.floats(0, 1),
    "top_p": st.floats(0, 1),
    "stop_sequences": st.lists(texts, max_size=3),
    "metadata": made_of(user_id=texts),
}
some_effort = st.sampled_from(["low", "medium", "high", "max"])
efforts = st.one_of(
    NOTHING,
    made_of(thinking=made_of(type="disabled")),
    made_of(thinking=made_of(type="adaptive"), output_config=made_of(effort=some_effort)),
    made_of(output_config=made_of(format=made_of(type="json_schema", schema=objects))),
)


@st.composite
def conversations(draw: st.DrawFn) -> Json:
    messages: list[Json] = []
    for turn in draw(st.lists(exchanges(), min_size=1, max_size=5)):
        messages.extend(turn)
    tools = draw(NOTHING | made_of(tools=message_tools, tool_choice=message_choices))
    return {"messages": messages, **draw(made_of(message_options)), **tools, **draw(efforts)}


@given(conversations())
def test_a_messages_request_there_and_back_is_the_same(conversation: Json) -> None:
    assert chat_to_messages(messages_to_chat(conversation)) == conversation


# -- answers

stop_reasons = st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal"])


@st.composite
def answers(draw: st.DrawFn) -> Json:
    """Messages as Anthropic's models answer them."""
    said = draw(st.lists(text_blocks, max_size=1))
    uses = draw(tool_uses()) if draw(st.booleans()) else []
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "real-claude",
        "content": [*said, *uses],
        "stop_reason": draw(stop_reasons),
        "stop_sequence": None,
    }


@given(answers())
def test_an_answer_there_and_back_is_the_same(message: Json) -> None:
    assert completion_to_message(message_to_completion(message, 1)) == message


# -- streams


def offer_of(protocol: str) -> Offer:
    nobody = Credential(UUID(int=1), "")
    route = Route(
        upstream_id=UUID(int=1),
        upstream_name="fake",
        protocol=protocol,
        base_url="http://upstream.test",
        credential=nobody,
        credentials=(nobody,),
        upstream_model="real",
        weight=1,
        priority=1,
    )
    return Offer(
        id="acme/large",
        name="Large",
        context_tokens=None,
        max_output_tokens=None,
        default_output_tokens=100,
        min_output_tokens=1,
        created_at=datetime(2026, 11, 1, tzinfo=UTC),
        routes=(route,),
        prices=(),
    )


def forms_of(request: GatewayRequest, protocol: str) -> Forms:
    return find_forms(request, offer_of(protocol))


def chat_meter() -> StreamMeter:
    """What a chat client is told of a message's stream."""
    body: Json = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
    return forms_of(ChatRequest(json.dumps(body).encode()), "anthropic")["anthropic"].stream_meter()


def message_meter() -> StreamMeter:
    """What an Anthropic client is told of a chat's stream."""
    body: Json = {"model": "m", "messages": [], "stream": True, "max_tokens": 9}
    return forms_of(MessagesRequest(json.dumps(body).encode(), {}), "openai")["openai"].stream_meter()


def response_meter(protocol: str) -> StreamMeter:
    """What a responses client is told of a stream."""
    asked = ResponsesRequest(b'{"model": "m", "input": "x", "stream": true}')
    forms = forms_of(asked, protocol)
    form = forms.fallback(protocol) if protocol == "openai" else forms[protocol]
    assert form is not None
    return form.stream_meter()


def halves(text: str) -> list[str]:
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def encode_events(payloads: list[Json]) -> bytes:
    return "".join(
        f"event: {payload['type']}\ndata: {json.dumps(payload, ensure_ascii=False)}\n\n" for payload in payloads
    ).encode()


def message_events(message: Json) -> bytes:
    start: Json = {**message, "content": [], "stop_reason": None, "usage": {"input_tokens": 5, "output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            begun: Json = {"type": "text", "text": ""}
            kind, name, whole = "text_delta", "text", block["text"]
        else:
            begun = {**block, "input": {}}
            kind, name = "input_json_delta", "partial_json"
            whole = json.dumps(block["input"], ensure_ascii=False)
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events.extend(
            {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: half}}
            for half in halves(whole)
        )
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}})
    return encode_events([*events, {"type": "message_stop"}])


def completion_chunks(completion: Json) -> bytes:
    frame = {"id": completion["id"], "object": "chat.completion.chunk", "created": 1, "model": completion["model"]}
    choice = completion["choices"][0]
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas.extend({"content": half} for half in halves(choice["message"]["content"] or ""))
    for nth, call in enumerate(choice["message"].get("tool_calls", [])):
        first, second = halves(call["function"]["arguments"])
        deltas.append({"tool_calls": [{**call, "index": nth, "function": {**call["function"], "arguments": first}}]})
        deltas.append({"tool_calls": [{"index": nth, "function": {"arguments": second}}]})
    chunks = [{**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    chunks.append({**frame, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def payloads_in(stream: bytes) -> list[Json]:
    found = [event.partition("data: ")[2] for event in stream.decode().strip().split("\n\n")]
    return [json.loads(payload) for payload in found if payload != "[DONE]"]


def put_together_chunks(stream: bytes) -> Json:
    said: Json = {"role": "assistant", "content": None, "refusal": None}
    calls: list[Json] = []
    reason = None
    chunks = payloads_in(stream)
    for chunk in chunks:
        for choice in chunk["choices"]:
            reason = choice["finish_reason"] or reason
            if content := choice["delta"].get("content"):
                said["content"] = (said["content"] or "") + content
            for call in choice["delta"].get("tool_calls", []):
                if call["index"] == len(calls):
                    calls.append({name: call[name] for name in ("id", "type", "function")})
                else:
                    calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    for call in calls:
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return {**said, **({"tool_calls": calls} if calls else {}), "reason": reason, "usage": chunks[-1]["usage"]}


def put_together_events(stream: bytes) -> Json:
    content: list[Json] = []
    partial: dict[int, str] = {}
    end: Json = {}
    for event in payloads_in(stream):
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(content)
                content.append(event["content_block"])
            case "content_block_delta" if event["delta"]["type"] == "text_delta":
                content[event["index"]]["text"] += event["delta"]["text"]
            case "content_block_delta":
                partial[event["index"]] = partial.get(event["index"], "") + event["delta"]["partial_json"]
            case "message_delta":
                end = event
            case _:
                pass
    for index, text in partial.items():
        content[index]["input"] = json.loads(text)
    return {"content": content, **end["delta"], "usage": end["usage"]}


def relay(meter: StreamMeter, stream: bytes, cuts: list[int]) -> bytes:
    bounds = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    passed = [meter.feed(stream[begin:end]) for begin, end in pairwise(bounds)]
    assert meter.complete
    return b"".join(passed) + meter.end("0.25")


cuts = st.lists(st.integers(0, 10_000), max_size=30)


@given(answers(), cuts)
def test_a_messages_stream_cut_anywhere_says_to_a_chat_client_what_the_whole_says(
    message: Json, cuts: list[int]
) -> None:
    stream = message_events(message)
    told = relay(chat_meter(), stream, cuts)
    assert put_together_chunks(told) == put_together_chunks(relay(chat_meter(), stream, []))
    whole: Any = message_to_completion(message, 1)["choices"]
    expected: Json = whole[0]["message"]
    told_calls: list[Json] = expected.get("tool_calls", [])
    for call in told_calls:
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    found = put_together_chunks(told)
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12, "cost": "0.25"}
    assert found == {**expected, "reason": whole[0]["finish_reason"], "usage": usage}


@given(answers(), cuts)
def test_a_chats_stream_cut_anywhere_says_to_an_anthropic_client_what_the_whole_says(
    message: Json, cuts: list[int]
) -> None:
    stream = completion_chunks(message_to_completion(message, 1))
    found = put_together_events(relay(message_meter(), stream, cuts))
    assert (found["content"], found["stop_reason"]) == (message["content"], message["stop_reason"])
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"]) == (5, 7)
    assert found["usage"]["cost"] == "0.25"


def stream_values(found: Sequence[object]) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in found)


@given(st.binary(max_size=200) | st.lists(values, max_size=5).map(stream_values))
def test_a_strange_stream_fails_or_passes_but_never_raises(stream: bytes) -> None:
    for meter in (chat_meter(), message_meter(), response_meter("openai"), response_meter("anthropic")):
        meter.feed(stream)
        meter.end(None)


@given(answers(), cuts)
def test_a_chats_stream_cut_anywhere_says_to_a_responses_client_what_the_whole_says(
    message: Json, cuts: list[int]
) -> None:
    completion = message_to_completion(message, 1)
    whole = completion_to_response(completion, frame_response({}, 1))
    for protocol, stream in (("openai", completion_chunks(completion)), ("anthropic", message_events(message))):
        events = payloads_in(relay(response_meter(protocol), stream, cuts))
        response = events[-1]["response"]
        assert events[-1]["type"] == f"response.{response['status']}"
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert (response["status"], response["incomplete_details"]) == (whole["status"], whole["incomplete_details"])
        assert strip_arguments(response["output"]) == strip_arguments(whole["output"])
        done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        assert done == response["output"]
        assert (response["usage"]["input_tokens"], response["usage"]["cost"]) == (5, "0.25")


def strip_arguments(output: Any) -> list[Json]:
    """Return a response's items with the arguments of tools as what they mean."""
    return [{**item, "arguments": json.loads(item["arguments"])} if "arguments" in item else item for item in output]


@given(objects, objects)
def test_a_strange_request_is_refused_and_never_raises_anything_else(request: Json, message: Json) -> None:
    user: Json = {"role": "user", **message}
    for translate in (chat_to_messages, messages_to_chat, responses_to_chat):
        for strange in (request, {"messages": [message], **request}, {"messages": [user], "input": [user]}):
            try:
                translate(strange)
            except (NotTranslatable, InvalidBody):
                continue


# -- what cannot be said is named

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


UNSAID_THERE: list[tuple[Json, str]] = [
    ({"n": 2}, "n"),
    ({"logprobs": True}, "logprobs"),
    ({"seed": 7}, "seed"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"frequency_penalty": 0.5}, "frequency_penalty"),
    ({"temperature": 1.5}, "temperature (above 1)"),
    ({"response_format": {"type": "json_object"}}, "response_format.type (json_object)"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"reasoning_effort": "minimal"}, "reasoning_effort (minimal)"),
    ({"x_custom": 1}, "x_custom"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type (custom)"),
    ({"messages": [{"role": "user", "content": "x", "name": "Ada"}]}, "messages[0].name"),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        "messages[0].content[0].type (input_audio)",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        "messages[0].content[0].file.file_id",
    ),
]


@pytest.mark.parametrize(("members", "field"), UNSAID_THERE)
def test_what_anthropic_cannot_say_is_named(members: Json, field: str) -> None:
    with pytest.raises(NotTranslatable) as refusal:
        chat_to_messages({**HELLO, **members})
    assert refusal.value.facts == {"param": field}


UNSAID_HERE: list[tuple[Json, str]] = [
    ({"top_k": 5}, "top_k"),
    ({"container": "c"}, "container"),
    ({"inference_geo": "eu"}, "inference_geo"),
    ({"tools": [{"type": "web_search_20260101", "name": "web_search"}]}, "tools[0].type"),
    ({"thinking": {"type": "between_tools"}}, "thinking.type (between_tools)"),
    (
        {"messages": [{"role": "user", "content": [{"type": "search_result"}]}]},
        "messages[0].content[0].type (search_result)",
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}],
                }
            ]
        },
        "messages[0].content[0].source.type (url)",
    ),
]


@pytest.mark.parametrize(("members", "field"), UNSAID_HERE)
def test_what_openai_cannot_say_is_named(members: Json, field: str) -> None:
    with pytest.raises(NotTranslatable) as refusal:
        messages_to_chat({**HELLO, **members})
    assert refusal.value.facts == {"param": field}


def test_hints_are_left_out() -> None:
    cached = {"cache_control": {"type": "ephemeral"}}
    asked = {
        "system": [{"type": "text", "text": "Be brief", **cached}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi", **cached}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
                    {"type": "tool_use", "id": "t", "name": "look", "input": {"where": None}, **cached},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": True, **cached}],
            },
        ],
        "thinking": {"type": "enabled", "budget_tokens": 8000},
    }
    assert messages_to_chat(asked) == {
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "t", "type": "function", "function": {"name": "look", "arguments": '{"where":null}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "t", "content": "no"},
        ],
        "reasoning_effort": "medium",
    }


def test_signed_thinking_comes_back_to_the_model_that_thought_it() -> None:
    thought = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
    completion = message_to_completion({"content": [thought, {"type": "text", "text": "Yes"}]}, 1)
    said: Any = completion["choices"]
    again = chat_to_messages({"messages": [{**said[0]["message"]}]})
    assert again == {"messages": [{"role": "assistant", "content": [thought, {"type": "text", "text": "Yes"}]}]}
