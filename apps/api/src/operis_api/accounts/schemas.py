"""Wire shapes of signing up, passwords and the signed-in user."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

Locale = Literal["en", "vi"]

UserRole = Literal["user", "superadmin", "support", "finance", "read-only"]
"""On the platform; all but `user` are operators'."""


class RegisterBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str
    name: str
    locale: Locale = "en"
    invitation: str | None = None
    """The token of an invitation, to the platform or to an organization."""


class TokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str


class AddressBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str


class ResetPasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str
    new_password: str


class ChangePasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    current_password: str
    new_password: str


class UpdateMeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    locale: Locale | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET


class User(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    email: str
    email_verified: bool
    name: str
    role: UserRole
    status: Literal["active", "suspended"]
    locale: Locale
    time_zone: str
    created_at: datetime


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    role: str


class ImpersonatedBy(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    email: str
    name: str
    expires_at: datetime


class Me(msgspec.Struct, frozen=True, kw_only=True):
    user: User
    organization: Organization
    organizations: list[Organization]
    permissions: list[str]
    """What the user may do: in the active organization, and as an operator."""
    impersonated_by: ImpersonatedBy | None = None
    """The operator who reads as the user, and until when."""
