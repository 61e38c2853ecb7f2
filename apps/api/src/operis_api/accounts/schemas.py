"""Wire shapes of signing up, signing in and the signed-in user."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

UserRole = Literal["user", "superadmin", "support", "finance", "read-only"]
"""On the platform; all but `user` are operators'."""


class RegisterBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str
    name: str


class LoginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str


class RefreshBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: str


class LogoutBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: str | None = None


class UpdateMeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class User(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    email: str
    name: str
    role: UserRole
    status: Literal["active", "suspended"]
    created_at: datetime


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    role: str


class Me(msgspec.Struct, frozen=True, kw_only=True):
    user: User
    organization: Organization
    organizations: list[Organization]
