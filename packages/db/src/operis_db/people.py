"""Users, the organizations that pay, who belongs to which, and their sign-in sessions."""

from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    case,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from operis_db.base import Base, Count, CreatedAt, Id, Moment, Nano, NewId


class Limited:
    """What a key, a member, an organization or each organization of a plan may use. None: no such limit.

    Budgets are of its whole life and of the current day, week and month in the organization's time zone. Enforced by
    `place_holds`, which also knows what is held.
    """

    budget_nano: Mapped[Nano | None]
    budget_daily_nano: Mapped[Nano | None]
    budget_weekly_nano: Mapped[Nano | None]
    budget_monthly_nano: Mapped[Nano | None]
    rpm: Mapped[int | None]
    """Requests in any sixty seconds."""
    tpm: Mapped[Count | None]
    """Tokens in any sixty seconds: what calls may use when they begin, what they used once they are settled."""
    concurrency: Mapped[int | None]
    """Calls at once."""


def _check_limits() -> CheckConstraint:
    return CheckConstraint(
        "coalesce(least(budget_nano, budget_daily_nano, budget_weekly_nano, budget_monthly_nano), 0) >= 0"
        " AND coalesce(least(rpm, tpm, concurrency), 1) >= 1",
        name="limits",
    )


class Plan(Limited, Base):
    """What an organization is given and allowed."""

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
        _check_limits(),
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
    """As it was set; what holds now is `standing`."""
    suspended_until: Mapped[Moment | None]
    """None: until somebody lifts it."""
    suspended_reason: Mapped[str | None] = mapped_column(String(500))
    erase_at: Mapped[Moment | None]
    """Of who is `erasing`: until when that can be undone."""
    locale: Mapped[str] = mapped_column(String(8), server_default=text("'en'"))
    time_zone: Mapped[str] = mapped_column(String(64), server_default=text("'UTC'"))
    email_verified_at: Mapped[Moment | None]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("role IN ('user', 'superadmin', 'support', 'finance', 'read-only')", name="role"),
        CheckConstraint("status IN ('active', 'suspended', 'erasing', 'erased')", name="status"),
        CheckConstraint("status <> 'erasing' OR erase_at IS NOT NULL", name="erase_at"),
        Index("ix_users_erase_at", "erase_at", postgresql_where=text("status = 'erasing'")),
    )

    @hybrid_property
    def standing(self) -> str:
        """Return `status`, but that a suspension ends by itself at its end."""
        over = self.suspended_until is not None and self.suspended_until <= datetime.now(UTC)
        return "active" if self.status == "suspended" and over else self.status

    @standing.inplace.expression
    @classmethod
    def _standing(cls) -> ColumnElement[str]:
        over = (cls.status == "suspended") & (cls.suspended_until <= func.now())
        return case((over, "active"), else_=cls.status)


class Organization(Limited, Base):
    __tablename__ = "organizations"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    plan_id: Mapped[UUID] = mapped_column(ForeignKey("plans.id"))
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    """The one member whose role is owner."""
    personal: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """Made with its user, who never leaves it, hands it on or deletes it."""
    status: Mapped[str] = mapped_column(String(16), server_default=text("'active'"))
    suspended_reason: Mapped[str | None] = mapped_column(String(500))
    timezone: Mapped[str] = mapped_column(String(64), server_default=text("'UTC'"))
    """In which its days, weeks and months begin; one that PostgreSQL knows."""
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        _check_limits(),
        CheckConstraint("status IN ('active', 'suspended', 'deleted')", name="status"),
        Index("uq_organizations_personal", "owner_id", unique=True, postgresql_where=text("personal")),
        CheckConstraint("('epoch'::timestamptz AT TIME ZONE timezone) IS NOT NULL", name="timezone"),
    )


class Membership(Limited, Base):
    __tablename__ = "memberships"
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        _check_limits(),
        CheckConstraint("role IN ('owner', 'admin', 'billing', 'developer', 'viewer')", name="role"),
        Index("uq_memberships_owner", "organization_id", unique=True, postgresql_where=text("role = 'owner'")),
    )


