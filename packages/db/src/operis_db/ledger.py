"""Money: wallets, grants, holds, and the append-only double entry ledger. Only `operis_api.ledger` writes here.

The functions that move money set by set (`place_holds`, `settle_holds`, `expire_grants`) are in the migrations.
"""

from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from operis_db.base import Base, Count, CreatedAt, Id, Moment, Nano, NewId


class Wallet(Base):
    """One per organization. Locked first by everything that moves its money, grants, holds or entries."""

    __tablename__ = "wallets"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    available_nano: Mapped[Nano] = mapped_column(server_default=text("0"))
    held_nano: Mapped[Nano] = mapped_column(server_default=text("0"))
    sequence: Mapped[Count] = mapped_column(server_default=text("0"))
    """Of the newest wallet entry: gap-free, because it grows under the row's lock."""

    __table_args__ = (
        CheckConstraint("available_nano >= 0", name="available"),
        CheckConstraint("held_nano >= 0", name="held"),
    )


class Grant(Base):
    __tablename__ = "grants"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    id: Mapped[NewId] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int] = mapped_column(SmallInteger)
    amount_nano: Mapped[Nano]
    remaining_nano: Mapped[Nano]
    held_nano: Mapped[Nano] = mapped_column(server_default=text("0"))
    """The part of `remaining_nano` that open holds draw on."""
    expires_at: Mapped[Moment | None]
    window_start: Mapped[Moment | None]
    """Of a free window: when its first call came."""
    closed: Mapped[bool] = mapped_column(Boolean, Computed("remaining_nano = 0", persisted=True))
    """Spent or expired: nothing can come back to it."""
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        # Indexed columns that seldom change: a call that draws on a grant must touch no index.
        Index("ix_grants_open", "organization_id", "id", postgresql_where=text("NOT closed")),
        Index("ix_grants_expires_at", "expires_at", postgresql_where=text("NOT closed AND expires_at IS NOT NULL")),
        Index(
            "uq_grants_window",
            "organization_id",
            "window_start",
            unique=True,
            postgresql_where=text("window_start IS NOT NULL"),
        ),
        CheckConstraint("source IN ('free', 'bonus', 'paid', 'refund', 'manual', 'voucher')", name="source"),
        CheckConstraint(
            "held_nano >= 0 AND held_nano <= remaining_nano AND remaining_nano <= amount_nano", name="parts"
        ),
    )


class Hold(Base):
    """An open reservation of one request's quote. Settling or voiding it deletes the row: that can happen once."""

    __tablename__ = "holds"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    id: Mapped[Id] = mapped_column(primary_key=True)
    """The request's id; its UUIDv7 time is `created_at`."""
    created_at: Mapped[Moment]
    lease_until: Mapped[Moment]
    amount_nano: Mapped[Nano]
    grant_ids: Mapped[list[UUID]]
    grant_amounts_nano: Mapped[list[int]]
    user_id: Mapped[Id]
    key_id: Mapped[Id | None]
    model_id: Mapped[str] = mapped_column(Text)
    price_id: Mapped[Id]
    streamed: Mapped[bool]
    prompt_tokens: Mapped[Count]
    """An estimate, for a call that dies before its upstream reports usage."""
    output_tokens: Mapped[Count] = mapped_column(server_default=text("0"))
    """Delivered so far, by the last checkpoint; an estimate too."""
    client_address: Mapped[str | None] = mapped_column(Text)
    client_agent: Mapped[str | None] = mapped_column(Text)
    tokens: Mapped[Count | None]
    """What it took of the tokens per minute; None where requests and tokens are not limited."""
    rated_second: Mapped[Count | None]
    multiplier_numerator: Mapped[int] = mapped_column(server_default=text("1"))
    multiplier_denominator: Mapped[int] = mapped_column(server_default=text("1"))
    seal: Mapped[Count] = mapped_column(server_default=text("0"))
    """Over all the rest, by a trigger when it is placed and by each checkpoint."""

    __table_args__ = (
        CheckConstraint("amount_nano >= 0", name="amount"),
        CheckConstraint("cardinality(grant_ids) = cardinality(grant_amounts_nano)", name="draws"),
    )


class RateCount(Base):
    """Requests and tokens of one second, of a key, a member or an organization that has such a limit."""

    __tablename__ = "rate_counts"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    subject_id: Mapped[Id] = mapped_column(primary_key=True)
    second: Mapped[Count] = mapped_column(primary_key=True, autoincrement=False)
    """Since 1970; it counts until all of it is a minute old."""
    requests: Mapped[Count]
    tokens: Mapped[Count]


