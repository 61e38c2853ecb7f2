"""Wire shapes of the models on offer."""

from datetime import datetime

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    context_tokens: int | None
    max_output_tokens: int | None
    default_output_tokens: int
    input: str
    output: str
    cached_input: str | None
    cache_write_5m: str | None
    cache_write_1h: str | None
    reasoning: str | None
    per_request: str | None
    effective_from: datetime
