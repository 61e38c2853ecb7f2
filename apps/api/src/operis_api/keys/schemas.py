"""Wire shapes of API keys."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType


class MintBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    models: list[str] = []
    expires_at: datetime | None = None


class UpdateKeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    models: list[str] | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    prefix: str
    last_four: str
    status: Literal["active", "expired", "revoked"]
    models: list[str]
    owner_email: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    spent: str
    requests: int


class MintedKey(msgspec.Struct, frozen=True, kw_only=True):
    key: ApiKey
    secret: str
