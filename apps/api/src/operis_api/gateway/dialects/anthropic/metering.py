"""What a message used: Anthropic's usage object as meters, and where its cost is written.

Anthropic counts cached tokens beside `input_tokens`, not inside them, and thinking inside `output_tokens`
(https://docs.anthropic.com/en/api/messages). Its own tools (`server_tool_use`) are counted in calls and have no meter.
"""

import msgspec

from operis_api.catalog.pricing import COUNT_MAX, Meters
from operis_api.gateway.dialects import (
    ABSENT,
    UNREADABLE,
    AnswerMeter,
    StreamMeter,
    count_bytes,
    encode_raw,
    is_given,
    is_object,
)
from operis_api.gateway.dialects.events import payload_of, split_events

_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_DELTA = b'data: {"type":"message_delta","delta":{"stop_reason":null,"stop_sequence":null}}\n\n'


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None

    def updated(self, later: "_Usage") -> "_Usage":
        """Return what both say: the counts of a stream are cumulative, so a later one replaces an earlier one."""
        told = {name: getattr(later, name) for name in _Usage.__struct_fields__}
        return msgspec.structs.replace(self, **{name: count for name, count in told.items() if count is not None})

    def as_meters(self) -> Meters | None:
        """Return the counts as meters; None where they cannot be believed."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        split = self.cache_creation or _CacheCreation()
        for_1h = split.ephemeral_1h_input_tokens or 0
        for_5m = split.ephemeral_5m_input_tokens or 0
        if self.cache_creation_input_tokens is not None:
            for_5m = self.cache_creation_input_tokens - for_1h
        thought = (self.output_tokens_details or _OutputDetails()).thinking_tokens or 0
        meters = Meters(
            input=self.input_tokens,
            cached_input=self.cache_read_input_tokens or 0,
            cache_write_5m=for_5m,
            cache_write_1h=for_1h,
            output=self.output_tokens - thought,
            reasoning=thought,
            per_request=1,
        )
        return meters if all(0 <= count <= COUNT_MAX for count in msgspec.structs.astuple(meters)) else None


class _Block(msgspec.Struct):
    """A part of an answer, or of a stream's delta."""

    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    data: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    stop_reason: str | None = None

    @property
    def text_bytes(self) -> int:
        texts = sum(count_bytes(text) for text in (self.text, self.thinking, self.partial_json) if text)
        return texts + sum(len(raw) for raw in (self.data, self.input) if is_given(raw))


class _Message(msgspec.Struct):
    type: str | None = None
    content: list[_Block] = []
    stop_reason: str | None = None
    usage: msgspec.Raw = ABSENT


class _Event(msgspec.Struct):
    type: str
    message: _Message | None = None
    delta: _Block | None = None
    content_block: _Block | None = None
    usage: msgspec.Raw = ABSENT


class _Count(msgspec.Struct):
    input_tokens: int


_messages = msgspec.json.Decoder(_Message)
_events = msgspec.json.Decoder(_Event)
_usages = msgspec.json.Decoder(_Usage)


def _read_usage(raw: msgspec.Raw) -> _Usage:
    """Return a usage object; an empty one where it is absent or cannot be read."""
    try:
        return _usages.decode(raw) if is_given(raw) else _Usage()
    except UNREADABLE:
        return _Usage()


class MessageMeter(AnswerMeter):
    def read_answer(self, body: bytes) -> bool:
        try:
            message = _messages.decode(body)
        except UNREADABLE:
            return False
        self.answered = message.type == "message"
        self.finish_reason = message.stop_reason
        self._text_bytes = sum(block.text_bytes for block in message.content)
        self.reported = _read_usage(message.usage).as_meters()
        return self.answered

    def add_cost(self, body: bytes, cost: str) -> bytes:
        return _add_cost(body, self.usage, cost)


class CountMeter(AnswerMeter):
    """Of an answer that costs nothing."""

    def read_answer(self, body: bytes) -> bool:
        try:
            msgspec.json.decode(body, type=_Count)
        except UNREADABLE:
            return False
        return True

    def add_cost(self, body: bytes, cost: str) -> bytes:  # noqa: ARG002  # there is none
        return body


class MessageStreamMeter(StreamMeter):
    """Holds back the last message_delta, which tells the usage, and message_stop."""

    def __init__(self, prompt_tokens_estimate: int) -> None:
        super().__init__(prompt_tokens_estimate)
        self._told = _Usage()
        self._held = b""
        self._stop = _STOP

    @property
    def usage(self) -> Meters:
        """What was reported; before its end, the reported prompt and what of the answer was seen."""
        if self.reported is not None:
            return self.reported
        begun = self._told.as_meters()
        if begun is None:
            return super().usage
        return msgspec.structs.replace(begun, output=max(begun.output, self.output_tokens - begun.reasoning))

    def feed(self, received: bytes) -> bytes:
        whole = self._take_whole(received)
        return b"".join([self._pass_on(event) for event in split_events(whole)])

    def end(self, cost: str | None) -> bytes:
        if cost is None:
            return self._held + self._stop
        payload = payload_of(self._held or _DELTA) or b"{}"
        return b"event: message_delta\ndata: " + _add_cost(payload, self.usage, cost) + b"\n\n" + self._stop

    def _pass_on(self, event: bytes) -> bytes:
        """Read one event and return what may now be passed on."""
        payload = payload_of(event)
        if self.done or payload is None:
            return b"" if self.done else event
        kind = self._read(payload)
        if self.failed or kind == "ping":
            return b"" if self.failed else event
        if kind == "message_stop":
            self.done, self._stop = True, event
            return b""
        released, self._held = self._held, b""
        if kind == "message_delta":
            self._held = event
            return released
        return released + event

    def _read(self, payload: bytes) -> str:
        """Take note of one event and return its type."""
        try:
            event = _events.decode(payload)
        except UNREADABLE:
            self.failed = True
            return ""
        if event.type == "error":
            self.failed = True
        elif event.message is not None:
            self.answered = True
            self._note_usage(_read_usage(event.message.usage))
        for part in (event.content_block, event.delta):
            if part is not None:
                self._text_bytes += part.text_bytes
                self.finish_reason = part.stop_reason or self.finish_reason
        if event.type == "message_delta":
            usage = _read_usage(event.usage)
            counts = self._note_usage(usage)
            self.reported = self.reported if usage.output_tokens is None or counts is None else counts
        return event.type

    def _note_usage(self, usage: _Usage) -> Meters | None:
        """Keep the counts where they can be believed, and return them."""
        told = self._told.updated(usage)
        meters = told.as_meters()
        if meters is not None:
            self._told = told
        return meters


def _add_cost(answer: bytes, usage: Meters, cost: str) -> bytes:
    """Return a message or a message_delta with `cost` in its usage object, everything else as it was.

    Where the upstream sent no usage object, it is made from ours. Never fails: the charge is durable by now.
    """
    members = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
    given = members.get("usage", ABSENT)
    if is_object(given):
        reported = msgspec.json.decode(given, type=dict[str, msgspec.Raw])
        members["usage"] = encode_raw({**reported, "cost": cost})
    else:
        members["usage"] = encode_raw(usage_object(usage, cost))
    return msgspec.json.encode(members)


def usage_object(usage: Meters, cost: str | None) -> dict[str, object]:
    """Return a usage object made from meters."""
    details = {"output_tokens_details": {"thinking_tokens": usage.reasoning}} if usage.reasoning else {}
    return {
        "input_tokens": usage.input + usage.audio_input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cached_input,
        "output_tokens": usage.completion_tokens,
        **details,
        **({} if cost is None else {"cost": cost}),
    }
