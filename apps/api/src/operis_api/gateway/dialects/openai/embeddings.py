"""Embeddings: a prompt without an answer's tokens, so the quote is the prompt's bound and nothing more."""

from typing import ClassVar

import msgspec

from operis_api.catalog.offers import Route
from operis_api.gateway.dialects import (
    ABSENT,
    UNREADABLE,
    AnswerMeter,
    Dialect,
    GatewayRequest,
    encode_raw,
    estimate_tokens,
    is_given,
)
from operis_api.gateway.dialects.openai.metering import add_cost, read_usage
from operis_api.gateway.dialects.openai.refusing import OPENAI
from operis_api.gateway.errors import InvalidBody

DIMENSIONS_MAX = 1_536
TEXTS_MAX = 256
"""Of the built-in model alone; others have their own bounds."""


class _Fields(msgspec.Struct):
    model: str
    input: msgspec.Raw
    dimensions: msgspec.Raw = ABSENT
    encoding_format: msgspec.Raw = ABSENT


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw] = []
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class EmbeddingsMeter(AnswerMeter):
    def read_answer(self, body: bytes) -> bool:
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except UNREADABLE:
            return False
        self.answered = bool(answer.data) and not is_given(answer.error)
        if is_given(answer.usage):
            self.reported = read_usage(answer.usage)
        return self.answered

    def add_cost(self, body: bytes, cost: str) -> bytes:
        return add_cost(body, self.usage, cost)


class EmbeddingsRequest(GatewayRequest):
    """One request to /v1/embeddings."""

    dialect: ClassVar[Dialect] = OPENAI
    protocols: ClassVar[frozenset[str]] = frozenset({"openai", "echo"})
    upstream_path = "/embeddings"

    def __init__(self, body: bytes) -> None:
        """Raise `InvalidBody` where the fields we need are missing or of another type."""
        try:
            fields = msgspec.json.decode(body, type=_Fields)
        except UNREADABLE as error:
            raise InvalidBody(f"The body does not fit: {error}.") from None
        self.body = body
        self.model = fields.model
        self.output_limit = 0
        self._fields = fields

    @property
    def prompt_tokens_max(self) -> int:
        """A text has no more tokens than bytes, and a token that is sent as its number has at least two."""
        return len(self.body)

    @property
    def prompt_tokens_estimate(self) -> int:
        return estimate_tokens(len(bytes(self._fields.input)))

    def forwarded_body(self, route: Route, output_limit: int | None) -> bytes:  # noqa: ARG002  # there is no output
        fields = msgspec.json.decode(self.body, type=dict[str, msgspec.Raw])
        fields["model"] = encode_raw(route.upstream_model)
        return msgspec.json.encode(fields)

    @property
    def dimensions(self) -> int | None:
        """How long the built-in model's vectors are to be."""
        wanted = bytes(self._fields.dimensions)
        if not is_given(self._fields.dimensions):
            return None
        if not wanted.isdigit() or not 1 <= int(wanted[:9]) <= DIMENSIONS_MAX:
            raise InvalidBody(f"dimensions is not 1 to {DIMENSIONS_MAX}.", param="dimensions")
        return int(wanted)

    @property
    def in_base64(self) -> bool:
        return bytes(self._fields.encoding_format) == b'"base64"'

    def message_texts(self) -> list[str]:
        """Return the texts; the built-in model knows no tokens by number."""
        try:
            given = msgspec.json.decode(self._fields.input, type=str | list[str])
        except UNREADABLE as error:
            raise InvalidBody(f"input does not fit: {error}.", param="input") from None
        texts = [given] if isinstance(given, str) else given
        if len(texts) > TEXTS_MAX:
            raise InvalidBody(f"input has more than {TEXTS_MAX} texts.", param="input")
        return texts

    def answer_meter(self) -> EmbeddingsMeter:
        return EmbeddingsMeter(self.prompt_tokens_estimate)
