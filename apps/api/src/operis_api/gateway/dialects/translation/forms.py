"""A request as each kind of upstream reads it: as it came where they speak its dialect, else translated."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import cast

import msgspec

from operis_api.catalog.offers import Offer, Route
from operis_api.catalog.pricing import Meters
from operis_api.gateway.dialects import UNREADABLE, AnswerMeter, Form, GatewayRequest, StreamMeter
from operis_api.gateway.dialects.anthropic import metering as anthropic
from operis_api.gateway.dialects.anthropic.request import MessagesRequest
from operis_api.gateway.dialects.events import payload_of, split_events
from operis_api.gateway.dialects.openai import metering as openai
from operis_api.gateway.dialects.openai.request import ChatRequest
from operis_api.gateway.dialects.translation.answers import completion_to_message, message_to_completion
from operis_api.gateway.dialects.translation.chat_to_messages import chat_to_messages
from operis_api.gateway.dialects.translation.messages_to_chat import messages_to_chat
from operis_api.gateway.dialects.translation.reading import Json
from operis_api.gateway.dialects.translation.streams import ChunksToEvents, EventsToChunks, StreamTranslation
from operis_api.gateway.errors import InvalidBody, NotTranslatable
from operis_api.kit.errors import DomainError

UsageObject = Callable[[Meters, str | None], Json]
"""Makes a usage object of the caller's dialect, with the cost where it is known."""


class Forms:
    """The forms of one request that a model's upstreams can read, by their protocol."""

    def __init__(self, request: GatewayRequest) -> None:
        self._request = request
        self._by_protocol: dict[str, Form] = {}
        self.refusal: DomainError | None = None
        """Why there is no form: what a translation could not say."""

    def __bool__(self) -> bool:
        return bool(self._by_protocol)

    def __setitem__(self, protocol: str, form: Form) -> None:
        self._by_protocol[protocol] = form

    def __getitem__(self, protocol: str) -> Form:
        return self._by_protocol[protocol]

    @property
    def protocols(self) -> Collection[str]:
        return self._by_protocol.keys()

    @property
    def prompt_tokens_max(self) -> int:
        """A strict upper bound, whichever upstream will answer."""
        return max(form.prompt_tokens_max for form in self._by_protocol.values())

    def group_routes(self, offer: Offer) -> Sequence[Sequence[Route]]:
        """Return the upstreams that can be asked; those that speak the caller's own dialect come first."""
        own = self._request.protocols & self._by_protocol.keys()
        return offer.routes_of(own), offer.routes_of(self._by_protocol.keys() - own)


def find_forms(request: GatewayRequest, offer: Offer) -> Forms:
    """Return the forms in which the model's upstreams can be asked; none where it cannot be served."""
    forms = Forms(request)
    for route in offer.routes_of(request.protocols):
        forms[route.protocol] = request
    for protocol in {route.protocol for route in offer.routes} - request.protocols:
        try:
            form = _translate(request, protocol)
        except (NotTranslatable, InvalidBody) as refusal:
            forms.refusal = refusal
            continue
        if form is not None:
            forms[protocol] = form
    return forms


def _translate(request: GatewayRequest, protocol: str) -> Form | None:
    match request, protocol:
        case ChatRequest(), "anthropic":
            return _ChatInMessages(request)
        case MessagesRequest(), "openai":
            return _MessagesInChat(request)
        case _:
            return None


