"""Wire shapes of organizations, their members and invitations."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from operis_api.limits.fields import Limits, LimitsBody

Role = Literal["owner", "admin", "billing", "developer", "viewer"]
GivenRole = Literal["admin", "billing", "developer", "viewer"]
"""Roles somebody can be given; an owner is made by handing the organization on."""


class OrganizationView(Limits, frozen=True, kw_only=True):
    id: UUID
    name: str
    personal: bool
    status: Literal["active", "suspended", "deleted"]
    timezone: str
    role: Role
    permissions: list[str]
    members: int
    created_at: datetime


class CreateOrganizationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str


class UpdateOrganizationBody(LimitsBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET


class TransferBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user_id: UUID


class MemberView(Limits, frozen=True, kw_only=True):
    user_id: UUID
    email: str
    name: str
    role: Role
    status: Literal["active", "suspended", "erasing"]
    keys: int
    created_at: datetime


class UpdateMemberBody(LimitsBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: GivenRole | UnsetType = UNSET


class InvitationView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    email: str
    role: GivenRole
    status: Literal["open", "expired"]
    created_at: datetime
    expires_at: datetime


class InviteBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: str
    role: GivenRole


class SentInvitation(msgspec.Struct, frozen=True, kw_only=True):
    invitation: InvitationView
    link: str | None
    """Where it is accepted; shown in development alone, elsewhere only the mail has it."""


class AcceptBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: str