class Invitation(Base):
    """Leave to join an organization, for whoever has the address and the token. Only the token's hash is stored."""

    __tablename__ = "invitations"
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    id: Mapped[NewId] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(CITEXT)
    role: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    invited_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment]
    accepted_at: Mapped[Moment | None]
    accepted_by: Mapped[Id | None]
    revoked_at: Mapped[Moment | None]

    __table_args__ = (
        CheckConstraint("role IN ('admin', 'billing', 'developer', 'viewer')", name="role"),
        Index(
            "uq_invitations_unanswered",
            "organization_id",
            "email",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
    )


class PlatformInvitation(Base):
    """Leave to sign up, by an operator, for whoever has the address and the token. Only the token's hash is stored."""

    __tablename__ = "platform_invitations"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(CITEXT)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    invited_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment]
    accepted_at: Mapped[Moment | None]
    revoked_at: Mapped[Moment | None]

    __table_args__ = (
        Index(
            "uq_platform_invitations_unanswered",
            "email",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
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
    name: Mapped[str | None] = mapped_column(String(80))
    device_id: Mapped[Id | None]
    """The same for all sessions of one device, as long as it keeps its token."""
    authenticated_at: Mapped[CreatedAt]
    """When the user last showed who they are: at sign-in, or by a step-up."""
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment]
    revoked_at: Mapped[Moment | None]
    revoked_reason: Mapped[str | None] = mapped_column(String(32))


class Impersonation(Base):
    """An operator who reads as somebody else, from one session of their own, until one of many things ends it."""

    __tablename__ = "impersonations"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    session_id: Mapped[Id]
    """The operator's."""
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment]
    ended_at: Mapped[Moment | None]
    """When its end was noted; nothing of it works from the moment on that ends it."""

    __table_args__ = (Index("ix_impersonations_open", "id", postgresql_where=text("ended_at IS NULL")),)


class OneTimeLink(Base):
    """Leave to do one thing once, proven by a token that was mailed. Only the token's hash is stored."""

    __tablename__ = "one_time_links"
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    purpose: Mapped[str] = mapped_column(String(24))
    address: Mapped[str] = mapped_column(CITEXT)
    """The address that the link is about."""
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment] = mapped_column(index=True)


class SecondFactor(Base):
    """A user's authenticator. It counts once it is confirmed by a code."""

    __tablename__ = "second_factors"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    secret_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[Count]
    """The newest step whose code was used: none up to it is good again."""
    confirmed_at: Mapped[Moment | None]
    created_at: Mapped[CreatedAt]


class Passkey(Base):
    """A WebAuthn credential of a user: its public half, and how often it says that it was used."""

    __tablename__ = "passkeys"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[Count]
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[Moment | None]


class PasskeyChallenge(Base):
    """What a passkey is asked to sign, once; only its hash is stored. Without a user: whoever signs in by it."""

    __tablename__ = "passkey_challenges"
    challenge_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    expires_at: Mapped[Moment] = mapped_column(index=True)


class ProviderIdentity(Base):
    """Who a user is at an identity provider: one there, and nobody else's."""

    __tablename__ = "provider_identities"
    id: Mapped[NewId] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str] = mapped_column(String(32))
    """Its name in the settings when it was linked."""
    issuer: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(CITEXT)
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[Moment | None]

    __table_args__ = (
        UniqueConstraint("issuer", "subject"),
        UniqueConstraint("user_id", "issuer"),
    )


class ProviderAttempt(Base):
    """A sign-in under way at an identity provider, or one that waits for a password; tokens are hashed."""

    __tablename__ = "provider_attempts"
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    browser_hash: Mapped[bytes] = mapped_column(LargeBinary)
    provider: Mapped[str] = mapped_column(String(32))
    purpose: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    nonce: Mapped[str] = mapped_column(Text)
    verifier: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(CITEXT)
    expires_at: Mapped[Moment] = mapped_column(index=True)


class RecoveryCode(Base):
    __tablename__ = "recovery_codes"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    used_at: Mapped[Moment | None]


class WelcomeClaim(Base):
    """An address whose owner got a welcome grant: a keyed hash of its canonical form, so that it gets one only."""

    __tablename__ = "welcome_claims"
    address_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    created_at: Mapped[CreatedAt]


