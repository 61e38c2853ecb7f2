"""Wire shapes of signing in with providers."""

from datetime import datetime
from uuid import UUID

import msgspec

from operis_api.accounts.schemas import Locale


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send the browser, and what it keeps until it comes back."""

    url: str
    browser_token: str


class ProviderAnswerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query with which the provider sent the browser back, and what that browser kept."""

    state: str
    code: str
    browser_token: str
    iss: str | None = None


class FinishProviderBody(ProviderAnswerBody, frozen=True, forbid_unknown_fields=True):
    device_token: str | None = None
    invitation: str | None = None
    locale: Locale = "en"
    """Both of somebody who signs up so."""


class ProveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    link_token: str
    browser_token: str
    password: str
    device_token: str | None = None


class IdentityView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    provider: str
    title: str
    email: str | None
    """As the provider said when it was linked."""
    created_at: datetime
    last_used_at: datetime | None
