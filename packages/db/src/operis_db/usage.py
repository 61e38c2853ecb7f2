"""What was consumed: one record for every request that was admitted, partitioned by month."""

from uuid import UUID

from sqlalchemy import Index, SmallInteger, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from operis_db.base import Base, Count, Id, Moment, Nano


class UsageRecord(Base):
    """Written once, by the settlement of its hold. `created_at` is the time in the id, so an id finds its partition."""

    __tablename__ = "usage_records"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    created_at: Mapped[Moment] = mapped_column(primary_key=True)
    id: Mapped[Id] = mapped_column(primary_key=True)
    settled_at: Mapped[Moment]
    user_id: Mapped[Id]
    key_id: Mapped[Id | None]
    model_id: Mapped[str] = mapped_column(Text)
    price_id: Mapped[Id]
    upstream_id: Mapped[Id | None]
    outcome: Mapped[str] = mapped_column(String(16))
    """completed, failed (nothing charged), disconnected (the client left), interrupted (the API died)."""
    http_status: Mapped[int] = mapped_column(SmallInteger)
    finish_reason: Mapped[str | None] = mapped_column(Text)
    streamed: Mapped[bool]
    estimated: Mapped[bool]
    input: Mapped[Count]
    cached_input: Mapped[Count]
    cache_write_5m: Mapped[Count]
    cache_write_1h: Mapped[Count]
    output: Mapped[Count]
    reasoning: Mapped[Count]
    audio_input: Mapped[Count]
    audio_output: Mapped[Count]
    image: Mapped[Count]
    per_request: Mapped[Count]
    hold_nano: Mapped[Nano]
    charge_nano: Mapped[Nano]
    loss_nano: Mapped[Nano]
    """What the upstream reported beyond the hold: booked as platform loss."""
    cost_nano: Mapped[Nano | None]
    grant_ids: Mapped[list[UUID]]
    grant_amounts_nano: Mapped[list[int]]
    """What each grant paid of the charge."""
    latency_ms: Mapped[int]
    first_token_ms: Mapped[int | None]
    attempts: Mapped[list[dict[str, object]]] = mapped_column(JSONB)
    client_address: Mapped[str | None] = mapped_column(Text)
    client_agent: Mapped[str | None] = mapped_column(Text)
    multiplier_numerator: Mapped[int] = mapped_column(server_default=text("1"))
    multiplier_denominator: Mapped[int] = mapped_column(server_default=text("1"))

    __table_args__ = (
        Index("ix_usage_records_created_at_id", "created_at", "id"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )
