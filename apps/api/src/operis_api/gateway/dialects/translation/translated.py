"""A form that speaks another dialect than its caller: asked in the one, told in the other."""

from collections.abc import Callable
from typing import cast

import msgspec

from operis_api.catalog.offers import Route
from operis_api.catalog.pricing import Meters
from operis_api.gateway.dialects import AnswerMeter, Form, Meter, StreamMeter
from operis_api.gateway.dialects.events import payload_of, split_events
from operis_api.gateway.dialects.translation.reading import Json
from operis_api.gateway.dialects.translation.streams import StreamTranslation


class Told(msgspec.Struct, frozen=True):
    """How an answer is told in the caller's dialect."""

    whole: Callable[[Json], Json]
    stream: Callable[[], StreamTranslation]
    usage_object: Callable[[Meters, str | None], Json]
    """Of what was used, with the cost where it is known."""


class Translated(Form):
    """Asks in the dialect of `spoken`, and meters in it."""

    def __init__(self, spoken: Form, told: Told) -> None:
        self._spoken = spoken
        self._told = told
        self.upstream_path = spoken.upstream_path
        self.streamed = spoken.streamed

    @property
    def prompt_tokens_max(self) -> int:
        return self._spoken.prompt_tokens_max

    @property
    def prompt_tokens_estimate(self) -> int:
        return self._spoken.prompt_tokens_estimate

    def forwarded_body(self, route: Route, output_limit: int | None) -> bytes:
        return self._spoken.forwarded_body(route, output_limit)

    def forwarded_headers(self) -> dict[str, str]:
        return self._spoken.forwarded_headers()

    def answer_meter(self) -> AnswerMeter:
        return _TranslatedAnswer(self._spoken.answer_meter(), self._told)

    def stream_meter(self) -> StreamMeter:
        return _TranslatedStream(self._spoken.stream_meter(), self._told)


class _TranslatedAnswer(AnswerMeter):
    def __init__(self, inner: AnswerMeter, told: Told) -> None:
        super().__init__(0)
        self._inner = inner
        self._told = told

    @property
    def output_tokens(self) -> int:
        return self._inner.output_tokens

    @property
    def usage(self) -> Meters:
        return self._inner.usage

    def read_answer(self, body: bytes) -> bool:
        found = self._inner.read_answer(body)
        _copy(self._inner, self)
        return found

    def add_cost(self, body: bytes, cost: str) -> bytes:
        said = msgspec.json.decode(self._inner.add_cost(body, cost), type=dict[str, object])
        return msgspec.json.encode({**self._told.whole(said), "usage": self._told.usage_object(self.usage, cost)})


class _TranslatedStream(StreamMeter):
    def __init__(self, inner: StreamMeter, told: Told) -> None:
        super().__init__(0)
        self._inner = inner
        self._translation = told.stream()
        self._usage_object = told.usage_object

    @property
    def output_tokens(self) -> int:
        return self._inner.output_tokens

    @property
    def usage(self) -> Meters:
        return self._inner.usage

    def feed(self, received: bytes) -> bytes:
        passed = self._inner.feed(received)
        _copy(self._inner, self)
        self.done = self._inner.done
        return self._tell(passed)

    def end(self, cost: str | None) -> bytes:
        return self._tell(self._inner.end(None)) + self._translation.end(self._usage_object(self.usage, cost))

    def _tell(self, events: bytes) -> bytes:
        told: list[bytes] = []
        for event in split_events(events):
            payload = payload_of(event)
            if payload is not None and payload != b"[DONE]":
                told.append(self._translation.feed(_decode_event(payload)))
        return b"".join(told)


def _copy(inner: Meter, outer: Meter) -> None:
    outer.reported, outer.finish_reason = inner.reported, inner.finish_reason
    outer.failed, outer.answered = inner.failed, inner.answered


def _decode_event(payload: bytes) -> Json:
    """Return an event's payload, which the meter has read already; an empty one where it is something else."""
    found: object = msgspec.json.decode(payload)
    return cast("Json", found) if isinstance(found, dict) else {}
