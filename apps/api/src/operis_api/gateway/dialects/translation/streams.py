"""Streams: Anthropic's events as chat chunks, and back. Each is a state machine from one payload to some events.

What the last events say of usage is not theirs to know: `end` is told.
"""

from abc import ABC, abstractmethod

import msgspec

from operis_api.gateway.dialects.translation.answers import FINISH_REASONS, STOP_REASONS, reasoning_in
from operis_api.gateway.dialects.translation.reading import Json, object_in, objects_in, text_in


class StreamTranslation(ABC):
    @abstractmethod
    def feed(self, payload: Json) -> bytes:
        """Return the events that say what this one said; often none."""

    @abstractmethod
    def end(self, usage: Json) -> bytes:
        """Return the end of the stream with this usage object of the caller's dialect."""


class EventsToChunks(StreamTranslation):
    """A message's events as chat chunks."""

    def __init__(self, created: int, *, wants_usage: bool) -> None:
        self._wants_usage = wants_usage
        self._frame: Json = {"id": None, "object": "chat.completion.chunk", "created": created, "model": None}
        self._block: Json = {}
        self._is_empty = True
        """Whether nothing of the open tool's arguments was told yet."""
        self._tools = 0
        self._thoughts = 0
        self._finish_reason = "stop"

    def feed(self, payload: Json) -> bytes:
        delta = object_in(payload.get("delta"))
        match payload.get("type"):
            case "message_start":
                message = object_in(payload.get("message"))
                self._frame["id"], self._frame["model"] = message.get("id"), message.get("model")
                return self._chunk({"role": "assistant", "content": ""})
            case "content_block_start":
                return self._start(object_in(payload.get("content_block")))
            case "content_block_delta":
                return self._add(delta)
            case "content_block_stop":
                return self._stop()
            case "message_delta":
                self._finish_reason = FINISH_REASONS.get(text_in(delta.get("stop_reason")), self._finish_reason)
                return b""
            case _:
                return b""

    def end(self, usage: Json) -> bytes:
        last = self._chunk({}, self._finish_reason)
        no_choices: list[Json] = []
        usage_chunk = _data({**self._frame, "choices": no_choices, "usage": usage}) if self._wants_usage else b""
        return last + usage_chunk + b"data: [DONE]\n\n"

    def _start(self, block: Json) -> bytes:
        self._block, self._is_empty = dict(block), True
        match block.get("type"):
            case "text":
                return self._chunk({"content": text}) if (text := text_in(block.get("text"))) else b""
            case "thinking":
                return self._chunk({"reasoning_content": text}) if (text := text_in(block.get("thinking"))) else b""
            case "tool_use":
                self._tools += 1
                given = block.get("input")
                arguments = msgspec.json.encode(given).decode() if given else ""
                self._is_empty = not arguments
                function: Json = {"name": block.get("name"), "arguments": arguments}
                call: Json = {"index": self._tools - 1, "id": block.get("id"), "type": "function", "function": function}
                return self._chunk({"tool_calls": [call]})
            case _:
                return b""

    def _add(self, delta: Json) -> bytes:
        match delta.get("type"):
            case "text_delta":
                return self._chunk({"content": text_in(delta.get("text"))})
            case "thinking_delta":
                thought = text_in(delta.get("thinking"))
                self._block["thinking"] = text_in(self._block.get("thinking")) + thought
                return self._chunk({"reasoning_content": thought})
            case "signature_delta":
                self._block["signature"] = text_in(self._block.get("signature")) + text_in(delta.get("signature"))
                return b""
            case "input_json_delta":
                arguments = text_in(delta.get("partial_json"))
                self._is_empty = self._is_empty and not arguments
                return self._arguments(arguments) if arguments else b""
            case _:
                return b""

    def _stop(self) -> bytes:
        block, self._block = self._block, {}
        match block.get("type"):
            case "tool_use" if self._is_empty:
                return self._arguments("{}")
            case "thinking" | "redacted_thinking":
                self._thoughts += 1
                return self._chunk({"thinking_blocks": [{"index": self._thoughts - 1, **block}]})
            case _:
                return b""

    def _arguments(self, arguments: str) -> bytes:
        return self._chunk({"tool_calls": [{"index": self._tools - 1, "function": {"arguments": arguments}}]})

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice: Json = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _data({**self._frame, "choices": [choice]})


class ChunksToEvents(StreamTranslation):
    """Chat chunks as a message's events."""

    def __init__(self) -> None:
        self._begun = False
        self._blocks = 0
        self._open: str | int | None = None
        """What kind of block is open; of a tool, its index in the chat."""
        self._tools: dict[int, int] = {}
        """The block of each tool, by its index in the chat."""
        self._stop_reason = "end_turn"

    def feed(self, payload: Json) -> bytes:
        events = b"" if self._begun else self._begin(payload)
        for choice in objects_in(payload.get("choices"))[:1]:
            delta = object_in(choice.get("delta"))
            if thought := reasoning_in(delta):
                events += self._turn_to("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                events += self._add({"type": "thinking_delta", "thinking": thought})
            if text := text_in(delta.get("content")) or text_in(delta.get("refusal")):
                events += self._turn_to("text", {"type": "text", "text": ""})
                events += self._add({"type": "text_delta", "text": text})
            for call in objects_in(delta.get("tool_calls")):
                events += self._call(call)
            self._stop_reason = STOP_REASONS.get(text_in(choice.get("finish_reason")), self._stop_reason)
        return events

    def end(self, usage: Json) -> bytes:
        delta: Json = {"stop_reason": self._stop_reason, "stop_sequence": None}
        begun = b"" if self._begun else self._begin({})
        return (
            begun
            + self._close()
            + encode_event("message_delta", delta=delta, usage=usage)
            + encode_event("message_stop")
        )

    def _begin(self, chunk: Json) -> bytes:
        self._begun = True
        nothing: list[Json] = []
        message: Json = {
            "id": chunk.get("id"),
            "type": "message",
            "role": "assistant",
            "model": chunk.get("model"),
            "content": nothing,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},  # known at the end alone
        }
        return encode_event("message_start", message=message)

    def _call(self, call: Json) -> bytes:
        function, given = object_in(call.get("function")), call.get("index")
        index = given if isinstance(given, int) else len(self._tools)
        events = b""
        if index not in self._tools:
            self._tools[index] = self._blocks
            start: Json = {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": {}}
            events = self._turn_to(index, start)
        if arguments := text_in(function.get("arguments")):
            delta: Json = {"type": "input_json_delta", "partial_json": arguments}
            # Providers that mix several tools' arguments are rare; clients put deltas together by their index.
            events += encode_event("content_block_delta", index=self._tools[index], delta=delta)
        return events

    def _turn_to(self, kind: str | int, start: Json) -> bytes:
        """Return what opens such a block, unless one is open."""
        if self._open == kind:
            return b""
        events = self._close() + encode_event("content_block_start", index=self._blocks, content_block=start)
        self._open = kind
        self._blocks += 1
        return events

    def _add(self, delta: Json) -> bytes:
        return encode_event("content_block_delta", index=self._blocks - 1, delta=delta)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return encode_event("content_block_stop", index=self._blocks - 1)


def _data(payload: Json) -> bytes:
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


def encode_event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind, **members}) + b"\n\n"
