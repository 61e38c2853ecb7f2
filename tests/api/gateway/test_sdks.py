"""The official Python SDKs, blocking and not: helpers, retries and every class of error, as against the originals."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.factories import Account, mint
from tests.fakes.anthropic_upstream import AnthropicUpstream, text_block
from tests.fakes.anthropic_upstream import Script as ClaudeScript
from tests.fakes.openai_upstream import OpenAIUpstream, Script
from tests.running import Api, free_port

QUESTION: Any = [{"role": "user", "content": "What is the answer?"}]
CHARGE = "0.0000975"
"""Of `real_model`, in either dialect."""
CLAUDE_CHARGE = "0.000138"
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
CALLS: list[dict[str, Any]] = [
    {"id": f"call_{nth}", "type": "function", "function": {"name": "look", "arguments": f'{{"nth":{nth}}}'}}
    for nth in range(3)
]
CLAUDE_TOOL: Any = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
USES: list[dict[str, Any]] = [
    {"type": "tool_use", "id": f"toolu_{nth}", "name": "look", "input": {"nth": nth}} for nth in range(3)
]
SDKS: dict[str, Callable[..., Any]] = {
    "openai.OpenAI": openai.OpenAI,
    "openai.AsyncOpenAI": openai.AsyncOpenAI,
    "anthropic.Anthropic": anthropic.Anthropic,
    "anthropic.AsyncAnthropic": anthropic.AsyncAnthropic,
}
each_sdk = pytest.mark.parametrize("sdk", SDKS)


class Found(BaseModel):
    number: int


async def use(sdk: str, base_url: str, secret: str, work: Callable[[Any], Any], **options: Any) -> Any:
    """Return what the work makes of the SDK's client: on the loop, or for a blocking one in a thread."""
    path = "/v1" if sdk.startswith("openai") else ""
    client = SDKS[sdk](base_url=base_url + path, api_key=secret, **{"max_retries": 0, **options})
    if "Async" in sdk:
        async with client:
            return await work(client)
    with client:
        return await asyncio.to_thread(work, client)


def ask(sdk: str, model: str, **options: Any) -> Callable[[Any], Any]:
    """Return the work of asking one question for a whole answer."""
    if sdk.startswith("openai"):
        return lambda client: client.chat.completions.create(model=model, messages=QUESTION, **options)
    return lambda client: client.messages.create(model=model, max_tokens=100, messages=QUESTION, **options)


def text_of(answer: Any) -> str:
    return answer.choices[0].message.content if hasattr(answer, "choices") else answer.content[0].text


async def charges(account: Account) -> list[str]:
    """Return what each call cost, once none is open."""
    async with asyncio.timeout(30):
        while (await account.client.get_wallet()).held != "0":
            await asyncio.sleep(0.05)
    return [row.charge for row in (await account.client.list_requests()).items]


# -- helpers


@each_sdk
async def test_a_raw_answer_has_its_headers(
    api: Api, ada: Account, script: Script, real_model: str, claude_script: ClaudeScript, claude: str, sdk: str
) -> None:
    model, charge = (real_model, CHARGE) if sdk.startswith("openai") else (claude, CLAUDE_CHARGE)

    def work(client: Any) -> Any:
        of = client.chat.completions if sdk.startswith("openai") else client.messages
        return of.with_raw_response.create(model=model, max_tokens=100, messages=QUESTION)

    said = await use(sdk, api.base_url, await mint(ada), work)
    answer = said.parse()
    answer = await answer if inspect.isawaitable(answer) else answer
    assert text_of(answer) == "The answer is 42."
    request = (await ada.client.list_requests()).items[0]
    told = {name: said.headers[name] for name in ("x-operis-charge", "x-operis-request-id", "x-request-id")}
    assert told == {"x-operis-charge": charge, "x-operis-request-id": request.id, "x-request-id": request.id}
    assert answer._request_id == request.id  # as the SDKs document it
    assert script.status == claude_script.status == 200


