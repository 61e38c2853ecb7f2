"""Wire shapes of the models on offer."""

from datetime import datetime

import msgspec


class ModelTier(msgspec.Struct, frozen=True, kw_only=True):
    """A model's prices for prompts of so many tokens or more."""

    from_prompt_tokens: int
    input: str
    output: str
    cached_input: str | None
    cache_write_5m: str | None
    cache_write_1h: str | None
    reasoning: str | None
    audio_input: str | None
    audio_output: str | None
    image: str | None
    per_request: str | None


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
    audio_input: str | None
    audio_output: str | None
    image: str | None
    per_request: str | None
    tiers: list[ModelTier]
    multiplier: str
    effective_from: datetime