class Posting(Base):
    """One movement of money. A charge's posting has the request's id, so it cannot be posted twice."""

    __tablename__ = "postings"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(24))
    reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    actor_id: Mapped[Id | None]
    created_at: Mapped[CreatedAt]
    reverses_id: Mapped[Id | None]
    """The posting that this one takes back."""
    grant_ids: Mapped[list[UUID]] = mapped_column(server_default=text("'{}'"))
    grant_amounts_nano: Mapped[list[int]] = mapped_column(server_default=text("'{}'"))
    """What each of those grants gained or lost; a charge's are in its usage record."""
    written: Mapped[Count] = mapped_column(server_default=text("ledger_clock()"))
    """By which transaction, on the ledger's clock: what the chain is cut by."""

    __table_args__ = (
        Index("ix_postings_written", "written"),
        Index("ix_postings_written_other", "written", postgresql_where=text("kind <> 'charge'")),
        Index("ix_postings_other", "organization_id", "id", postgresql_where=text("kind <> 'charge'")),
        CheckConstraint("cardinality(grant_ids) = cardinality(grant_amounts_nano)", name="moves"),
        Index(
            "uq_postings_reverses_id",
            "organization_id",
            "reverses_id",
            unique=True,
            postgresql_where=text("reverses_id IS NOT NULL"),
        ),
    )


class Entry(Base):
    """One immutable ledger line; the entries of a posting sum to zero."""

    __tablename__ = "entries"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    posting_id: Mapped[Id] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(String(48), primary_key=True)
    """`wallet`, `revenue`, `promotions`, `adjustments`, `expiry`, `refunds`, `platform_loss`, `cash:<processor>`."""
    amount_nano: Mapped[Nano]
    sequence: Mapped[Count | None]
    balance_after_nano: Mapped[Nano | None]
    """Of wallet lines: available and held together."""
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint(
            "(account = 'wallet') = (sequence IS NOT NULL AND balance_after_nano IS NOT NULL)", name="wallet_line"
        ),
        CheckConstraint("balance_after_nano >= 0", name="balance"),
        Index(
            "uq_entries_sequence",
            "organization_id",
            "sequence",
            unique=True,
            postgresql_where=text("account = 'wallet'"),
        ),
    )


class Void(Base):
    """A request that was settled for nothing: it has a usage record and no posting. Noted by a trigger."""

    __tablename__ = "voids"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    id: Mapped[Id] = mapped_column(primary_key=True)
    written: Mapped[Count] = mapped_column(server_default=text("ledger_clock()"), index=True)


class ChainForm(Base):
    """Which columns of which tables a block seals, in their order; a new one when a table got a column."""

    __tablename__ = "chain_forms"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    columns: Mapped[dict[str, list[str]]] = mapped_column(JSONB)


class Block(Base):
    """A link of the chain: seals every row written from `low` until before `high`, and the block before it."""

    __tablename__ = "ledger_blocks"
    number: Mapped[Count] = mapped_column(primary_key=True, autoincrement=False)
    low: Mapped[Count]
    high: Mapped[Count]
    form_id: Mapped[int] = mapped_column(ForeignKey("chain_forms.id"))
    postings: Mapped[int]
    entries: Mapped[int]
    grants: Mapped[int]
    records: Mapped[int]
    ledger_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """Over postings with their entries and the grants they made."""
    usage_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """Over usage records, apart: it stays when a month of them is dropped."""
    posting_marks: Mapped[bytes] = mapped_column(LargeBinary)
    """Four bytes of each row's hash: they name the row where a hash does not agree."""
    record_marks: Mapped[bytes] = mapped_column(LargeBinary)
    previous_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    cut_at: Mapped[Moment] = mapped_column(index=True)

    __table_args__ = (CheckConstraint("low < high", name="range"),)


class LedgerCheck(Base):
    """One check of the books: asked for, running, or done with each invariant and the findings against it."""

    __tablename__ = "ledger_checks"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    """full, or incremental: what was written since the last one."""
    state: Mapped[str] = mapped_column(String(16))
    asked_at: Mapped[CreatedAt] = mapped_column(index=True)
    actor_id: Mapped[Id | None]
    """Who asked; None: the job."""
    started_at: Mapped[Moment | None]
    finished_at: Mapped[Moment | None]
    steps_done: Mapped[int] = mapped_column(server_default=text("0"))
    steps_total: Mapped[int] = mapped_column(server_default=text("0"))
    rows_read: Mapped[Count] = mapped_column(server_default=text("0"))
    holds: Mapped[bool | None]
    checks: Mapped[list[dict[str, object]]] = mapped_column(JSONB, server_default=text("'[]'"))
    block_number: Mapped[Count | None]
    """The newest block that was checked, and its hash: the next incremental check begins behind it."""
    block_hash: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (
        CheckConstraint("kind IN ('full', 'incremental')", name="kind"),
        CheckConstraint("state IN ('queued', 'running', 'done')", name="state"),
        Index("uq_ledger_checks_open", "kind", unique=True, postgresql_where=text("state <> 'done'")),
    )
