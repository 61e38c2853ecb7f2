"""Records: audit log, mail, answers kept for Idempotency-Key, and alerts for operators."""

from uuid import UUID

from sqlalchemy import Boolean, Double, Index, LargeBinary, SmallInteger, String, Text, false, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from operis_db.base import Base, Count, CreatedAt, Id, Moment, NewId


class AuditEvent(Base):
    """Who did what to what, and why. Append-only, and linked into a chain when its transaction commits.

    What it says of a person is sealed under that person's key: destroying the key erases it, and breaks no link.
    """

    __tablename__ = "audit_events"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    created_at: Mapped[CreatedAt]
    organization_id: Mapped[Id | None]
    actor_id: Mapped[Id | None]
    """None: the system itself, or somebody not signed in."""
    as_user_id: Mapped[Id | None]
    """Whom the actor, an operator, acted as."""
    key_id: Mapped[Id | None]
    """The API key it was done with."""
    action: Mapped[str] = mapped_column(String(64))
    target_type: Mapped[str] = mapped_column(String(32))
    target_id: Mapped[str] = mapped_column(String(128))
    before: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    reason: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(String(64))
    origin_sealed: Mapped[bytes | None]
    """Address and program of the actor."""
    state_sealed: Mapped[bytes | None]
    """What `before` and `after` leave out, because it is personal to the user who is the target."""

    __table_args__ = (
        Index("ix_audit_events_organization_id_id", "organization_id", "id"),
        Index("ix_audit_events_actor_id_id", "actor_id", "id"),
        Index("ix_audit_events_target_id_id", "target_id", "id"),
    )


class AuditLink(Base):
    """The place of an event in the chain, and the digest of it and all before it. Written by the database alone."""

    __tablename__ = "audit_links"
    number: Mapped[Count] = mapped_column(primary_key=True, autoincrement=False)
    event_id: Mapped[Id] = mapped_column(unique=True)
    digest: Mapped[bytes]


class PersonKey(Base):
    """The key that seals what records say of one person; the nil UUID's is for those nobody signed in."""

    __tablename__ = "person_keys"
    user_id: Mapped[Id] = mapped_column(primary_key=True)
    key_encrypted: Mapped[bytes]
    created_at: Mapped[CreatedAt]


class Mail(Base):
    """One mail to one person. It is sent once the transaction that wrote it is committed."""

    __tablename__ = "mails"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    created_at: Mapped[CreatedAt]
    recipient: Mapped[str] = mapped_column(Text)
    user_id: Mapped[Id | None]
    """Whose it is; None: nobody's who has an account."""
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


class Throttle(Base):
    """How full one bucket of tries is. The key is a hash, so that no address stands here."""

    __tablename__ = "throttles"
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    level: Mapped[float] = mapped_column(Double, server_default=text("0"))
    pauses: Mapped[int] = mapped_column(server_default=text("0"))
    tried_at: Mapped[CreatedAt]
    blocked_until: Mapped[CreatedAt] = mapped_column(index=True)


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


class IdempotentCall(Base):
    """A call of a model that carried an Idempotency-Key; its answer encrypted, since it is the customer's content."""

    __tablename__ = "idempotent_calls"
    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    caller_id: Mapped[UUID] = mapped_column(primary_key=True)
    """The API key, or the user of the playground."""
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_id: Mapped[UUID]
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    streamed: Mapped[bool] = mapped_column(Boolean)
    answered: Mapped[bool] = mapped_column(Boolean, server_default=false())
    answer_encrypted: Mapped[bytes | None] = mapped_column(LargeBinary)
    """None while it runs, of a stream, and of what was too large to keep."""
    created_at: Mapped[CreatedAt]

    __table_args__ = (Index("ix_idempotent_calls_created_at", "created_at"),)


class Alert(Base):
    """Something an operator must look at, open until one acknowledges it; what is seen again is counted."""

    __tablename__ = "alerts"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(Text)
    """What it is about: the same subject is one alert, until it is acknowledged."""
    detail: Mapped[str] = mapped_column(Text)
    raised_at: Mapped[CreatedAt]
    seen_at: Mapped[CreatedAt]
    times: Mapped[int] = mapped_column(server_default=text("1"))
    acknowledged_at: Mapped[Moment | None]
    acknowledged_by: Mapped[Id | None]

    __table_args__ = (
        Index("uq_alerts_open", "kind", "subject", unique=True, postgresql_where=text("acknowledged_at IS NULL")),
    )