class _ChatInMessages(Form):
    """A chat request, for upstreams of Anthropic's protocol."""

    def __init__(self, asked: ChatRequest) -> None:
        self._asked = asked
        self.streamed = asked.streamed
        self._said = chat_to_messages(_decode(asked.body))
        # It is quoted and metered as any message; its own name and limit are set when it is sent.
        self._spoken = MessagesRequest(msgspec.json.encode({**self._said, "model": asked.model, "max_tokens": 0}), {})
        self.upstream_path = self._spoken.upstream_path

    @property
    def prompt_tokens_max(self) -> int:
        return self._spoken.prompt_tokens_max

    @property
    def prompt_tokens_estimate(self) -> int:
        return self._spoken.prompt_tokens_estimate

    def forwarded_body(self, route: Route, output_limit: int | None) -> bytes:
        limit = self._asked.output_limit if output_limit is None else output_limit
        return msgspec.json.encode({"model": route.upstream_model, "max_tokens": limit, **self._said})

    def forwarded_headers(self) -> dict[str, str]:
        return self._spoken.forwarded_headers()

    def answer_meter(self) -> AnswerMeter:
        created = int(time.time())
        inner = self._spoken.answer_meter()
        return _TranslatedAnswer(inner, lambda message: message_to_completion(message, created), openai.usage_object)

    def stream_meter(self) -> StreamMeter:
        translation = EventsToChunks(int(time.time()), wants_usage=self._asked.wants_usage)
        return _TranslatedStream(self._spoken.stream_meter(), translation, openai.usage_object)


class _MessagesInChat(Form):
    """A messages request, for upstreams of OpenAI's protocol."""

    def __init__(self, asked: MessagesRequest) -> None:
        said = messages_to_chat(_decode(asked.body))
        body = msgspec.json.encode({"model": asked.model, "max_tokens": asked.output_limit, **said})
        self._spoken = ChatRequest(body)
        self.upstream_path = self._spoken.upstream_path

    @property
    def prompt_tokens_max(self) -> int:
        return self._spoken.prompt_tokens_max

    @property
    def prompt_tokens_estimate(self) -> int:
        return self._spoken.prompt_tokens_estimate

    def forwarded_body(self, route: Route, output_limit: int | None) -> bytes:
        return self._spoken.forwarded_body(route, output_limit)

    def answer_meter(self) -> AnswerMeter:
        return _TranslatedAnswer(self._spoken.answer_meter(), completion_to_message, anthropic.usage_object)

    def stream_meter(self) -> StreamMeter:
        return _TranslatedStream(self._spoken.stream_meter(), ChunksToEvents(), anthropic.usage_object)


class _TranslatedAnswer(AnswerMeter):
    """Meters an answer in the upstream's dialect and tells it in the caller's."""

    def __init__(self, inner: AnswerMeter, translate: Callable[[Json], Json], usage_object: UsageObject) -> None:
        super().__init__(0)
        self._inner = inner
        self._translate = translate
        self._usage_object = usage_object
        self._answer: Json = {}

    @property
    def output_tokens(self) -> int:
        return self._inner.output_tokens

    @property
    def usage(self) -> Meters:
        return self._inner.usage

    def read_answer(self, body: bytes) -> bool:
        found = self._inner.read_answer(body)
        _copy(self._inner, self)
        if found:
            self._answer = self._translate(msgspec.json.decode(body, type=dict[str, object]))
        return found

    def add_cost(self, body: bytes, cost: str) -> bytes:  # noqa: ARG002  # it was translated when it was read
        return msgspec.json.encode({**self._answer, "usage": self._usage_object(self.usage, cost)})


class _TranslatedStream(StreamMeter):
    """Meters a stream in the upstream's dialect and passes it on in the caller's."""

    def __init__(self, inner: StreamMeter, translation: StreamTranslation, usage_object: UsageObject) -> None:
        super().__init__(0)
        self._inner = inner
        self._translation = translation
        self._usage_object = usage_object

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


def _copy(inner: AnswerMeter | StreamMeter, outer: AnswerMeter | StreamMeter) -> None:
    outer.reported, outer.finish_reason = inner.reported, inner.finish_reason
    outer.failed, outer.answered = inner.failed, inner.answered


def _decode(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except UNREADABLE as error:
        raise InvalidBody(f"The body does not fit: {error}.") from None


def _decode_event(payload: bytes) -> Json:
    """Return an event's payload, which the meter has read already; an empty one where it is something else."""
    found: object = msgspec.json.decode(payload)
    return cast("Json", found) if isinstance(found, dict) else {}
