"""Wire shapes of API keys."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from operis_api.limits.fields import Limits, LimitsBody
from operis_api.limits.states import LimitState


class MintBody(LimitsBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    scopes: list[str] | UnsetType = UNSET
    models: list[str] = msgspec.field(default_factory=list[str])
    cidrs: list[str] = msgspec.field(default_factory=list[str])
    expires_at: datetime | None = None
    service: bool = False
    """Whether it shall belong to the organization, and outlive the membership of who makes it."""


class UpdateKeyBody(LimitsBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    scopes: list[str] | UnsetType = UNSET
    models: list[str] | UnsetType = UNSET
    cidrs: list[str] | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET


class RotateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    overlap: Literal["0s", "1h", "24h", "7d", "30d"] = "24h"
    """How long the old secret goes on to work beside the new one."""


class KeyReasonBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str


class ApiKey(Limits, frozen=True, kw_only=True):
    id: UUID
    organization_id: UUID
    organization_name: str
    name: str
    prefix: str
    last_four: str
    status: Literal["active", "disabled", "expired", "revoked"]
    scopes: list[str]
    models: list[str]
    cidrs: list[str]
    service: bool
    owner_email: str
    created_at: datetime
    expires_at: datetime | None
    old_secret_expires_at: datetime | None
    """When the last secret before the newest ends, where one is still in force."""
    disabled_at: datetime | None
    disabled_by: str | None
    """organization or operator: who may enable it again"""
    revoked_at: datetime | None
    reason: str | None
    last_used_at: datetime | None
    spent: str
    requests: int
    errors: int
    last_address: str | None
    last_agent: str | None
    last_model: str | None
    states: list[LimitState]
    """Of every limit that holds for its calls: the key's own, the member's, the organization's and the plan's."""


class MintedKey(msgspec.Struct, frozen=True, kw_only=True):
    key: ApiKey
    secret: str
