"""What a dialect is: how a family of clients writes its requests, reads its answers and is told of refusals.

Admission, the call and the relay know a request and its meters by the classes here alone; each dialect fills them in.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, cast

import msgspec

from operis_api.catalog.offers import Route
from operis_api.catalog.pricing import Meters
from operis_api.gateway.dialects.events import EVENT_BYTES_MAX, EventBuffer
from operis_api.gateway.errors import InvalidBody
from operis_api.kit.errors import DomainError

OUTPUT_LIMIT_MAX = 100_000_000
ENCODED_TOKENS = 1_500
"""About what an image of common size counts as."""
_ENCODED_BYTES_MIN = 1024
_ENCODED = re.compile(rb"[\w+/=-]{%d,}" % _ENCODED_BYTES_MIN)
_ENCODED_WORDS = (b"base64", b"input_audio")
ABSENT = msgspec.Raw()
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding may raise: no JSON or of another shape, no UTF-8, nested without end."""


class Dialect(msgspec.Struct, frozen=True):
    """How clients of one kind are told of refusals."""

    name: str
    envelope: Callable[[DomainError, str], bytes]
    """Of an error and the request's id."""
    event: Callable[[DomainError, str], bytes]
    """The same as an event of a stream, without its blank line."""
    rate_headers: Callable[[str, int, int, int], dict[str, str]]
    """Of the unit (requests or tokens), the limit a minute, what is left of it, and in how many seconds all of it is
    there again."""
    request_id_header: str | None = None
    """Where its clients look for the request's id, beside our own header."""

    def error_event(self, error: DomainError, request_id: str) -> bytes:
        return self.event(error, request_id) + b"\n\n"


class Meter:
    """Collects what an answer used and how it ended."""

    def __init__(self, prompt_tokens_estimate: int) -> None:
        self._prompt_tokens_estimate = prompt_tokens_estimate
        self._text_bytes = 0
        self.reported: Meters | None = None
        self.finish_reason: str | None = None
        self.failed = False
        self.answered = False
        """Whether anything of an answer was seen."""

    @property
    def output_tokens(self) -> int:
        """Estimated tokens seen so far."""
        return estimate_tokens(self._text_bytes)

    @property
    def usage(self) -> Meters:
        return self.reported or Meters(input=self._prompt_tokens_estimate, output=self.output_tokens, per_request=1)


class AnswerMeter(Meter, ABC):
    """Reads a whole answer."""

    @abstractmethod
    def read_answer(self, body: bytes) -> bool:
        """Take note of the answer; False where it is none."""

    @abstractmethod
    def add_cost(self, body: bytes, cost: str) -> bytes:
        """Return the answer with `cost` in its usage object, everything else as it was."""


class StreamMeter(Meter, ABC):
    """Relays a server-sent event stream as bytes, holding back its end until the charge is durable."""

    def __init__(self, prompt_tokens_estimate: int) -> None:
        super().__init__(prompt_tokens_estimate)
        self._buffer = EventBuffer()
        self.done = False

    @property
    def complete(self) -> bool:
        return not self.failed and (self.done or self.finish_reason is not None) and self.answered

    @abstractmethod
    def feed(self, received: bytes) -> bytes:
        """Take bytes from the upstream and return those to pass on now: whole events, unchanged."""

    @abstractmethod
    def end(self, cost: str | None) -> bytes:
        """Return the end of the stream with its cost; None where it could not be settled yet."""

    def _take_whole(self, received: bytes) -> bytes:
        """Return what of the bytes so far is whole events; the rest waits, up to a bound."""
        whole = self._buffer.take(received)
        if self._buffer.size > EVENT_BYTES_MAX:
            self.failed = True
            self._buffer.clear()
        return whole


class Form(ABC):
    """A request as upstreams of one protocol read it, and what reads their answers."""

    upstream_path: str
    """Below an upstream's base URL."""
    streamed: bool = False

    @property
    @abstractmethod
    def prompt_tokens_max(self) -> int:
        """A strict upper bound, for the quote."""

    @property
    @abstractmethod
    def prompt_tokens_estimate(self) -> int: ...

    @abstractmethod
    def forwarded_body(self, route: Route, output_limit: int | None) -> bytes:
        """Return the body for an upstream; `output_limit` is ours where the caller set none."""

    @abstractmethod
    def answer_meter(self) -> AnswerMeter: ...

    def stream_meter(self) -> StreamMeter:
        raise AssertionError("it is never streamed")

    def forwarded_headers(self) -> dict[str, str]:
        """Return the caller's headers that an upstream has to know."""
        return {}


class GatewayRequest(Form):
    """One decoded request, with the bytes it came from: the form that upstreams of its own dialect read."""

    dialect: ClassVar[Dialect]
    protocols: ClassVar[frozenset[str]]
    """Of the upstreams that speak its dialect."""
    body: bytes
    model: str
    answers: int = 1
    output_limit: int | None = None
    """None where the caller set none."""

    def message_texts(self) -> list[str]:
        """Return the text of each message, for the built-in model."""
        raise AssertionError("the built-in model is not asked")


def estimate_tokens(text_bytes: int) -> int:
    """Estimate the tokens of a text by its UTF-8 bytes: about four to one in English, rounded up."""
    return -(-text_bytes // 4)


def estimate_prompt_tokens(*parts: bytes) -> int:
    """Estimate the tokens of a prompt's JSON; what is in base64 counts flat, since its bytes say nothing of them."""
    size, blobs = sum(map(len, parts)), 0
    for part in parts:
        if len(part) > _ENCODED_BYTES_MIN and any(word in part for word in _ENCODED_WORDS):
            found = [len(blob) for blob in _ENCODED.findall(part)]
            size, blobs = size - sum(found), blobs + len(found)
    return estimate_tokens(size) + blobs * ENCODED_TOKENS


def is_given(member: msgspec.Raw) -> bool:
    """Tell whether a member is there and not null."""
    return bool(member) and bytes(member) != b"null"


def is_object(member: msgspec.Raw) -> bool:
    """Tell whether a member is a JSON object: what a provider puts where one belongs may be anything."""
    return bytes(member).lstrip()[:1] == b"{"


def count_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def encode_raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def unescape(body: bytes) -> bytes:
    """Return JSON without escapes in its keys and words, so that they can be searched for."""
    if b"\\u" not in body:
        return body
    try:
        return msgspec.json.encode(msgspec.json.decode(body))
    except UNREADABLE as error:
        raise InvalidBody(f"The body does not fit: {error}.") from None


def texts_of(messages: msgspec.Raw) -> list[str]:
    """Return the text of each of a list of messages."""
    try:
        found = msgspec.json.decode(messages)
    except UNREADABLE as error:
        raise InvalidBody(f"messages does not fit: {error}.") from None
    if not isinstance(found, list):
        raise InvalidBody("messages is not a list.", param="messages")
    return [
        text_of(cast("dict[str, object]", one).get("content")) if isinstance(one, dict) else ""
        for one in cast("list[object]", found)
    ]


def text_of(content: object) -> str:
    """Return the text of a message's content; parts that are not text count for nothing."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [cast("dict[str, object]", part) for part in cast("list[object]", content) if isinstance(part, dict)]
    return "".join(text for part in parts if isinstance(text := part.get("text"), str))
