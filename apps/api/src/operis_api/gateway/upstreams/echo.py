"""The built-in model operis/echo: says the last message back. For development and tests; deterministic, no provider.

A token is one character (code point). What a call will use is known before it is made, so its quote is its charge.
"""

import base64
import random
import re
import sys
from array import array
from collections.abc import AsyncIterator

import msgspec

from operis_api.catalog.offers import Route
from operis_api.catalog.pricing import Meters
from operis_api.gateway.dialects import Form, GatewayRequest
from operis_api.gateway.dialects.anthropic.refusing import ANTHROPIC
from operis_api.gateway.dialects.anthropic.request import CountRequest
from operis_api.gateway.dialects.events import payload_of, split_events
from operis_api.gateway.dialects.openai.embeddings import EmbeddingsRequest
from operis_api.gateway.dialects.openai.responses import ResponsesRequest
from operis_api.gateway.dialects.openai.responses_metering import usage_object
from operis_api.gateway.dialects.translation.completion_to_response import (
    ChunksToResponse,
    completion_to_response,
    frame_response,
)
from operis_api.gateway.upstreams import Reply

DIMENSIONS = 64
_WORDS = re.compile(r"\s*\S+\s*|\s+")


class EchoProtocol:
    async def open(self, route: Route, request: Form, *, output_limit: int | None) -> Reply:
        assert route.protocol == "echo", "other protocols have their own files"
        assert isinstance(request, GatewayRequest), "it speaks every dialect"
        if isinstance(request, CountRequest):
            return _CountedEcho(request, 0)
        if isinstance(request, EmbeddingsRequest):
            return _EmbeddingsEcho(request, 0)
        limit = request.output_limit if output_limit is None else output_limit
        if isinstance(request, ResponsesRequest):
            return _ResponsesEcho(request, limit)
        return _AnthropicEcho(request, limit) if request.dialect is ANTHROPIC else _OpenAiEcho(request, limit)


class _Echo:
    def __init__(self, request: GatewayRequest, output_limit: int | None) -> None:
        self._request = request
        self.text, self.is_cut = _answer(request, output_limit)
        self.usage = echo_usage(request, output_limit)
        self.answers = request.answers
        self.model = request.model

    @property
    def words(self) -> list[str]:
        return _WORDS.findall(self.text)

    def close(self) -> None:
        """Nothing is open."""


