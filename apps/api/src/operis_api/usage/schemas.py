"""Wire shapes of usage and of explained requests."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

Outcome = Literal["completed", "failed", "disconnected", "interrupted"]


class UsageBucket(msgspec.Struct, frozen=True, kw_only=True):
    bucket: str
    label: str
    requests: int
    failed_requests: int
    input_tokens: int
    output_tokens: int
    charge: str


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[UsageBucket]
    total: UsageBucket


class Request(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    created_at: datetime
    model: str
    key_id: UUID | None
    key_name: str | None
    streamed: bool
    outcome: Outcome
    finish_reason: str | None
    http_status: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    charge: str
    latency_ms: int
    first_token_ms: int | None