@each_sdk
async def test_the_stream_helper_gathers_the_answer_and_its_usage(
    api: Api, ada: Account, script: Script, real_model: str, claude_script: ClaudeScript, claude: str, sdk: str
) -> None:
    def open_stream(client: Any) -> Any:
        if sdk.startswith("openai"):
            options = {"include_usage": True}
            return client.chat.completions.stream(model=real_model, messages=QUESTION, stream_options=options)
        return client.messages.stream(model=claude, max_tokens=100, messages=QUESTION)

    final = "get_final_completion" if sdk.startswith("openai") else "get_final_message"

    def work(client: Any) -> Any:
        with open_stream(client) as stream:
            kinds = {event.type for event in stream}
            return kinds, getattr(stream, final)()

    async def work_async(client: Any) -> Any:
        async with open_stream(client) as stream:
            kinds = {event.type async for event in stream}
            return kinds, await getattr(stream, final)()

    kinds, answer = await use(sdk, api.base_url, await mint(ada), work_async if "Async" in sdk else work)
    assert ("content.delta" if sdk.startswith("openai") else "text") in kinds
    assert text_of(answer) == "The answer is 42."
    assert (answer.usage.completion_tokens if sdk.startswith("openai") else answer.usage.output_tokens) == 7
    assert await charges(ada) == [CHARGE if sdk.startswith("openai") else CLAUDE_CHARGE]
    assert script.status == claude_script.status == 200


@each_sdk
async def test_an_answer_is_parsed_by_its_schema(
    api: Api, ada: Account, script: Script, real_model: str, claude_script: ClaudeScript, claude: str, sdk: str
) -> None:
    script.words, claude_script.blocks = ['{"number"', ": 42}"], [text_block('{"number": 42}')]

    def work(client: Any) -> Any:
        if sdk.startswith("openai"):
            return client.chat.completions.parse(model=real_model, messages=QUESTION, response_format=Found)
        return client.messages.parse(model=claude, max_tokens=100, messages=QUESTION, output_format=Found)

    answer = await use(sdk, api.base_url, await mint(ada), work)
    parsed = answer.choices[0].message.parsed if sdk.startswith("openai") else answer.parsed_output
    assert parsed == Found(number=42)


@each_sdk
async def test_a_loop_of_tools_brings_several_results_at_once(
    api: Api,
    ada: Account,
    provider: OpenAIUpstream,
    script: Script,
    real_model: str,
    claude_provider: AnthropicUpstream,
    claude_script: ClaudeScript,
    claude: str,
    sdk: str,
) -> None:
    secret = await mint(ada)
    script.words, script.tool_calls, script.finish_reason = [], CALLS, "tool_calls"
    claude_script.blocks, claude_script.stop_reason = USES, "tool_use"
    openais = sdk.startswith("openai")
    of, tool = (real_model, TOOL) if openais else (claude, CLAUDE_TOOL)
    asked = await use(sdk, api.base_url, secret, ask(sdk, of, tools=[tool]))
    said = asked.choices[0].message.model_dump(exclude_none=True) if openais else asked.model_dump(exclude_none=True)
    results: list[Any] = (
        [{"role": "tool", "tool_call_id": call["id"], "content": f"result {call['id']}"} for call in said["tool_calls"]]
        if openais
        else [{"type": "tool_result", "tool_use_id": part["id"], "content": "result"} for part in said["content"]]
    )
    turn = (
        [said, *results]
        if openais
        else [{"role": "assistant", "content": said["content"]}, {"role": "user", "content": results}]
    )
    script.words, script.tool_calls, script.finish_reason = ["It rains."], [], "stop"
    claude_script.blocks, claude_script.stop_reason = [text_block("It rains.")], "end_turn"

    def go_on(client: Any) -> Any:
        of_calls = client.chat.completions if openais else client.messages
        return of_calls.create(model=of, max_tokens=100, messages=[*QUESTION, *turn], tools=[tool])

    assert text_of(await use(sdk, api.base_url, secret, go_on)) == "It rains."
    calls = provider.calls if openais else claude_provider.calls
    assert calls[-1]["messages"][1:] == turn
    assert len(results) == 3


@pytest.mark.parametrize("sdk", ["openai.OpenAI", "openai.AsyncOpenAI"])
async def test_responses_and_embeddings_are_answered_and_parsed(
    api: Api, ada: Account, script: Script, real_model: str, sdk: str
) -> None:
    secret = await mint(ada)
    script.words = ['{"number": 42}']
    answer = await use(
        sdk,
        api.base_url,
        secret,
        lambda client: client.responses.parse(model=real_model, input="What?", text_format=Found),
    )
    assert answer.output_parsed == Found(number=42)
    embedded = await use(
        sdk, api.base_url, secret, lambda client: client.embeddings.create(model=real_model, input=["a", "b"])
    )
    assert [found.embedding for found in embedded.data] == [[0.5, -0.25], [0.5, -0.25]]
    assert await charges(ada) == ["0.0000275", CHARGE]