class ApiKey(Limited, Base):
    """A credential, and what it may do. Its secrets are `key_secrets`: rotation gives it a new one."""

    __tablename__ = "api_keys"
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    id: Mapped[NewId] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    prefix: Mapped[str] = mapped_column(String(16))
    """What is shown of the newest secret, like `last_four`."""
    last_four: Mapped[str] = mapped_column(String(4))
    scopes: Mapped[list[str]] = mapped_column(server_default=text("'{inference,models}'"))
    models: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    """Patterns of the models it may call; empty: all."""
    cidrs: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    """Networks it may be used from; empty: all."""
    version: Mapped[int] = mapped_column(server_default=text("1"))
    """Grows with every change, so that a process that cached an older one is told at admission."""
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment | None]
    disabled_at: Mapped[Moment | None]
    disabled_by: Mapped[str | None] = mapped_column(String(16))
    """Who may enable it again."""
    revoked_at: Mapped[Moment | None]
    service: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """Whether it belongs to the organization rather than to `user_id`, who only made it."""
    reason: Mapped[str | None] = mapped_column(String(500))
    """Why it was disabled or revoked, where somebody said so."""
    deleted_at: Mapped[Moment | None]
    """Revoked and listed no more; the row stays, so that history keeps the name."""

    __table_args__ = (
        _check_limits(),
        CheckConstraint("(disabled_at IS NULL) = (disabled_by IS NULL)", name="disabled"),
        CheckConstraint("disabled_by IN ('organization', 'operator')", name="disabled_by"),
        CheckConstraint("deleted_at IS NULL OR revoked_at IS NOT NULL", name="deleted"),
        Index("ix_api_keys_id", "id"),
    )


class KeySecret(Base):
    """One secret of a key, as a keyed hash. The newest has no end of its own; rotation gives it one."""

    __tablename__ = "key_secrets"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    id: Mapped[NewId] = mapped_column(primary_key=True)
    key_id: Mapped[Id]
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    pepper_version: Mapped[str] = mapped_column(String(8))
    """Which pepper the hash was made with; an earlier one's is made anew when the secret is used."""
    prefix: Mapped[str] = mapped_column(String(16))
    last_four: Mapped[str] = mapped_column(String(4))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Moment | None]

    __table_args__ = (
        ForeignKeyConstraint(["organization_id", "key_id"], ["api_keys.organization_id", "api_keys.id"]),
        Index("ix_key_secrets_organization_id_key_id", "organization_id", "key_id"),
        Index(
            "uq_key_secrets_newest",
            "organization_id",
            "key_id",
            unique=True,
            postgresql_where=text("expires_at IS NULL"),
        ),
    )


class KeyUse(Base):
    """When and from where a key was last used for something that is no call of a model; once a minute at most."""

    __tablename__ = "key_uses"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    key_id: Mapped[Id] = mapped_column(primary_key=True)
    last_used_at: Mapped[Moment]
    last_address: Mapped[str | None] = mapped_column(String(64))
    last_agent: Mapped[str | None] = mapped_column(String(256))


class Spending(Base):
    """What a key, a member or an organization (the subject) has spent so far, kept by settlement.

    Apart from their own tables, so that those stay still. Day, week and month are those of the last charge: where
    they are over, nothing is spent in the current one.
    """

    __tablename__ = "spending"
    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    subject_id: Mapped[Id] = mapped_column(primary_key=True)
    spent_nano: Mapped[Nano] = mapped_column(server_default=text("0"))
    day: Mapped[date]
    day_nano: Mapped[Nano]
    week: Mapped[date]
    """Its Monday."""
    week_nano: Mapped[Nano]
    month: Mapped[date]
    month_nano: Mapped[Nano]
    requests: Mapped[Count] = mapped_column(server_default=text("0"))
    errors: Mapped[Count] = mapped_column(server_default=text("0"))
    """Calls that failed and cost nothing."""
    last_used_at: Mapped[Moment | None]
    """This and the next three change at most once a minute."""
    last_address: Mapped[str | None] = mapped_column(Text)
    last_agent: Mapped[str | None] = mapped_column(Text)
    last_model: Mapped[str | None] = mapped_column(Text)
