"""Records written beside a change, in its transaction: audit log, mail, and answers kept for Idempotency-Key."""

from uuid import UUID

from sqlalchemy import Index, LargeBinary, SmallInteger, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from operis_db.base import Base, CreatedAt, Id, Moment, NewId


class AuditEvent(Base):
    """Who did what to what, and why. Append-only."""

    __tablename__ = "audit_events"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    created_at: Mapped[CreatedAt]
    organization_id: Mapped[Id | None]
    actor_id: Mapped[Id | None]
    """None: the system itself, or somebody not signed in."""
    action: Mapped[str] = mapped_column(String(64))
    target_type: Mapped[str] = mapped_column(String(32))
    target_id: Mapped[str] = mapped_column(String(128))
    before: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    reason: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(String(64))
    agent: Mapped[str | None] = mapped_column(String(256))
    request_id: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (Index("ix_audit_events_organization_id_id", "organization_id", "id"),)


class Mail(Base):
    """One mail to one person. It is sent once the transaction that wrote it is committed."""

    __tablename__ = "mails"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    created_at: Mapped[CreatedAt]
    recipient: Mapped[str] = mapped_column(Text)
    template: Mapped[str] = mapped_column(String(48))
    content_encrypted: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Language and facts, which may hold a link's token; gone once the mail is sent or given up."""
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_try_at: Mapped[CreatedAt]
    """While a process sends the mail: until when it is that process's alone."""
    sent_at: Mapped[Moment | None]
    failed_at: Mapped[Moment | None]
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_mails_due", "next_try_at", postgresql_where=text("content_encrypted IS NOT NULL")),
        Index("ix_mails_created_at", "created_at"),
    )


class IdempotentAnswer(Base):
    """The first answer to a POST that carried an Idempotency-Key; encrypted, since it may hold a secret."""

    __tablename__ = "idempotent_answers"
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    operation: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    answer_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[CreatedAt]

    __table_args__ = (Index("ix_idempotent_answers_created_at", "created_at"),)
