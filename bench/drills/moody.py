"""Providers of both protocols that fail by a dice, and keep one log of what they sent."""

import asyncio
import contextlib
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

API_KEY = "sk-moody-provider-1234"
WHOLE, NO_USAGE = "whole", "whole, without usage"
BREAKS_OFF, ERROR_INSIDE, STALLS, STALLS_INSIDE, RESET = (
    "breaks off",
    "error inside",
    "stalls",
    "stalls inside",
    "reset",
)
MOODS = {
    WHOLE: 62,
    NO_USAGE: 9,
    "500": 5,
    "503": 4,
    "429": 2,
    RESET: 5,
    BREAKS_OFF: 6,
    ERROR_INSIDE: 4,
    STALLS: 1.5,
    STALLS_INSIDE: 1.5,
}
"""What may become of a request, and how likely."""
OUTPUT_TOKENS_MAX = 64
SECONDS_BETWEEN_WORDS = 0.004
STALL_SECONDS = 8
"""Longer than the gateway waits."""
_WORDS = ("yes ", "từ ", "— ", "42\n", "ok, ")
_WORDS_MAX = 14


class Delivery(msgspec.Struct):
    """One request, and what of its answer was sent."""

    nth: int
    """Of the call, as its prompt says."""
    protocol: str
    streamed: bool
    mood: str
    prompt_bytes: int
    """Of the messages, as they arrived."""
    fresh_tokens: int
    cached_tokens: int
    output_tokens: int
    text_bytes: int = 0
    whole: bool = False
    """Whether all of it was sent."""


class Log:
    """The dice of all providers together, and what they sent, by call."""

    def __init__(self, seed: int) -> None:
        self.deliveries: dict[int, list[Delivery]] = {}
        self._seed = seed

    def receive(self, protocol: str, body: "_Body") -> tuple[Delivery, list[str]]:
        """Throw the dice for a request; returns also the words of its answer."""
        nth = int(_NUMBER.decode(body.messages)[0].text.split()[0])
        before = self.deliveries.setdefault(nth, [])
        dice = random.Random(f"{self._seed}/{nth}/{len(before)}")
        delivery = Delivery(
            nth,
            protocol,
            body.stream,
            dice.choices(list(MOODS), weights=list(MOODS.values()))[0],
            len(body.messages),
            fresh_tokens=dice.randint(0, 30),
            cached_tokens=dice.choice([0, dice.randint(1, 20)]),
            output_tokens=dice.randint(1, OUTPUT_TOKENS_MAX),
        )
        before.append(delivery)
        return delivery, dice.choices(_WORDS, k=dice.randint(2, _WORDS_MAX))


class _Part(msgspec.Struct):
    text: str


class _Message(msgspec.Struct):
    content: str | list[_Part]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else self.content[0].text


class _Body(msgspec.Struct):
    messages: msgspec.Raw
    stream: bool = False


_NUMBER = msgspec.json.Decoder(list[_Message])


