"""What is sold: upstreams, models, which upstream serves which model, and versioned prices."""

from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from operis_db.base import Base, Count, CreatedAt, Micro, Moment, NewId

METERS = (
    "input",
    "cached_input",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "audio_input",
    "audio_output",
    "image",
    "per_request",
)
"""Everything that is counted apart. A unit is a token, an image or a request."""


class Upstream(Base):
    """A model provider's endpoint with its credential, encrypted."""

    __tablename__ = "upstreams"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    protocol: Mapped[str] = mapped_column(String(16))
    base_url: Mapped[str] = mapped_column(Text)
    api_key_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    api_key_last_four: Mapped[str] = mapped_column(String(4))
    enabled: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    created_at: Mapped[CreatedAt]

    __table_args__ = (CheckConstraint("protocol IN ('openai', 'anthropic', 'echo')", name="protocol"),)


class UpstreamKey(Base):
    """A further credential of an upstream: calls are spread over all of them."""

    __tablename__ = "upstream_keys"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    upstream_id: Mapped[UUID] = mapped_column(ForeignKey("upstreams.id"), index=True)
    api_key_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    api_key_last_four: Mapped[str] = mapped_column(String(4))
    created_at: Mapped[CreatedAt]


class UpstreamHealth(Base):
    """What was last seen of an upstream: by the check that asks it for its models, and by calls that failed."""

    __tablename__ = "upstream_health"
    upstream_id: Mapped[UUID] = mapped_column(ForeignKey("upstreams.id"), primary_key=True)
    checked_at: Mapped[Moment | None]
    check_ok: Mapped[bool | None]
    check_latency_ms: Mapped[int | None]
    check_error: Mapped[str | None] = mapped_column(Text)
    resting_until: Mapped[Moment | None]
    """In the process that saw it fail last."""
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    """In a row, there."""
    last_error: Mapped[str | None] = mapped_column(Text)
    last_error_at: Mapped[Moment | None]


class Model(Base):
    __tablename__ = "models"
    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    enabled: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    context_tokens: Mapped[int | None]
    max_output_tokens: Mapped[int | None]
    default_output_tokens: Mapped[int] = mapped_column(server_default=text("4096"))
    min_output_tokens: Mapped[int] = mapped_column(server_default=text("16"))
    """The least to which a missing output limit may be lowered to fit a wallet."""
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("default_output_tokens >= min_output_tokens AND min_output_tokens >= 1", name="output_tokens"),
    )


class ModelUpstream(Base):
    __tablename__ = "model_upstreams"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"))
    upstream_id: Mapped[UUID] = mapped_column(ForeignKey("upstreams.id"), index=True)
    upstream_model: Mapped[str] = mapped_column(String(128))
    weight: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("weight >= 1", name="weight"),
        Index("uq_model_upstreams", "model_id", "upstream_id", "upstream_model", unique=True),
    )


class Price(Base):
    """A version of a model's price: superseded by a later `effective_from`, never edited.

    Sale prices and upstream costs stand beside each other, in microcredits per million units. A sale price of a
    meter that is None falls back: cached input, cache writes and audio input to `input`, reasoning, audio and images of
    the answer to `output`; requests to nothing.
    """

    __tablename__ = "prices"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"))
    effective_from: Mapped[Moment]
    created_at: Mapped[CreatedAt]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    input: Mapped[Micro]
    output: Mapped[Micro]
    cached_input: Mapped[Micro | None]
    cache_write_5m: Mapped[Micro | None]
    cache_write_1h: Mapped[Micro | None]
    reasoning: Mapped[Micro | None]
    audio_input: Mapped[Micro | None]
    audio_output: Mapped[Micro | None]
    image: Mapped[Micro | None]
    per_request: Mapped[Micro | None]
    cost_input: Mapped[Micro | None]
    cost_output: Mapped[Micro | None]
    cost_cached_input: Mapped[Micro | None]
    cost_cache_write_5m: Mapped[Micro | None]
    cost_cache_write_1h: Mapped[Micro | None]
    cost_reasoning: Mapped[Micro | None]
    cost_audio_input: Mapped[Micro | None]
    cost_audio_output: Mapped[Micro | None]
    cost_image: Mapped[Micro | None]
    cost_per_request: Mapped[Micro | None]
    tiers: Mapped[list[dict[str, int]]] = mapped_column(JSONB, server_default=text("'[]'"))
    """For long prompts, in the order of `from_prompt_tokens`: what differs from that number of prompt tokens on."""

    __table_args__ = (
        Index("uq_prices_version", "model_id", "effective_from", unique=True),
        CheckConstraint("input >= 0 AND output >= 0", name="not_negative"),
        CheckConstraint("jsonb_typeof(tiers) = 'array'", name="tiers"),
    )


class PlanMultiplier(Base):
    """What a plan pays of the prices of one model, or, where `model_id` is None, of all that have none of their own."""

    __tablename__ = "plan_multipliers"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    plan_id: Mapped[UUID] = mapped_column(ForeignKey("plans.id"))
    model_id: Mapped[str | None] = mapped_column(ForeignKey("models.id"))
    numerator: Mapped[int]
    denominator: Mapped[int]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("numerator >= 0 AND denominator >= 1", name="fraction"),
        Index("uq_plan_multipliers", "plan_id", "model_id", unique=True, postgresql_nulls_not_distinct=True),
    )


class CatalogVersion(Base):
    """One row, bumped in the transaction of every change to this file's tables.

    Admission compares it with what the process has loaded: a call is never quoted from a catalog that an
    acknowledged change has replaced.
    """

    __tablename__ = "catalog_version"
    id: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    version: Mapped[Count]

    __table_args__ = (CheckConstraint("id", name="one_row"),)
