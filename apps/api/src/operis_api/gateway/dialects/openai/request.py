"""Reading OpenAI's chat request: only what quoting and forwarding need; every other field passes through untouched."""

import functools
import re
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from operis_api.catalog.offers import Route
from operis_api.gateway.dialects import (
    OUTPUT_LIMIT_MAX,
    UNREADABLE,
    Dialect,
    GatewayRequest,
    encode_raw,
    estimate_prompt_tokens,
    texts_of,
    unescape,
)
from operis_api.gateway.dialects.costly import CostlyFields, refuse_costly
from operis_api.gateway.dialects.openai.metering import ChatAnswerMeter, ChatStreamMeter
from operis_api.gateway.dialects.openai.refusing import OPENAI
from operis_api.gateway.errors import InvalidBody

ANSWERS_MAX = 128
IMAGE_TOKENS_MAX = 2_000
"""More than any size of image costs by OpenAI's tile formula (85 + 170 for each of at most 8 tiles)."""
FILE_TOKENS_MAX = 200_000
"""A file's pages count as text and as image; neither can be told from its bytes, so one may fill a whole context."""
_IMAGE = re.compile(rb'"image_url"\s*:')
_FILE = re.compile(rb'"type"\s*:\s*"file"')


class _ChatFields(CostlyFields, kw_only=True):
    model: str
    messages: msgspec.Raw
    stream: bool | None = None
    stream_options: dict[str, object] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None


_decoder = msgspec.json.Decoder(_ChatFields)


class ChatRequest(GatewayRequest):
    """One request to /v1/chat/completions."""

    dialect: ClassVar[Dialect] = OPENAI
    protocols: ClassVar[frozenset[str]] = frozenset({"openai", "echo"})
    upstream_path = "/chat/completions"

    def __init__(self, body: bytes) -> None:
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
        body = unescape(self.body)
        images, files = len(_IMAGE.findall(body)), len(_FILE.findall(body))
        return len(self.body) + IMAGE_TOKENS_MAX * images + FILE_TOKENS_MAX * files

    @property
    def prompt_tokens_estimate(self) -> int:
        return estimate_prompt_tokens(bytes(self.messages))

    def forwarded_body(self, route: Route, output_limit: int | None) -> bytes:
        """Return the body for an upstream: its model name, usage asked for, and the output limit that was quoted."""
        fields = msgspec.json.decode(self.body, type=dict[str, msgspec.Raw])
        fields["model"] = encode_raw(route.upstream_model)
        if self.streamed:
            given = fields.get("stream_options") if self.has_stream_options else None
            options: dict[str, object] = dict(msgspec.json.decode(given, type=dict[str, msgspec.Raw])) if given else {}
            fields["stream_options"] = encode_raw({**options, "include_usage": True})
        limit = self.output_limit if output_limit is None else output_limit
        for name in ("max_tokens", "max_completion_tokens"):
            fields.pop(name, None)  # exactly one limit is sent, the one we quoted, by the name the upstream obeys
        fields[_limit_field(route.base_url)] = encode_raw(limit)
        return msgspec.json.encode(fields)

    def answer_meter(self) -> ChatAnswerMeter:
        return ChatAnswerMeter(self.prompt_tokens_estimate)

    def stream_meter(self) -> ChatStreamMeter:
        return ChatStreamMeter(self.prompt_tokens_estimate, wants_usage=self.wants_usage)

    def message_texts(self) -> list[str]:
        """Return the text of each message, for the built-in model; parts that are not text count for nothing."""
        return texts_of(self.messages)


@functools.lru_cache(maxsize=1024)
def _limit_field(base_url: str) -> str:
    """OpenAI's own newer models know only max_completion_tokens; most compatible servers know only max_tokens."""
    host = urlsplit(base_url).hostname or ""
    return "max_completion_tokens" if host.endswith((".openai.com", ".openai.azure.com")) else "max_tokens"