# -- errors


@dataclass(frozen=True)
class Trouble:
    error: str
    provider: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the provider's script has different."""
    secret: str | None = None
    allowed: tuple[str, ...] = ()
    model: str | None = None
    timeout: float | None = None
    reachable: bool = True
    charges: tuple[str, ...] = ("0",)


TROUBLES = [
    Trouble("AuthenticationError", secret="sk-op-wrong", charges=()),
    Trouble("PermissionDeniedError", allowed=("operis/echo",), charges=()),
    Trouble("NotFoundError", model="no/model", charges=()),
    Trouble("RateLimitError", {"status": 429, "retry_after": "1"}),
    Trouble("BadRequestError", {"status": 400}),
    Trouble("InternalServerError", {"status": 500}),
    Trouble("APITimeoutError", {"seconds_before_answer": 1.5}, timeout=0.7, charges=(CHARGE,)),
    Trouble("APIConnectionError", reachable=False, charges=()),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.error)
@each_sdk
async def test_each_trouble_is_the_sdks_own_class_of_error(
    api: Api, ada: Account, script: Script, real_model: str, sdk: str, trouble: Trouble
) -> None:
    for name, value in trouble.provider.items():
        setattr(script, name, value)
    allowed: dict[str, Any] = {"models": list(trouble.allowed)} if trouble.allowed else {}
    secret = trouble.secret or (await ada.client.mint_key(name="test", **allowed)).secret
    base_url = api.base_url if trouble.reachable else f"http://127.0.0.1:{free_port()}"
    expected = getattr(openai if sdk.startswith("openai") else anthropic, trouble.error)
    options = {"timeout": trouble.timeout} if trouble.timeout else {}
    with pytest.raises(expected) as raised:
        await use(sdk, base_url, secret, ask(sdk, trouble.model or real_model), **options)
    assert type(raised.value) is expected
    if hasattr(raised.value, "status_code"):
        assert raised.value.request_id  # pyright: ignore[reportAttributeAccessIssue]  # of those with a status
    assert await charges(ada) == list(trouble.charges)


# -- the SDKs' own retries


@pytest.mark.parametrize("status", [429, 500, 503])
@each_sdk
async def test_an_sdk_tries_again_by_itself_and_pays_once(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str, sdk: str, status: int
) -> None:
    script.status, script.retry_after = status, "1"

    async def recover() -> None:
        while not provider.calls:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)  # the refusal is on its way; an SDK waits longer
        script.status = 200

    recovering = asyncio.create_task(recover())
    answer = await use(sdk, api.base_url, await mint(ada), ask(sdk, real_model), max_retries=2)
    await recovering
    assert text_of(answer) == "The answer is 42."
    assert await charges(ada) == [CHARGE, "0"]


@asynccontextmanager
async def run_broken_line(api: Api, *, takes_request: bool) -> AsyncGenerator[str]:
    """Give an address of the API whose first connection breaks: at once, or when its answer comes."""
    tried = 0

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        first = tried == 1
        if not first or takes_request:
            there, back = await asyncio.open_connection("127.0.0.1", urlsplit(api.base_url).port)
            sending = asyncio.create_task(pass_on(reader, back))
            while received := await there.read(65536):
                if first:
                    break
                writer.write(received)
            sending.cancel()
            back.close()
        (writer.transport.abort if first else writer.close)()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while received := await reader.read(65536):
                writer.write(received)
        writer.close()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@each_sdk
async def test_a_connection_that_breaks_before_the_request_is_tried_again_and_paid_once(
    api: Api, ada: Account, script: Script, real_model: str, sdk: str
) -> None:
    async with run_broken_line(api, takes_request=False) as base_url:
        answer = await use(sdk, base_url, await mint(ada), ask(sdk, real_model), max_retries=2)
    assert text_of(answer) == "The answer is 42."
    assert await charges(ada) == [CHARGE]
    assert script.status == 200


@each_sdk
async def test_a_lost_answer_is_told_again_under_its_key_and_paid_once(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str, sdk: str
) -> None:
    headers = {"Idempotency-Key": "once"}
    async with run_broken_line(api, takes_request=True) as base_url:
        answer = await use(sdk, base_url, await mint(ada), ask(sdk, real_model, extra_headers=headers), max_retries=2)
    assert text_of(answer) == "The answer is 42."
    assert (len(provider.calls), await charges(ada)) == (1, [CHARGE])
    assert script.status == 200
