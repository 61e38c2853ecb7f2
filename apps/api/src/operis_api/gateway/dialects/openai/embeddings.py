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


class _Fields(msgspec.Struct):
    model: str
    input: msgspec.Raw


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
    protocols: ClassVar[frozenset[str]] = frozenset({"openai"})
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
        self._input_bytes = len(bytes(fields.input))

    @property
    def prompt_tokens_max(self) -> int:
        """A text has no more tokens than bytes, and a token that is sent as its number has at least two."""
        return len(self.body)

    @property
    def prompt_tokens_estimate(self) -> int:
        return estimate_tokens(self._input_bytes)

    def forwarded_body(self, route: Route, output_limit: int | None) -> bytes:  # noqa: ARG002  # there is no output
        fields = msgspec.json.decode(self.body, type=dict[str, msgspec.Raw])
        fields["model"] = encode_raw(route.upstream_model)
        return msgspec.json.encode(fields)

    def answer_meter(self) -> EmbeddingsMeter:
        return EmbeddingsMeter(self.prompt_tokens_estimate)
