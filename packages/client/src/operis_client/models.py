"""The wire shapes of the management API, as its client reads them.

Money is a decimal string of credits, exact; times are aware UTC; ids are opaque strings. Unknown fields are
ignored, so that an older client reads a newer server.
"""

from datetime import datetime
from typing import Generic, Literal, TypeVar

import msgspec

Item = TypeVar("Item")
Role = Literal["owner", "admin", "billing", "developer", "viewer"]
"""In an organization."""
UserRole = Literal["user", "superadmin", "support", "finance", "read-only"]
"""On the platform; all but `user` are operators'."""


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    items: list[Item]
    next: str | None = None
    """Pass as `after` to read the next page; None on the last."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    environment: str
    version: str
    registration: str


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: int
    """Seconds the access token is good for."""
    refresh_token: str
    device_token: str
    """Sent with the next sign-in from this device, it tells that the device is known."""
    token_type: str = "Bearer"  # noqa: S105  # the scheme's name


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of a new session; or that a second factor is asked for, and the token to show it with."""

    access_token: str = ""
    expires_in: int = 0
    refresh_token: str = ""
    device_token: str = ""
    token_type: str = ""
    mfa_required: bool = False
    mfa_token: str = ""
    mfa_methods: list[Literal["totp", "passkey", "recovery_code"]] = []
    password_required: bool = False
    """An account has the address of an identity: its password links the two (`prove_identity`)."""
    link_token: str = ""


