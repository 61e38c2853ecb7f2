"""Reading OpenAI's chat request: only what quoting and forwarding need; every other field passes through untouched."""

import re
from typing import cast

import msgspec

from operis_api.gateway.errors import InvalidBody

OUTPUT_LIMIT_MAX = 100_000_000
ANSWERS_MAX = 128
IMAGE_TOKENS_MAX = 2_000
"""More than any size of image costs by OpenAI's tile formula (85 + 170 for each of at most 8 tiles)."""
_IMAGE = re.compile(rb'"image_url"\s*:')


class ChatFields(msgspec.Struct, kw_only=True):
    model: str
    messages: msgspec.Raw
    stream: bool | None = None
    stream_options: dict[str, object] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None


_decoder = msgspec.json.Decoder(ChatFields)


class ChatRequest:
    """One decoded request, with the bytes it came from."""

    def __init__(self, body: bytes) -> None:
        """Raise `InvalidBody` where the fields we need are missing or of another type."""
        try:
            fields = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidBody(f"The body does not fit: {error}.") from None
        self.body = body
        self.model = fields.model
        self.messages = fields.messages
        self.streamed = bool(fields.stream)
        self.has_stream_options = fields.stream_options is not None
        self.wants_usage = bool((fields.stream_options or {}).get("include_usage"))
        self.answers = 1 if fields.n is None else fields.n
        explicit = fields.max_completion_tokens
        self.output_limit = fields.max_tokens if explicit is None else explicit
        if not 1 <= self.answers <= ANSWERS_MAX:
            raise InvalidBody(f"n is {self.answers}; use 1 to {ANSWERS_MAX}.", param="n")
        if self.output_limit is not None and not 0 <= self.output_limit <= OUTPUT_LIMIT_MAX:
            raise InvalidBody(
                f"The output limit is {self.output_limit}; use 0 to {OUTPUT_LIMIT_MAX} tokens.", param="max_tokens"
            )

    @property
    def prompt_tokens_max(self) -> int:
        """A strict upper bound: no tokenizer makes more tokens of a text than it has UTF-8 bytes.

        The bytes of the JSON around the text cover what a provider adds for each message.
        """
        body = self.body
        if b"\\u" in body:  # a key may be written with escapes; written anew it has none
            body = msgspec.json.encode(msgspec.json.decode(body))
        return len(self.body) + IMAGE_TOKENS_MAX * len(_IMAGE.findall(body))

    @property
    def prompt_tokens_estimate(self) -> int:
        return estimate_tokens(len(bytes(self.messages)))

    def forwarded_body(self, *, upstream_model: str, output_limit: int | None, limit_field: str) -> bytes:
        """Return the body for an upstream: its model name, usage asked for, and the output limit that was quoted.

        `output_limit` is ours where the caller set none.
        """
        fields = msgspec.json.decode(self.body, type=dict[str, msgspec.Raw])
        fields["model"] = _raw(upstream_model)
        if self.streamed:
            given = fields.get("stream_options") if self.has_stream_options else None
            options: dict[str, object] = dict(msgspec.json.decode(given, type=dict[str, msgspec.Raw])) if given else {}
            fields["stream_options"] = _raw({**options, "include_usage": True})
        limit = self.output_limit if output_limit is None else output_limit
        for name in ("max_tokens", "max_completion_tokens"):
            fields.pop(name, None)  # exactly one limit is sent, the one we quoted, by the name the upstream obeys
        fields[limit_field] = _raw(limit)
        return msgspec.json.encode(fields)

    def message_texts(self) -> list[str]:
        """Return the text of each message, for the built-in model; parts that are not text count for nothing."""
        try:
            messages = msgspec.json.decode(self.messages)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidBody(f"messages does not fit: {error}.") from None
        if not isinstance(messages, list):
            raise InvalidBody("messages is not a list.", param="messages")
        return [_text_of(message) for message in cast("list[object]", messages)]


def estimate_tokens(text_bytes: int) -> int:
    """Estimate the tokens of a text by its UTF-8 bytes: about four to one in English, rounded up."""
    return -(-text_bytes // 4)


def _text_of(message: object) -> str:
    content = cast("dict[str, object]", message).get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [cast("dict[str, object]", part) for part in cast("list[object]", content) if isinstance(part, dict)]
    return "".join(text for part in parts if isinstance(text := part.get("text"), str))


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
