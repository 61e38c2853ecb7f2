"""Users, the organizations that pay, who belongs to which, and their sign-in sessions."""

from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import Mapped, mapped_column

from operis_db.base import Base, Count, CreatedAt, Id, Moment, Nano, NewId


class Plan(Base):
    """What an organization is given and allowed. Limits join as columns when they are enforced."""

    __tablename__ = "plans"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    is_default: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    welcome_grant_nano: Mapped[Nano] = mapped_column(server_default=text("0"))
    free_window_nano: Mapped[Nano] = mapped_column(server_default=text("0"))
    """Free credits for each window; a window begins with its first call and lasts `free_window_seconds`."""
    free_window_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("welcome_grant_nano >= 0", name="welcome_grant"),
        CheckConstraint(
            "free_window_nano >= 0 AND free_window_seconds >= 0 AND (free_window_nano > 0) = (free_window_seconds > 0)",
            name="free_window",
        ),
        Index("uq_plans_default", "is_default", unique=True, postgresql_where=text("is_default")),
    )


class User(Base):
    __tablename__ = "users"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(CITEXT, unique=True)
    name: Mapped[str] = mapped_column(String(120))
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(16), server_default=text("'user'"))
    status: Mapped[str] = mapped_column(String(16), server_default=text("'active'"))
    email_verified_at: Mapped[Moment | None]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("role IN ('user', 'superadmin', 'support', 'finance', 'read-only')", name="role"),
        CheckConstraint("status IN ('active', 'suspended')", name="status"),
    )


class Organization(Base):
    __tablename__ = "organizations"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    plan_id: Mapped[UUID] = mapped_column(ForeignKey("plans.id"))
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    """The one member whose role is owner."""
    personal: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """Made with its user, who never leaves it, hands it on or deletes it."""
    status: Mapped[str] = mapped_column(String(16), server_default=text("'active'"))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("status IN ('active', 'suspended', 'deleted')", name="status"),
        Index("uq_organizations_personal", "owner_id", unique=True, postgresql_where=text("personal")),
    )


class Membership(Base):
    __tablename__ = "memberships"
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("role IN ('owner', 'admin', 'billing', 'developer', 'viewer')", name="role"),
        Index("uq_memberships_owner", "organization_id", unique=True, postgresql_where=text("role = 'owner'")),
    )


class Session(Base):
    """One signed-in device. Its refresh tokens are numbered; `generation` is the newest one handed out."""

    __tablename__ = "sessions"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    generation: Mapped[int] = mapped_column(server_default=text("0"))
    rotated_at: Mapped[CreatedAt]
    address: Mapped[str | None] = mapped_column(String(64))
    agent: Mapped[str | None] = mapped_column(String(256))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment]
    revoked_at: Mapped[Moment | None]
    revoked_reason: Mapped[str | None] = mapped_column(String(32))


class ApiKey(Base):
    """A credential for the gateway. Only a keyed hash of the secret is stored."""

    __tablename__ = "api_keys"
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    id: Mapped[NewId] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    prefix: Mapped[str] = mapped_column(String(16))
    last_four: Mapped[str] = mapped_column(String(4))
    models: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    """Grows with every change, so that a process that cached an older one is told at admission."""
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment | None]
    revoked_at: Mapped[Moment | None]


class KeySpending(Base):
    """What a key has spent so far, kept by settlement. Apart from `api_keys`, so that keys stay still.

    Calls without a key, those of the playground, count under the nil UUID.
    """

    __tablename__ = "key_spending"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    key_id: Mapped[Id] = mapped_column(primary_key=True)
    spent_nano: Mapped[Nano] = mapped_column(server_default=text("0"))
    requests: Mapped[Count] = mapped_column(server_default=text("0"))
    last_used_at: Mapped[Moment | None]
