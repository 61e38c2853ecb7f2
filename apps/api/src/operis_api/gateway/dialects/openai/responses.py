"""Reading OpenAI's responses request. Nothing is kept between calls, so what leans on kept things is refused."""

import re
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
    is_given,
    text_of,
    unescape,
)
from operis_api.gateway.dialects.costly import CostlyFields, refuse_costly
from operis_api.gateway.dialects.openai.refusing import RESPONSES
from operis_api.gateway.dialects.openai.request import FILE_TOKENS_MAX, IMAGE_TOKENS_MAX
from operis_api.gateway.dialects.openai.responses_metering import ResponseMeter, ResponseStreamMeter
from operis_api.gateway.errors import InvalidBody, NotOffered

_BLOCK = re.compile(rb'"type"\s*:\s*"input_(image|file)"')


class _Item(msgspec.Struct):
    role: str | None = None
    content: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT


class _Fields(CostlyFields, kw_only=True):
    model: str
    input: msgspec.Raw = ABSENT
    instructions: msgspec.Raw = ABSENT
    max_output_tokens: int | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: msgspec.Raw = ABSENT
    conversation: msgspec.Raw = ABSENT
    prompt: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(_Fields)


class ResponsesRequest(GatewayRequest):
    """One request to /v1/responses."""

    dialect: ClassVar[Dialect] = RESPONSES
    protocols: ClassVar[frozenset[str]] = frozenset({"openai", "echo"})
    upstream_path = "/responses"

    def __init__(self, body: bytes) -> None:
        """Raise `InvalidBody` where the fields we need are of another type, `NotOffered` where they need a
        memory or cost more than tokens.
        """
        try:
            fields = _decoder.decode(body)
        except UNREADABLE as error:
            raise InvalidBody(f"The body does not fit: {error}.") from None
        self.body = body
        self.model = fields.model
        self.streamed = bool(fields.stream)
        self.output_limit = fields.max_output_tokens
        self._fields = fields
        if self.output_limit is not None and not 0 <= self.output_limit <= OUTPUT_LIMIT_MAX:
            raise InvalidBody(
                f"The output limit is {self.output_limit}; use 0 to {OUTPUT_LIMIT_MAX} tokens.",
                param="max_output_tokens",
            )
        self._refuse_memory(fields)
        refuse_costly(fields)

    @property
    def prompt_tokens_max(self) -> int:
        """A strict upper bound: text has no more tokens than bytes; images and files count by their most."""
        blocks = _BLOCK.findall(unescape(self.body))
        files = blocks.count(b"file")
        return len(self.body) + IMAGE_TOKENS_MAX * (len(blocks) - files) + FILE_TOKENS_MAX * files

    @property
    def prompt_tokens_estimate(self) -> int:
        return estimate_prompt_tokens(bytes(self._fields.input), bytes(self._fields.instructions))

    def forwarded_body(self, route: Route, output_limit: int | None) -> bytes:
        """Return the body for an upstream: its model name, the output limit that was quoted, and nothing stored."""
        fields = msgspec.json.decode(self.body, type=dict[str, msgspec.Raw])
        fields["model"] = encode_raw(route.upstream_model)
        fields["store"] = encode_raw(False)
        fields["max_output_tokens"] = encode_raw(self.output_limit if output_limit is None else output_limit)
        return msgspec.json.encode(fields)

    def answer_meter(self) -> ResponseMeter:
        return ResponseMeter(self.prompt_tokens_estimate)

    def stream_meter(self) -> ResponseStreamMeter:
        return ResponseStreamMeter(self.prompt_tokens_estimate)

    def message_texts(self) -> list[str]:
        """Return the instructions, and the text of each item of the input."""
        instructions, given = _read(self._fields.instructions), self._fields.input
        texts = [instructions] if isinstance(instructions, str) else []
        if isinstance(whole := _read(given), str):
            return [*texts, whole]
        try:
            items = msgspec.json.decode(given or b"[]", type=list[_Item])
        except UNREADABLE as error:
            raise InvalidBody(f"input does not fit: {error}.", param="input") from None
        return [*texts, *(text_of(_read(item.content or item.output)) for item in items)]

    def _refuse_memory(self, fields: _Fields) -> None:
        if fields.store:
            raise NotOffered("store", "nothing is stored; send the whole conversation each time, with store false")
        if fields.background:
            raise NotOffered("background", "nothing runs in the background")
        for name in ("previous_response_id", "conversation", "prompt"):
            if is_given(getattr(fields, name)):
                raise NotOffered(name, "nothing is stored; send the whole conversation each time")


def _read(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw) if raw else None
    except UNREADABLE as error:
        raise InvalidBody(f"The body does not fit: {error}.") from None