class User(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    email: str
    email_verified: bool
    name: str
    role: UserRole
    status: Literal["active", "suspended"]
    locale: Literal["en", "vi"]
    time_zone: str
    created_at: datetime


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    role: str
    """The reader's role in it."""


class ImpersonatedBy(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    email: str
    name: str
    expires_at: datetime


class Me(msgspec.Struct, frozen=True, kw_only=True):
    user: User
    organization: Organization
    """The active one."""
    organizations: list[Organization]
    permissions: list[str]
    """What the user may do: in the active one, and as an operator."""
    impersonated_by: ImpersonatedBy | None = None
    """The operator who reads as the user, and until when."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What may be used; None: no such limit. Budgets in credits."""

    budget: str | None
    budget_daily: str | None
    budget_weekly: str | None
    budget_monthly: str | None
    rpm: int | None
    tpm: int | None
    concurrency: int | None


class OrganizationView(Limits, frozen=True, kw_only=True):
    id: str
    name: str
    personal: bool
    """Whether it is its user's own, which nobody else joins."""
    status: Literal["active", "suspended", "deleted"]
    timezone: str
    """In which days, weeks and months of budgets begin."""
    role: Role
    """The reader's role in it."""
    permissions: list[str]
    """What that role may do."""
    members: int
    created_at: datetime


class MemberView(Limits, frozen=True, kw_only=True):
    user_id: str
    email: str
    name: str
    role: Role
    status: Literal["active", "suspended", "erasing"]
    keys: int
    """Those that are not revoked, in this organization."""
    created_at: datetime


class InvitationView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    email: str
    role: Literal["admin", "billing", "developer", "viewer"]
    status: Literal["open", "expired"]
    created_at: datetime
    expires_at: datetime


class SentInvitation(msgspec.Struct, frozen=True, kw_only=True):
    invitation: InvitationView
    link: str | None
    """Where it is accepted; shown in development alone, elsewhere only the mail has it."""


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing somebody did. Of an erased person, what was personal is None."""

    id: str
    created_at: datetime
    organization_id: str | None
    actor_id: str | None
    """None: the system, somebody not signed in, or, for a customer, an operator."""
    actor_email: str | None
    actor_is_operator: bool
    as_user_id: str | None
    """Whom an operator acted as."""
    as_user_email: str | None
    action: str
    target_type: str
    target_id: str
    before: dict[str, str | int | bool | None] | None
    after: dict[str, str | int | bool | None] | None
    reason: str | None
    address: str | None
    agent: str | None
    request_id: str | None


class LimitState(msgspec.Struct, frozen=True, kw_only=True):
    """One limit and what is left of it: budgets in credits, the others in requests, tokens or calls."""

    scope: str
    """key, member, organization or plan"""
    name: str
    value: str
    used: str
    held: str
    """By requests in progress."""
    remaining: str
    resets_at: datetime | None
    binds: bool
    """Whether this is the limit with the smallest part left."""


class ApiKey(Limits, frozen=True, kw_only=True):
    id: str
    organization_id: str
    organization_name: str
    name: str
    prefix: str
    """The first 12 characters of the newest secret."""
    last_four: str
    status: Literal["active", "disabled", "expired", "revoked"]
    scopes: list[str]
    models: list[str]
    """Models the key may call, or beginnings with `*` behind; empty: all."""
    cidrs: list[str]
    """Networks the key may be used from; empty: all."""
    service: bool
    """Whether it belongs to the organization rather than to a member."""
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
    last_address: str | None
    last_agent: str | None
    last_model: str | None
    spent: str
    requests: int
    errors: int
    """Calls that failed and cost nothing."""
    states: list[LimitState]
    """Of every limit that holds for its calls: the key's own, the member's, the organization's and the plan's."""


class MintedKey(msgspec.Struct, frozen=True, kw_only=True):
    key: ApiKey
    secret: str
    """Shown here and nowhere else."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    source: Literal["free", "bonus", "paid", "refund", "manual", "voucher"]
    priority: int
    amount: str
    remaining: str
    held: str
    """The part of `remaining` that open holds draw on."""
    expires_at: datetime | None
    created_at: datetime


class FreeWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Free credits for a time that begins with a call; what is left at its end is gone."""

    amount: str
    remaining: str
    seconds: int
    resets_at: datetime | None
    """None: no window runs, and the next call opens one. Its credits are not part of `available` yet."""


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    organization_id: str
    available: str
    held: str
    grants: list[Grant]
    """Those with something left, in the order in which they are burnt."""
    free_window: FreeWindow | None


class WalletEntry(msgspec.Struct, frozen=True, kw_only=True):
    sequence: int
    kind: str
    amount: str
    """Signed: what the wallet gained or lost."""
    balance_after: str
    reason: str
    request_id: str | None
    model: str | None
    """Of the request that was charged, or given back."""
    created_at: datetime


class UsageBucket(msgspec.Struct, frozen=True, kw_only=True):
    bucket: str
    """The day (YYYY-MM-DD), model id or key id that the figures are of."""
    label: str
    requests: int
    failed_requests: int
    input_tokens: int
    output_tokens: int
    charge: str


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[UsageBucket]
    total: UsageBucket


class Request(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    created_at: datetime
    model: str
    key_id: str | None
    key_name: str | None
    streamed: bool
    outcome: Literal["completed", "failed", "disconnected", "interrupted"]
    finish_reason: str | None
    http_status: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    """Whether the tokens are an estimate, because the upstream reported none."""
    charge: str
    latency_ms: int
    first_token_ms: int | None


class MeterLine(msgspec.Struct, frozen=True, kw_only=True):
    meter: str
    quantity: int
    price: str
    """Credits per million units."""
    amount: str
    """quantity x price, in credits, before the total is rounded up."""


class BurntGrant(msgspec.Struct, frozen=True, kw_only=True):
    grant_id: str
    source: str
    amount: str


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    amount: str
    balance_after: str | None
    sequence: int | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    upstream: str
    upstream_model: str
    status: int | None
    error: str | None
    latency_ms: int
    usage: dict[str, int]
    """What it reported, by meter."""
    cost: str | None
    """What the upstream asks for it, where that is known; for operators."""


class ChargeReversal(msgspec.Struct, frozen=True, kw_only=True):
    """How a charge was given back."""

    created_at: datetime
    reason: str
    entries: list[LedgerLine]


class ExplainedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A charge and everything it came from."""

    request: Request
    hold: str
    """What was reserved before the upstream was called: the quote."""
    released: str
    price_id: str
    price_effective_from: datetime
    price_from_prompt_tokens: int
    """Where the tier begins that its prompt reached: 0 is the version's own prices."""
    multiplier: str
    """What the plan paid of the prices, like 0.8 or 1/3: the meters' sum times this, rounded up, is the charge."""
    meters: list[MeterLine]
    attempts: list[Attempt]
    burnt: list[BurntGrant]
    entries: list[LedgerLine]
    reversal: ChargeReversal | None
    client_address: str | None
    client_agent: str | None


class ModelTier(msgspec.Struct, frozen=True, kw_only=True):
    """A model's prices for prompts of so many tokens or more."""

    from_prompt_tokens: int
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


class Model(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    context_tokens: int | None
    max_output_tokens: int | None
    default_output_tokens: int
    input: str
    """Credits per million tokens, like all prices here."""
    output: str
    cached_input: str | None
    cache_write_5m: str | None
    cache_write_1h: str | None
    reasoning: str | None
    audio_input: str | None
    audio_output: str | None
    image: str | None
    per_request: str | None
    """Credits per million requests."""
    tiers: list[ModelTier]
    multiplier: str
    """What the organization's plan pays of these prices, like 0.8 or 1/3."""
    effective_from: datetime


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    email: str
    name: str
    role: UserRole
    status: Literal["active", "suspended", "erasing", "erased"]
    suspended_until: datetime | None
    """None of who is suspended: until an operator lifts it."""
    suspended_reason: str | None
    erase_at: datetime | None
    """Until when an erasure can be undone."""
    locale: Literal["en", "vi"]
    email_verified: bool
    second_factor: bool
    organization_id: str
    organization_name: str
    available: str
    held: str
    spent: str
    keys: int
    created_at: datetime
    last_seen_at: datetime | None


class PendingErasure(msgspec.Struct, frozen=True, kw_only=True):
    erase_at: datetime
    """Until then it can be undone."""


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a person."""

    made_at: datetime
    user: dict[str, str | None]
    tables: dict[str, list[dict[str, str | None]]]
    """What each table knows, every value as text; the newest 10,000 rows of each."""
    cut: list[str]
    """Tables that have more."""
    audit: list[AuditRow]
    """What they did, and what was done to them, newest first."""


class StartedImpersonation(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    token: str
    """To be sent as an access token is."""
    expires_at: datetime


class OrganizationRow(Limits, frozen=True, kw_only=True):
    """An organization as operators see it."""

    id: str
    name: str
    personal: bool
    status: Literal["active", "suspended", "deleted"]
    suspended_reason: str | None
    plan_id: str
    plan_name: str
    owner_id: str
    owner_email: str
    members: int
    keys: int
    """Those that are not revoked."""
    timezone: str
    available: str
    held: str
    spent: str
    created_at: datetime


class GrantedRole(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    role: UserRole


class PlatformInvitationRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    email: str
    status: Literal["open", "expired"]
    invited_by: str
    created_at: datetime
    expires_at: datetime


class SentPlatformInvitation(msgspec.Struct, frozen=True, kw_only=True):
    invitation: PlatformInvitationRow
    link: str | None
    """Where to sign up; shown in development alone, elsewhere only the mail has it."""


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    posting_id: str
    amount: str
    wallet: Wallet


class Reversal(msgspec.Struct, frozen=True, kw_only=True):
    posting_id: str
    request_id: str
    amount: str
    """What was given back: the whole charge."""
    wallet: Wallet


class PlanRow(Limits, frozen=True, kw_only=True):
    id: str
    name: str
    is_default: bool
    welcome_grant: str
    free_window_amount: str
    free_window_seconds: int
    created_at: datetime


class PlanMultiplier(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan pays of a model's prices; without a model, of those of all that have none of their own."""

    id: str
    plan_id: str
    plan_name: str
    model_id: str | None
    multiplier: str
    created_at: datetime


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    posting_id: str
    grant_id: str
    amount: str
    account: str
    """Where the money is due from: the cash account the grant was paid from, or `refunds`."""
    wallet: Wallet


class LedgerInvariant(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    checked_at: datetime
    kind: Literal["full", "incremental"]
    findings: list[str]
    """What breaks it: which row, what was expected and what was found; at most 20 are named."""


class LedgerCheck(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: Literal["full", "incremental"]
    state: Literal["queued", "running", "done"]
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    percent: int
    rows: int
    holds: bool | None
    """None until it is done."""
    invariants: list[LedgerInvariant]


class ChainHead(msgspec.Struct, frozen=True, kw_only=True):
    """The newest block of the ledger's chain; keep its hash elsewhere."""

    number: int
    hash: str
    cut_at: datetime | None


class LedgerVerification(msgspec.Struct, frozen=True, kw_only=True):
    holds: bool | None
    """None before the first check."""
    invariants: list[LedgerInvariant]
    """The last result of each."""
    running: LedgerCheck | None
    last_full: LedgerCheck | None
    head: ChainHead


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: Literal["invariant_broken", "platform_loss"]
    subject: str
    detail: str
    raised_at: datetime
    seen_at: datetime
    """When it was seen last, and how often."""
    times: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class PostingEntry(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    amount: str
    sequence: int | None
    balance_after: str | None


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    organization_id: str
    organization_name: str
    kind: str
    reason: str
    actor_id: str | None
    reverses_id: str | None
    created_at: datetime
    entries: list[PostingEntry]


class OpenHold(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    organization_id: str
    organization_name: str
    user_id: str
    user_email: str | None
    key_id: str | None
    key_name: str | None
    model: str
    amount: str
    streamed: bool
    output_tokens: int
    """Delivered so far, by the last checkpoint."""
    created_at: datetime
    age_seconds: int
    lease_until: datetime
    lapsed: bool
    """Nobody renews it any more: the sweeper settles it."""


class UpstreamKey(msgspec.Struct, frozen=True, kw_only=True):
    """A further credential of an upstream."""

    id: str
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
    id: str
    name: str
    protocol: Literal["openai", "anthropic", "echo"]
    base_url: str
    api_key_last_four: str
    further_keys: list[UpstreamKey]
    enabled: bool
    models: int
    health: UpstreamHealth
    created_at: datetime


class UpstreamTest(msgspec.Struct, frozen=True, kw_only=True):
    ok: bool
    status: int | None
    latency_ms: int
    error: str | None
    models: list[str]
    """Up to 100 model names the upstream lists."""


class ModelUpstream(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    upstream_id: str
    upstream_name: str
    upstream_model: str
    weight: int
    priority: int


class PriceTier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    id: str
    model_id: str
    effective_from: datetime
    input: str
    """Credits per million tokens, like all prices here; None falls back to input or output."""
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
    """What the upstream asks; None where unknown."""
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


class PriceField(msgspec.Struct, frozen=True, kw_only=True):
    field: str
    """A column of a price, like `cost_output`; of a tier like `input from 200001`."""
    before: str | None
    after: str | None
    percent: str | None


class PriceChange(msgspec.Struct, frozen=True, kw_only=True):
    model_id: str
    status: Literal["new", "changed", "unchanged", "skipped"]
    source: str | None
    """The file's own name of the model."""
    why: str | None
    """Why it was skipped."""
    fields: list[PriceField]
    flags: list[str]
    """What looks wrong: a model with flags is applied only where it is named."""
    ignored: list[str]
    """What the file says beside, for which there is no meter."""


class PriceImport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import changes; `plan` applies exactly this."""

    plan: str
    added: int
    """Versions that were added: 0 while it is reviewed."""
    markup: str
    effective_from: datetime | None
    changes: list[PriceChange]
    unused: int
    """How many models the file lists beside ours."""


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
    """The version in force; without one the model is not offered."""


class AdminRequest(msgspec.Struct, frozen=True, kw_only=True):
    request: Request
    organization_id: str
    organization_name: str
    user_email: str | None
    upstream: str | None
    cost: str | None
    loss: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The platform's figures over the last `days` days; liabilities and holds are as of now."""

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


class WrittenMail(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    written_at: datetime
    to: str
    subject: str
    text: str
    html: str


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str | None
    address: str | None
    agent: str | None
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send the browser, and what it keeps until it comes back."""

    url: str
    browser_token: str


class IdentityView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    provider: str
    title: str
    email: str | None
    created_at: datetime
    last_used_at: datetime | None


class SecondFactorView(msgspec.Struct, frozen=True, kw_only=True):
    enabled_at: datetime | None
    recovery_codes_left: int
    passkeys: int


class PasskeyOptions(msgspec.Struct, frozen=True, kw_only=True):
    public_key: dict[str, object]
    """For `navigator.credentials` of a browser, as JSON."""


class PasskeyView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None


class AddedPasskey(msgspec.Struct, frozen=True, kw_only=True):
    passkey: PasskeyView
    recovery_codes: list[str]
    """Shown this once, with the first second factor; empty otherwise."""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    secret: str
    uri: str


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    recovery_codes: list[str]
