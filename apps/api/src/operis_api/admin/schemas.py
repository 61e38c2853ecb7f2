"""Wire shapes of the back office."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from operis_api.accounts.schemas import Locale, UserRole
from operis_api.ledger.schemas import Wallet
from operis_api.limits.fields import Limits, LimitsBody
from operis_api.usage.schemas import Request, UsageBucket

UserStatus = Literal["active", "suspended", "erasing", "erased"]


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    email: str
    name: str
    role: UserRole
    status: UserStatus
    suspended_until: datetime | None
    suspended_reason: str | None
    erase_at: datetime | None
    locale: Locale
    email_verified: bool
    second_factor: bool
    organization_id: UUID
    organization_name: str
    available: str
    held: str
    spent: str
    keys: int
    created_at: datetime
    last_seen_at: datetime | None


class UpdateUserBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Literal["active", "suspended"] | UnsetType = UNSET
    suspended_until: datetime | None = None
    email_verified: Literal[True] | UnsetType = UNSET
    name: str | UnsetType = UNSET
    locale: Locale | UnsetType = UNSET
    reason: str


class GrantRoleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: UserRole
    reason: str


class GrantedRole(msgspec.Struct, frozen=True, kw_only=True):
    user_id: UUID
    role: UserRole


class ReasonBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str


class EraseUserBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str
    forfeit_credits: bool = False


class StartedImpersonation(msgspec.Struct, frozen=True, kw_only=True):
    user_id: UUID
    token: str
    """Shown this once; sent as an access token is."""
    expires_at: datetime


class OrganizationRow(Limits, frozen=True, kw_only=True):
    id: UUID
    name: str
    personal: bool
    status: Literal["active", "suspended", "deleted"]
    suspended_reason: str | None
    plan_id: UUID
    plan_name: str
    owner_id: UUID
    owner_email: str
    members: int
    keys: int
    timezone: str
    available: str
    held: str
    spent: str
    created_at: datetime


class ChangePlanBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    plan_id: UUID
    reason: str


class EndSessionsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str


class AdjustBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: str
    reason: str


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    posting_id: UUID
    amount: str
    wallet: Wallet


class ReverseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str


class Reversal(msgspec.Struct, frozen=True, kw_only=True):
    posting_id: UUID
    request_id: UUID
    amount: str
    wallet: Wallet


class PlanRow(Limits, frozen=True, kw_only=True):
    id: UUID
    name: str
    is_default: bool
    welcome_grant: str
    free_window_amount: str
    free_window_seconds: int
    created_at: datetime


class UpdatePlanBody(LimitsBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    welcome_grant: str | UnsetType = UNSET
    free_window_amount: str | UnsetType = UNSET
    free_window_seconds: int | UnsetType = UNSET


class PlanMultiplier(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    plan_id: UUID
    plan_name: str
    model_id: str | None
    multiplier: str
    created_at: datetime


class SetMultiplierBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    plan_id: UUID
    model_id: str | None = None
    multiplier: str


class LedgerInvariant(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    checked_at: datetime
    kind: Literal["full", "incremental"]
    findings: list[str]


class LedgerCheck(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    kind: Literal["full", "incremental"]
    state: Literal["queued", "running", "done"]
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    percent: int
    rows: int
    holds: bool | None
    invariants: list[LedgerInvariant]


class ChainHead(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    hash: str
    cut_at: datetime | None


class LedgerVerification(msgspec.Struct, frozen=True, kw_only=True):
    holds: bool | None
    invariants: list[LedgerInvariant]
    running: LedgerCheck | None
    last_full: LedgerCheck | None
    head: ChainHead


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    kind: Literal["invariant_broken", "platform_loss"]
    subject: str
    detail: str
    raised_at: datetime
    seen_at: datetime
    times: int
    acknowledged_at: datetime | None
    acknowledged_by: UUID | None


class PostingEntry(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    amount: str
    sequence: int | None
    balance_after: str | None


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    organization_id: UUID
    organization_name: str
    kind: str
    reason: str
    actor_id: UUID | None
    reverses_id: UUID | None
    created_at: datetime
    entries: list[PostingEntry]


class OpenHold(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    organization_id: UUID
    organization_name: str
    user_id: UUID
    user_email: str | None
    key_id: UUID | None
    key_name: str | None
    model: str
    amount: str
    streamed: bool
    output_tokens: int
    created_at: datetime
    age_seconds: int
    lease_until: datetime
    lapsed: bool


class RefundBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str
    amount: str | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    posting_id: UUID
    grant_id: UUID
    amount: str
    account: str
    wallet: Wallet


class UpstreamKey(msgspec.Struct, frozen=True, kw_only=True):
    """A further credential of an upstream."""

    id: UUID
    last_four: str
    created_at: datetime


class UpstreamHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What was last seen of an upstream."""

    state: Literal["unknown", "well", "failing", "resting"]
    checked_at: datetime | None
    check_latency_ms: int | None
    check_error: str | None
    resting_until: datetime | None
    failures: int
    """Calls that failed in a row."""
    last_error: str | None
    last_error_at: datetime | None


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    protocol: Literal["openai", "anthropic", "echo"]
    base_url: str
    api_key_last_four: str
    further_keys: list[UpstreamKey]
    enabled: bool
    models: int
    health: UpstreamHealth
    created_at: datetime


class CreateUpstreamBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    base_url: str
    api_key: str
    protocol: Literal["openai", "anthropic"] = "openai"


class UpdateUpstreamBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    base_url: str | UnsetType = UNSET
    api_key: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class AddUpstreamKeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    api_key: str


class UpstreamTest(msgspec.Struct, frozen=True, kw_only=True):
    ok: bool
    status: int | None
    latency_ms: int
    error: str | None
    models: list[str]


class ModelUpstream(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    upstream_id: UUID
    upstream_name: str
    upstream_model: str
    weight: int
    priority: int


class AddModelUpstreamBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    upstream_id: UUID
    upstream_model: str
    weight: int = 1
    priority: int = 0


class UpdateModelUpstreamBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    weight: int | UnsetType = UNSET
    priority: int | UnsetType = UNSET


class PriceTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other prices from so many prompt tokens on; what it does not name is as it is below it."""

    from_prompt_tokens: int
    input: str | None = None
    output: str | None = None
    cached_input: str | None = None
    cache_write_5m: str | None = None
    cache_write_1h: str | None = None
    reasoning: str | None = None
    audio_input: str | None = None
    audio_output: str | None = None
    image: str | None = None
    per_request: str | None = None
    cost_input: str | None = None
    cost_cached_input: str | None = None
    cost_cache_write_5m: str | None = None
    cost_cache_write_1h: str | None = None
    cost_output: str | None = None
    cost_reasoning: str | None = None
    cost_audio_input: str | None = None
    cost_audio_output: str | None = None
    cost_image: str | None = None
    cost_per_request: str | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    model_id: str
    effective_from: datetime
    input: str
    output: str
    cached_input: str | None
    cache_write_5m: str | None
    cache_write_1h: str | None
    reasoning: str | None
    audio_input: str | None
    audio_output: str | None
    image: str | None
    per_request: str | None
    cost_input: str | None
    cost_cached_input: str | None
    cost_cache_write_5m: str | None
    cost_cache_write_1h: str | None
    cost_output: str | None
    cost_reasoning: str | None
    cost_audio_input: str | None
    cost_audio_output: str | None
    cost_image: str | None
    cost_per_request: str | None
    tiers: list[PriceTier]
    created_at: datetime


class CreatePriceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model_id: str
    input: str
    output: str
    cached_input: str | None = None
    cache_write_5m: str | None = None
    cache_write_1h: str | None = None
    reasoning: str | None = None
    audio_input: str | None = None
    audio_output: str | None = None
    image: str | None = None
    per_request: str | None = None
    cost_input: str | None = None
    cost_cached_input: str | None = None
    cost_cache_write_5m: str | None = None
    cost_cache_write_1h: str | None = None
    cost_output: str | None = None
    cost_reasoning: str | None = None
    cost_audio_input: str | None = None
    cost_audio_output: str | None = None
    cost_image: str | None = None
    cost_per_request: str | None = None
    tiers: list[PriceTier] = []
    effective_from: datetime | None = None


ImportFormat = Literal["litellm", "json", "csv"]


class ImportPricesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: ImportFormat
    file: str
    markup: str = "1"
    effective_from: datetime | None = None
    models: list[str] | None = None
    plan: str | None = None


class PriceField(msgspec.Struct, frozen=True, kw_only=True):
    field: str
    before: str | None
    after: str | None
    percent: str | None


class PriceChange(msgspec.Struct, frozen=True, kw_only=True):
    model_id: str
    status: Literal["new", "changed", "unchanged", "skipped"]
    source: str | None
    why: str | None
    fields: list[PriceField]
    flags: list[str]
    ignored: list[str]


class PriceImport(msgspec.Struct, frozen=True, kw_only=True):
    plan: str
    added: int
    markup: str
    effective_from: datetime | None
    changes: list[PriceChange]
    unused: int


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    enabled: bool
    context_tokens: int | None
    max_output_tokens: int | None
    default_output_tokens: int
    min_output_tokens: int
    upstreams: list[ModelUpstream]
    price: Price | None


class CreateModelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    upstream_id: UUID
    upstream_model: str
    name: str | UnsetType = UNSET
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    default_output_tokens: int = 4096


class UpdateModelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    context_tokens: int | UnsetType | None = UNSET
    max_output_tokens: int | UnsetType | None = UNSET
    default_output_tokens: int | UnsetType = UNSET


class AdminRequest(msgspec.Struct, frozen=True, kw_only=True):
    request: Request
    organization_id: UUID
    organization_name: str
    user_email: str | None
    upstream: str | None
    cost: str | None
    loss: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    days: int
    revenue: str
    upstream_cost: str
    margin: str
    platform_loss: str
    liabilities: str
    held: str
    open_holds: int
    requests: int
    failed_requests: int
    estimated_requests: int
    sign_ups: int
    users: int
    by_day: list[UsageBucket]
