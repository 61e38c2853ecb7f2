"""Reading Anthropic's messages request: only what quoting and forwarding need; every other field passes through."""

import re
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from operis_api.catalog.offers import Route
from operis_api.gateway.dialects import (
    ABSENT,
    OUTPUT_LIMIT_MAX,
    UNREADABLE,
    Dialect,
    GatewayRequest,
    encode_raw,
    estimate_prompt_tokens,
    text_of,
    texts_of,
    unescape,
)
from operis_api.gateway.dialects.anthropic.metering import CountMeter, MessageMeter, MessageStreamMeter
from operis_api.gateway.dialects.anthropic.refusing import ANTHROPIC
from operis_api.gateway.dialects.costly import CostlyFields, refuse_costly
from operis_api.gateway.errors import InvalidBody

IMAGE_TOKENS_MAX = 5_000
"""More than an image of the largest size that is not scaled down costs."""
DOCUMENT_TOKENS_MAX = 200_000
"""Pages count as text and as image; neither can be told from a document's bytes, so one may fill a whole context."""
TOOLS_TOKENS_MAX = 4_000
"""What the provider's own words around tools add to a prompt, its predefined tools included."""
VERSION = "2023-06-01"
_BLOCK = re.compile(rb'"type"\s*:\s*"(image|document)"')
_HEADERS = ("anthropic-version", "anthropic-beta")


class _Fields(CostlyFields, kw_only=True):
    model: str
    messages: msgspec.Raw
    system: msgspec.Raw = ABSENT
    max_tokens: int | None = None
    stream: bool | None = None


_decoder = msgspec.json.Decoder(_Fields)


class _PromptRequest(GatewayRequest):
    dialect: ClassVar[Dialect] = ANTHROPIC
    protocols: ClassVar[frozenset[str]] = frozenset({"anthropic", "echo"})

    def __init__(self, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        """Raise `InvalidBody` where the fields we need are missing or of another type, `NotOffered` where they cost
        more than tokens.
        """
        try:
            fields = _decoder.decode(body)
        except UNREADABLE as error:
            raise InvalidBody(f"The body does not fit: {error}.") from None
        refuse_costly(fields)
        self.body = body
        self.model = fields.model
        self._fields = fields
        self._headers = headers

    @property
    def prompt_tokens_max(self) -> int:
        """A strict upper bound: text has no more tokens than bytes; what is seen or added counts by its most."""
        blocks = _BLOCK.findall(unescape(self.body))
        documents = blocks.count(b"document")
        images = len(blocks) - documents
        tools = TOOLS_TOKENS_MAX if self._fields.tools else 0
        return len(self.body) + images * IMAGE_TOKENS_MAX + documents * DOCUMENT_TOKENS_MAX + tools

    @property
    def prompt_tokens_estimate(self) -> int:
        fields = self._fields
        return estimate_prompt_tokens(*map(bytes, (fields.messages, fields.system, fields.tools)))

    def forwarded_body(self, route: Route, output_limit: int | None) -> bytes:
        """Return the body with the upstream's name of the model; a member given twice is sent once, as quoted."""
        fields = msgspec.json.decode(self.body, type=dict[str, msgspec.Raw])
        fields["model"] = encode_raw(route.upstream_model)
        if output_limit is not None:  # of a chat without a limit; here it is the caller's own
            fields["max_tokens"] = encode_raw(output_limit)
        return msgspec.json.encode(fields)

    def forwarded_headers(self) -> dict[str, str]:
        given = {name: self._headers.get(name.encode(), b"").decode("latin-1") for name in _HEADERS}
        return {"anthropic-version": VERSION, **{name: value for name, value in given.items() if value}}

    def message_texts(self) -> list[str]:
        """Return the text of each message, the system prompt first where there is one."""
        texts = texts_of(self._fields.messages)
        if not texts:
            raise InvalidBody("messages: at least one message is required.", param="messages")
        try:
            system: object = msgspec.json.decode(self._fields.system) if self._fields.system else None
        except UNREADABLE as error:
            raise InvalidBody(f"system does not fit: {error}.") from None
        return [text_of(system), *texts]


class MessagesRequest(_PromptRequest):
    """One request to /v1/messages. Its output limit is always the caller's own."""

    upstream_path = "/v1/messages"

    def __init__(self, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        super().__init__(body, headers)
        self.streamed = bool(self._fields.stream)
        limit = self._fields.max_tokens
        if limit is None:
            raise InvalidBody("max_tokens: Field required", param="max_tokens")
        if not 0 <= limit <= OUTPUT_LIMIT_MAX:
            raise InvalidBody(f"max_tokens: {limit} is not 0 to {OUTPUT_LIMIT_MAX}", param="max_tokens")
        self.output_limit = limit

    def answer_meter(self) -> MessageMeter:
        return MessageMeter(self.prompt_tokens_estimate)

    def stream_meter(self) -> MessageStreamMeter:
        return MessageStreamMeter(self.prompt_tokens_estimate)


class CountRequest(_PromptRequest):
    """One request to /v1/messages/count_tokens. Counting costs nothing."""

    upstream_path = "/v1/messages/count_tokens"

    def answer_meter(self) -> CountMeter:
        return CountMeter(self.prompt_tokens_estimate)
