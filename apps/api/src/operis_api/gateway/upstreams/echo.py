"""The built-in model operis/echo: says the last message back. For development and tests; deterministic, no provider.

A token is one character (code point). What a call will use is known before it is made, so its quote is its charge.
"""

import re
from collections.abc import AsyncIterator

import msgspec

from operis_api.catalog.offers import Route
from operis_api.catalog.pricing import Meters
from operis_api.gateway.chat_request import ChatRequest

_WORDS = re.compile(r"\s*\S+\s*|\s+")


class EchoProtocol:
    async def open_chat(self, route: Route, request: ChatRequest, *, output_limit: int | None) -> "EchoReply":
        assert route.protocol == "echo", "other protocols have their own files"
        return EchoReply(request, output_limit)


class EchoReply:
    def __init__(self, request: ChatRequest, output_limit: int | None) -> None:
        limit = request.output_limit if output_limit is None else output_limit
        self._text, self._finish_reason = _answer(request, limit)
        self._usage = echo_usage(request, limit)
        self._request = request
        self._model = request.model

    async def read(self) -> bytes:
        message = {"role": "assistant", "content": self._text, "refusal": None}
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": self._finish_reason}
            for index in range(self._request.answers)
        ]
        return msgspec.json.encode(
            {**self._frame("chat.completion"), "choices": choices, "usage": self._usage_object()}
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        for index in range(self._request.answers):
            yield self._event(index, {"role": "assistant", "content": ""}, None)
            for word in _WORDS.findall(self._text):
                yield self._event(index, {"content": word}, None)
            yield self._event(index, {}, self._finish_reason)
        no_choices: list[object] = []
        usage = {**self._frame("chat.completion.chunk"), "choices": no_choices, "usage": self._usage_object()}
        yield b"data: " + msgspec.json.encode(usage) + b"\n\ndata: [DONE]\n\n"

    def close(self) -> None:
        """Nothing is open."""

    def _event(self, index: int, delta: dict[str, str], finish_reason: str | None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return b"data: " + msgspec.json.encode({**self._frame("chat.completion.chunk"), "choices": [choice]}) + b"\n\n"

    def _frame(self, kind: str) -> dict[str, object]:
        return {"id": "chatcmpl-echo", "object": kind, "created": 0, "model": self._model}

    def _usage_object(self) -> dict[str, object]:
        prompt, completion = self._usage.input, self._usage.output
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def echo_usage(request: ChatRequest, output_limit: int | None) -> Meters:
    """Return what a call to echo uses, exactly, before it is made."""
    text, _ = _answer(request, output_limit)
    return Meters(
        input=sum(len(message) for message in request.message_texts()),
        output=len(text) * request.answers,
        per_request=1,
    )


def _answer(request: ChatRequest, output_limit: int | None) -> tuple[str, str]:
    texts = request.message_texts()
    text = texts[-1] if texts else ""
    if output_limit is None or len(text) <= output_limit:
        return text, "stop"
    return text[:output_limit], "length"