class _Provider(ABC):
    protocol: str
    path: str

    def __init__(self, log: Log) -> None:
        self._log = log

    @abstractmethod
    def answer(self, delivery: Delivery, text: str) -> dict[str, object]: ...

    @abstractmethod
    def stream(self, delivery: Delivery, words: list[str]) -> tuple[bytes, list[bytes], bytes]:
        """Return the beginning, an event for each word, and the end."""

    @abstractmethod
    def error(self) -> dict[str, object]: ...

    @abstractmethod
    def error_event(self) -> bytes: ...

    async def receive(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read(), type=_Body)
        delivery, words = self._log.receive(self.protocol, body)
        if delivery.mood.isdigit():
            headers = {"Retry-After": "1"} if delivery.mood == "429" else {}
            return web.json_response(self.error(), status=int(delivery.mood), headers=headers)
        if delivery.mood == STALLS:
            await asyncio.sleep(STALL_SECONDS)
        if delivery.mood in {RESET, STALLS}:
            _drop(request, at_once=True)
            return web.Response()
        with contextlib.suppress(ConnectionResetError):  # the gateway gave up
            return await (self._stream if body.stream else self._answer)(request, delivery, words)
        return web.Response()

    async def _answer(self, request: web.Request, delivery: Delivery, words: list[str]) -> web.StreamResponse:
        await asyncio.sleep(SECONDS_BETWEEN_WORDS * len(words))
        if delivery.mood == ERROR_INSIDE:
            return web.json_response(self.error())
        raw = msgspec.json.encode(self.answer(delivery, "".join(words)))
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(raw))})
        await response.prepare(request)
        if delivery.mood in {BREAKS_OFF, STALLS_INSIDE}:
            await response.write(raw[: len(raw) // 2])
            return await _break_off(request, response, delivery)
        await response.write(raw)
        await response.write_eof()
        delivery.text_bytes, delivery.whole = len("".join(words).encode()), True
        return response

    async def _stream(self, request: web.Request, delivery: Delivery, words: list[str]) -> web.StreamResponse:
        begin, events, end = self.stream(delivery, words)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(begin)
        breaks = delivery.mood in {BREAKS_OFF, ERROR_INSIDE, STALLS_INSIDE}
        for word, event in list(zip(words, events, strict=True))[: len(words) // 2 if breaks else None]:
            await asyncio.sleep(SECONDS_BETWEEN_WORDS)
            await response.write(event)
            delivery.text_bytes += len(word.encode())
        if breaks:
            await asyncio.sleep(SECONDS_BETWEEN_WORDS)
            if delivery.mood == ERROR_INSIDE:
                await response.write(self.error_event())
            return await _break_off(request, response, delivery)
        await response.write(end)
        await response.write_eof()
        delivery.whole = True
        return response


async def _break_off(request: web.Request, response: web.StreamResponse, delivery: Delivery) -> web.StreamResponse:
    if delivery.mood == STALLS_INSIDE:
        await asyncio.sleep(STALL_SECONDS)
    _drop(request, at_once=False)
    return response


def _drop(request: web.Request, *, at_once: bool) -> None:
    """End the connection: with a reset, or after what was written has gone out."""
    if request.transport is not None:
        (request.transport.abort if at_once else request.transport.close)()


class _OpenAiProvider(_Provider):
    protocol = "openai"
    path = "/v1/chat/completions"

    def answer(self, delivery: Delivery, text: str) -> dict[str, object]:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {**self._frame("chat.completion", choice), **self._usage(delivery)}

    def stream(self, delivery: Delivery, words: list[str]) -> tuple[bytes, list[bytes], bytes]:
        kind = "chat.completion.chunk"
        events = [
            _data(self._frame(kind, {"index": 0, "delta": {"content": word}, "finish_reason": None}))
            for word in ("", *words)
        ]
        end = _data(self._frame(kind, {"index": 0, "delta": {}, "finish_reason": "stop"}))
        if usage := self._usage(delivery):
            end += _data({**self._frame(kind), **usage})
        return events[0], events[1:], end + b"data: [DONE]\n\n"

    def error(self) -> dict[str, object]:
        return {"error": {"message": "of the provider's own", "type": "server_error"}}

    def error_event(self) -> bytes:
        return _data(self.error())

    def _frame(self, kind: str, *choices: object) -> dict[str, object]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "moody", "choices": choices}

    def _usage(self, delivery: Delivery) -> dict[str, object]:
        if delivery.mood == NO_USAGE:
            return {}
        prompt = delivery.fresh_tokens + delivery.cached_tokens
        usage = {
            "prompt_tokens": prompt,
            "prompt_tokens_details": {"cached_tokens": delivery.cached_tokens},
            "completion_tokens": delivery.output_tokens,
            "total_tokens": prompt + delivery.output_tokens,
        }
        return {"usage": usage}


class _AnthropicProvider(_Provider):
    protocol = "anthropic"
    path = "/v1/messages"

    def answer(self, delivery: Delivery, text: str) -> dict[str, object]:
        return self._message([{"type": "text", "text": text}], "end_turn", self._usage(delivery))

    def stream(self, delivery: Delivery, words: list[str]) -> tuple[bytes, list[bytes], bytes]:
        usage = self._usage(delivery)
        begun = {**usage, "output_tokens": 1} if usage else {}
        message = self._message([], None, begun)
        begin = _event("message_start", message=message) + _event(
            "content_block_start", index=0, content_block={"type": "text", "text": ""}
        )
        events = [_event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}) for word in words]
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        told: dict[str, object] = {"usage": usage} if usage else {}
        end = _event("content_block_stop", index=0) + _event("message_delta", delta=delta, **told)
        return begin, events, end + _event("message_stop")

    def error(self) -> dict[str, object]:
        return {"type": "error", "error": {"type": "overloaded_error", "message": "of the provider's own"}}

    def error_event(self) -> bytes:
        return b"event: error\n" + _data(self.error())

    def _message(self, content: object, stop_reason: str | None, usage: dict[str, int]) -> dict[str, object]:
        frame: dict[str, object] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "moody"}
        told: dict[str, object] = {"usage": usage} if usage else {}
        return {**frame, "content": content, "stop_reason": stop_reason, "stop_sequence": None, **told}

    def _usage(self, delivery: Delivery) -> dict[str, int]:
        if delivery.mood == NO_USAGE:
            return {}
        return {
            "input_tokens": delivery.fresh_tokens,
            "cache_read_input_tokens": delivery.cached_tokens,
            "output_tokens": delivery.output_tokens,
        }


def _data(members: dict[str, object]) -> bytes:
    return b"data: " + msgspec.json.encode(members) + b"\n\n"


def _event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\n".encode() + _data({"type": kind, **members})


@asynccontextmanager
async def run_provider(protocol: str, log: Log) -> AsyncGenerator[str]:
    """Run a provider of the protocol on a port of its own; gives the base URL an upstream of it has."""
    provider = _OpenAiProvider(log) if protocol == "openai" else _AnthropicProvider(log)
    app = web.Application()
    app.router.add_post(provider.path, provider.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}" + ("/v1" if protocol == "openai" else "")
    finally:
        await runner.cleanup()