class _OpenAiEcho(_Echo):
    async def read(self) -> bytes:
        message = {"role": "assistant", "content": self.text, "refusal": None}
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": self._finish_reason}
            for index in range(self.answers)
        ]
        return msgspec.json.encode(
            {**self._frame("chat.completion"), "choices": choices, "usage": self._usage_object()}
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        for index in range(self.answers):
            yield self._event(index, {"role": "assistant", "content": ""}, None)
            for word in self.words:
                yield self._event(index, {"content": word}, None)
            yield self._event(index, {}, self._finish_reason)
        no_choices: list[object] = []
        usage = {**self._frame("chat.completion.chunk"), "choices": no_choices, "usage": self._usage_object()}
        yield b"data: " + msgspec.json.encode(usage) + b"\n\ndata: [DONE]\n\n"

    @property
    def _finish_reason(self) -> str:
        return "length" if self.is_cut else "stop"

    def _event(self, index: int, delta: dict[str, str], finish_reason: str | None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return b"data: " + msgspec.json.encode({**self._frame("chat.completion.chunk"), "choices": [choice]}) + b"\n\n"

    def _frame(self, kind: str) -> dict[str, object]:
        return {"id": "chatcmpl-echo", "object": kind, "created": 0, "model": self.model}

    def _usage_object(self) -> dict[str, object]:
        prompt, completion = self.usage.input, self.usage.output
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class _ResponsesEcho(_Echo):
    """Says what the chat would say."""

    def __init__(self, request: GatewayRequest, output_limit: int | None) -> None:
        super().__init__(request, output_limit)
        self._chat = _OpenAiEcho(request, output_limit)
        self._frame = frame_response(msgspec.json.decode(request.body, type=dict[str, object]), 0)

    async def read(self) -> bytes:
        completion = msgspec.json.decode(await self._chat.read(), type=dict[str, object])
        response = completion_to_response(completion, self._frame)
        return msgspec.json.encode({**response, "usage": usage_object(self.usage, None)})

    async def chunks(self) -> AsyncIterator[bytes]:
        told = ChunksToResponse(self._frame)
        async for chunk in self._chat.chunks():
            for event in split_events(chunk):
                if (payload := payload_of(event)) and payload != b"[DONE]":
                    yield told.feed(msgspec.json.decode(payload, type=dict[str, object]))
        yield told.end(usage_object(self.usage, None))


class _EmbeddingsEcho(_Echo):
    """Makes a vector of a text's hash: the same text has the same, another text another."""

    async def read(self) -> bytes:
        assert isinstance(self._request, EmbeddingsRequest), "chosen for it"
        data = [
            {"object": "embedding", "index": index, "embedding": self._vector(text, self._request)}
            for index, text in enumerate(self._request.message_texts())
        ]
        usage = {"prompt_tokens": self.usage.input, "total_tokens": self.usage.input}
        return msgspec.json.encode({"object": "list", "data": data, "model": self.model, "usage": usage})

    async def chunks(self) -> AsyncIterator[bytes]:
        yield await self.read()

    def _vector(self, text: str, request: EmbeddingsRequest) -> object:
        seeded = random.Random(text)  # noqa: S311  # nothing is to be kept secret
        numbers = array("f", (seeded.uniform(-1, 1) for _ in range(request.dimensions or DIMENSIONS)))
        if sys.byteorder == "big":
            numbers.byteswap()
        return base64.b64encode(numbers.tobytes()).decode() if request.in_base64 else numbers.tolist()


class _AnthropicEcho(_Echo):
    async def read(self) -> bytes:
        content = [{"type": "text", "text": self.text}]
        return msgspec.json.encode(self._message(content, self._stop_reason, self.usage.output))

    async def chunks(self) -> AsyncIterator[bytes]:
        nothing: list[object] = []
        yield _event("message_start", {"message": self._message(nothing, None, 0)})
        yield _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
        for word in self.words:
            yield _event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word}})
        yield _event("content_block_stop", {"index": 0})
        delta = {"stop_reason": self._stop_reason, "stop_sequence": None}
        yield _event("message_delta", {"delta": delta, "usage": self._usage_object(self.usage.output)})
        yield _event("message_stop", {})

    @property
    def _stop_reason(self) -> str:
        return "max_tokens" if self.is_cut else "end_turn"

    def _message(self, content: object, stop_reason: str | None, output_tokens: int) -> dict[str, object]:
        return {
            "id": "msg_echo",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": self._usage_object(output_tokens),
        }

    def _usage_object(self, output_tokens: int) -> dict[str, object]:
        return {
            "input_tokens": self.usage.input,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output_tokens,
        }


class _CountedEcho(_Echo):
    async def read(self) -> bytes:
        return msgspec.json.encode({"input_tokens": self.usage.input})

    async def chunks(self) -> AsyncIterator[bytes]:
        yield await self.read()


def echo_usage(request: GatewayRequest, output_limit: int | None) -> Meters:
    """Return what a call to echo uses, exactly, before it is made."""
    text, _ = _answer(request, output_limit)
    return Meters(
        input=sum(len(message) for message in request.message_texts()),
        output=len(text) * request.answers,
        per_request=1,
    )


def _event(kind: str, members: dict[str, object]) -> bytes:
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind, **members}) + b"\n\n"


def _answer(request: GatewayRequest, output_limit: int | None) -> tuple[str, bool]:
    """Return what echo says, and whether the limit cut it."""
    texts = request.message_texts()
    text = texts[-1] if texts else ""
    if output_limit is None or len(text) <= output_limit:
        return text, False
    return text[:output_limit], True
