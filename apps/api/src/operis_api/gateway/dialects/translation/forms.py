"""A request as each kind of upstream reads it: as it came where they speak its dialect, else translated."""

import time
from collections.abc import Collection, Sequence

import msgspec

from operis_api.catalog.offers import Offer, Route
from operis_api.gateway.dialects import UNREADABLE, Form, GatewayRequest
from operis_api.gateway.dialects.anthropic import metering as anthropic
from operis_api.gateway.dialects.anthropic.request import MessagesRequest
from operis_api.gateway.dialects.openai import metering as openai
from operis_api.gateway.dialects.openai import responses_metering as responses
from operis_api.gateway.dialects.openai.request import ChatRequest
from operis_api.gateway.dialects.openai.responses import ResponsesRequest
from operis_api.gateway.dialects.translation.answers import completion_to_message, message_to_completion
from operis_api.gateway.dialects.translation.chat_to_messages import chat_to_messages
from operis_api.gateway.dialects.translation.completion_to_response import (
    ChunksToResponse,
    completion_to_response,
    frame_response,
)
from operis_api.gateway.dialects.translation.messages_to_chat import messages_to_chat
from operis_api.gateway.dialects.translation.reading import Json
from operis_api.gateway.dialects.translation.responses_to_chat import responses_to_chat
from operis_api.gateway.dialects.translation.streams import ChunksToEvents, EventsToChunks
from operis_api.gateway.dialects.translation.translated import Told, Translated
from operis_api.gateway.errors import InvalidBody, NotTranslatable
from operis_api.kit.errors import DomainError


class Forms:
    """The forms of one request that a model's upstreams can read, by their protocol."""

    def __init__(self, request: GatewayRequest) -> None:
        self._request = request
        self._by_protocol: dict[str, Form] = {}
        self._fallbacks: dict[str, Form] = {}
        self.refusal: DomainError | None = None
        """Why a form is missing: what a translation could not say."""
        self.fallback_refusal: DomainError | None = None

    def __bool__(self) -> bool:
        return bool(self._by_protocol)

    def __getitem__(self, protocol: str) -> Form:
        return self._by_protocol[protocol]

    def fallback(self, protocol: str) -> Form | None:
        """Return how to ask an upstream that does not serve the form's path."""
        return self._fallbacks.get(protocol)

    @property
    def protocols(self) -> Collection[str]:
        return self._by_protocol.keys()

    @property
    def prompt_tokens_max(self) -> int:
        """A strict upper bound, whichever upstream will answer."""
        return max(form.prompt_tokens_max for form in [*self._by_protocol.values(), *self._fallbacks.values()])

    def group_routes(self, offer: Offer) -> Sequence[Sequence[Route]]:
        """Return the upstreams that can be asked; those that speak the caller's own dialect come first."""
        own = self._request.protocols & self._by_protocol.keys()
        return offer.routes_of(own), offer.routes_of(self._by_protocol.keys() - own)

    def add_own(self, protocol: str) -> None:
        self._by_protocol[protocol] = self._request
        if isinstance(self._request, ResponsesRequest) and protocol == "openai":
            try:
                self._fallbacks[protocol] = _translate_response(self._request, protocol)
            except (NotTranslatable, InvalidBody) as refusal:
                self.fallback_refusal = refusal

    def add_translated(self, protocol: str) -> None:
        try:
            form = _translate(self._request, protocol)
        except (NotTranslatable, InvalidBody) as refusal:
            self.refusal = refusal
            return
        if form is not None:
            self._by_protocol[protocol] = form


def find_forms(request: GatewayRequest, offer: Offer) -> Forms:
    """Return the forms in which the model's upstreams can be asked; none where it cannot be served."""
    forms = Forms(request)
    for route in offer.routes_of(request.protocols):
        forms.add_own(route.protocol)
    for protocol in {route.protocol for route in offer.routes} - request.protocols:
        forms.add_translated(protocol)
    return forms


def _translate(request: GatewayRequest, protocol: str) -> Form | None:
    match request, protocol:
        case ChatRequest(), "anthropic":
            return _translate_chat(request)
        case MessagesRequest(), "openai":
            said = messages_to_chat(_decode(request.body))
            body = msgspec.json.encode({"model": request.model, "max_tokens": request.output_limit, **said})
            return Translated(ChatRequest(body), Told(completion_to_message, ChunksToEvents, anthropic.usage_object))
        case ResponsesRequest(), "anthropic":
            return _translate_response(request, protocol)
        case _:
            return None


def _translate_chat(request: ChatRequest) -> Form:
    created = int(time.time())
    said = chat_to_messages(_decode(request.body))
    limit = request.output_limit or 0  # ours is set when it is sent
    body = msgspec.json.encode({"model": request.model, "max_tokens": limit, **said})
    told = Told(
        lambda message: message_to_completion(message, created),
        lambda: EventsToChunks(created, wants_usage=request.wants_usage),
        openai.usage_object,
    )
    return Translated(MessagesRequest(body, {}), told)


def _translate_response(request: ResponsesRequest, protocol: str) -> Form:
    """Return the request as a chat, which in turn may have to be translated."""
    asked = _decode(request.body)
    said = responses_to_chat(asked)
    chat = ChatRequest(msgspec.json.encode({"model": request.model, "max_tokens": request.output_limit, **said}))
    frame = frame_response(asked, int(time.time()))
    told = Told(
        lambda completion: completion_to_response(completion, frame),
        lambda: ChunksToResponse(frame),
        responses.usage_object,
    )
    return Translated(chat if protocol == "openai" else _translate_chat(chat), told)


def _decode(body: bytes) -> Json:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except UNREADABLE as error:
        raise InvalidBody(f"The body does not fit: {error}.") from None
