"""What a response used: OpenAI's other usage object, which counts the same by other names."""

import msgspec

from operis_api.catalog.pricing import Meters
from operis_api.gateway.dialects import (
    ABSENT,
    UNREADABLE,
    AnswerMeter,
    Meter,
    StreamMeter,
    count_bytes,
    encode_raw,
    is_given,
    is_object,
)
from operis_api.gateway.dialects.events import payload_of, split_events
from operis_api.gateway.dialects.openai.metering import read_usage

_ENDS = {"response.completed", "response.incomplete"}
_FAILURES = {"response.failed", "response.cancelled", "error"}


class _Reason(msgspec.Struct):
    reason: str | None = None


class _Text(msgspec.Struct):
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    content: list[_Text] | None = None
    summary: list[_Text] | None = None
    arguments: str | None = None
    input: str | None = None

    @property
    def text_bytes(self) -> int:
        texts = [self.arguments, self.input]
        for part in [*(self.content or []), *(self.summary or [])]:
            texts += [part.text, part.refusal]
        return sum(count_bytes(text) for text in texts if text)


class _Response(msgspec.Struct):
    object: str | None = None
    status: str | None = None
    incomplete_details: _Reason | None = None
    output: list[_Item] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Event(msgspec.Struct):
    type: str
    delta: msgspec.Raw = ABSENT
    response: _Response | None = None


_responses = msgspec.json.Decoder(_Response)
_events = msgspec.json.Decoder(_Event)


class _ResponseMeter(Meter):
    def note_end(self, response: _Response) -> None:
        """Take note of a whole response."""
        self.answered = response.status in {None, "completed", "incomplete"} and not is_given(response.error)
        self.failed = not self.answered
        reason = response.incomplete_details and response.incomplete_details.reason
        self.finish_reason = reason or response.status
        self._text_bytes = sum(item.text_bytes for item in response.output or []) or self._text_bytes
        self.reported = read_usage(response.usage) if is_given(response.usage) else None


class ResponseMeter(_ResponseMeter, AnswerMeter):
    def read_answer(self, body: bytes) -> bool:
        try:
            response = _responses.decode(body)
        except UNREADABLE:
            return False
        if response.object != "response" or response.output is None:
            return False
        self.note_end(response)
        return self.answered

    def add_cost(self, body: bytes, cost: str) -> bytes:
        return _add_cost(body, self.usage, cost)


class ResponseStreamMeter(_ResponseMeter, StreamMeter):
    """Holds back the event that ends the response, which tells its usage."""

    def __init__(self, prompt_tokens_estimate: int) -> None:
        super().__init__(prompt_tokens_estimate)
        self._held = b""

    def feed(self, received: bytes) -> bytes:
        whole = self._take_whole(received)
        return b"".join([event for event in split_events(whole) if self._keep(event)])

    def end(self, cost: str | None) -> bytes:
        if cost is None:
            return self._held
        members = msgspec.json.decode(payload_of(self._held) or b"{}", type=dict[str, msgspec.Raw])
        members["response"] = msgspec.Raw(_add_cost(bytes(members.get("response", b"{}")), self.usage, cost))
        kind: str = msgspec.json.decode(members.get("type", b'""'))
        return f"event: {kind}\ndata: ".encode() + msgspec.json.encode(members) + b"\n\n"

    def _keep(self, event: bytes) -> bool:
        """Read one event; False where it is not to be passed on."""
        payload = payload_of(event)
        if self.done or self.failed or payload is None or payload == b"[DONE]":
            return not (self.done or self.failed) and payload is None
        try:
            read = _events.decode(payload)
        except UNREADABLE:
            self.failed = True
            return False
        if read.type in _FAILURES:
            self.failed = True
            return False
        if read.type in _ENDS and read.response is not None:
            self.note_end(read.response)
            self._held, self.done = event, not self.failed
            return False
        self.answered = True
        if read.type.endswith(".delta"):
            self._text_bytes += max(0, len(read.delta) - 2)  # without its quotes
        return True


def _add_cost(response: bytes, usage: Meters, cost: str) -> bytes:
    """Return a response with `cost` in its usage object, everything else as it was. Never fails."""
    members = msgspec.json.decode(response, type=dict[str, msgspec.Raw])
    given = members.get("usage", ABSENT)
    if is_object(given):
        reported = msgspec.json.decode(given, type=dict[str, msgspec.Raw])
        members["usage"] = encode_raw({**reported, "cost": cost})
    else:
        members["usage"] = encode_raw(usage_object(usage, cost))
    return msgspec.json.encode(members)


def usage_object(usage: Meters, cost: str | None) -> dict[str, object]:
    """Return a usage object made from meters."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    written = usage.cache_write_5m + usage.cache_write_1h
    made: dict[str, object] = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": usage.cached_input, "cache_write_tokens": written},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": prompt + completion,
    }
    return made if cost is None else {**made, "cost": cost}
