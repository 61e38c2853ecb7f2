"""A charge explained: the hold, the attempts, meters x price version, grants burnt and ledger lines of one request."""

from datetime import datetime
from fractions import Fraction
from typing import cast
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import FromPath
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.audit.sealing import PersonKeys, open_address
from operis_api.catalog.offers import resolve_price
from operis_api.catalog.pricing import METERS, PICO_PER_NANO, Meters, Tier
from operis_api.kit.encryption import Vault
from operis_api.kit.money import format_micro, format_nano, format_ratio
from operis_api.ledger.wallets import list_posting_entries, read_grant_sources, read_reversal
from operis_api.usage.presenting import show_request
from operis_api.usage.records import RecordRow, read_record
from operis_api.usage.schemas import Request
from operis_db.catalog import Price
from operis_db.people import ApiKey
from operis_db.usage import UsageRecord


class MeterLine(msgspec.Struct, frozen=True, kw_only=True):
    meter: str
    quantity: int
    price: str
    amount: str


class BurntGrant(msgspec.Struct, frozen=True, kw_only=True):
    grant_id: UUID
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
    created_at: datetime
    reason: str
    entries: list[LedgerLine]


class ExplainedRequest(msgspec.Struct, frozen=True, kw_only=True):
    request: Request
    hold: str
    released: str
    price_id: UUID
    price_effective_from: datetime
    price_from_prompt_tokens: int
    multiplier: str
    meters: list[MeterLine]
    attempts: list[Attempt]
    burnt: list[BurntGrant]
    entries: list[LedgerLine]
    reversal: ChargeReversal | None
    client_address: str | None
    client_agent: str | None


@get("/requests/{request_id:uuid}", opt={"permission": "usage.view"}, operation_id="explain_request", tags=["usage"])
async def explain_request(identity: Identity, session: AsyncSession, request_id: FromPath[UUID]) -> ExplainedRequest:
    """Explain one request's charge down to its ledger lines."""
    row = await read_record(session, identity.organization_id, request_id)
    return await explain(session, row, for_operator=identity.is_operator)


async def explain(session: AsyncSession, row: RecordRow, *, for_operator: bool) -> ExplainedRequest:
    """Return what a charge came from. Upstreams' names and errors are for operators."""
    record = row.record
    price = await session.get_one(Price, record.price_id)
    sources = await read_grant_sources(session, record.organization_id, record.grant_ids)
    usage = Meters(**{meter: getattr(record, meter) for meter in METERS})
    tier = resolve_price(price).tier_of(usage)
    return ExplainedRequest(
        request=show_request(row),
        hold=format_nano(record.hold_nano),
        released=format_nano(record.hold_nano - record.charge_nano),
        price_id=price.id,
        price_effective_from=price.effective_from,
        price_from_prompt_tokens=tier.from_prompt_tokens,
        multiplier=format_ratio(Fraction(record.multiplier_numerator, record.multiplier_denominator)),
        meters=_meter_lines(usage, tier),
        attempts=[_attempt(attempt, nth, for_operator=for_operator) for nth, attempt in enumerate(record.attempts)],
        burnt=[
            BurntGrant(grant_id=grant_id, source=sources.get(grant_id, ""), amount=format_nano(amount))
            for grant_id, amount in zip(record.grant_ids, record.grant_amounts_nano, strict=True)
        ],
        entries=await _ledger_lines(session, record.organization_id, record.id),
        reversal=await _reversal(session, record.organization_id, record.id),
        client_address=await _open_address(session, record),
        client_agent=record.client_agent,
    )


async def _open_address(session: AsyncSession, record: UsageRecord) -> str | None:
    """Return where the call came from, as far as the key of its caller, or of its key's maker, is still there."""
    maker = select(ApiKey.user_id).where(ApiKey.organization_id == record.organization_id, ApiKey.id == record.key_id)
    keeper = await session.scalar(maker) if record.key_id else record.user_id
    keys = await PersonKeys(cast("Vault", session.info["vault"])).read(session, [keeper] if keeper else [])
    return open_address(keys.get(keeper) if keeper else None, record.client_address)


async def _reversal(session: AsyncSession, organization_id: UUID, request_id: UUID) -> ChargeReversal | None:
    posting = await read_reversal(session, organization_id, request_id)
    if posting is None:
        return None
    return ChargeReversal(
        created_at=posting.created_at,
        reason=posting.reason,
        entries=await _ledger_lines(session, organization_id, posting.id),
    )


async def _ledger_lines(session: AsyncSession, organization_id: UUID, posting_id: UUID) -> list[LedgerLine]:
    return [
        LedgerLine(
            account=entry.account,
            amount=format_nano(entry.amount_nano),
            balance_after=None if entry.balance_after_nano is None else format_nano(entry.balance_after_nano),
            sequence=entry.sequence,
        )
        for entry in await list_posting_entries(session, organization_id, posting_id)
    ]


def _meter_lines(usage: Meters, tier: Tier) -> list[MeterLine]:
    """Return the meters that count, exact to the picocredit; their sum, multiplied and rounded up, is the charge."""
    lines: list[MeterLine] = []
    for meter in METERS:
        quantity, rate = cast("int", getattr(usage, meter)), cast("int", getattr(tier.sale, meter))
        if quantity and (rate or meter != "per_request"):
            lines.append(
                MeterLine(meter=meter, quantity=quantity, price=format_micro(rate), amount=_pico(quantity * rate))
            )
    return lines


def _pico(amount: int) -> str:
    """Write picocredits as credits."""
    nano, rest = divmod(amount, PICO_PER_NANO)
    if not rest:
        return format_nano(nano)
    whole, part = divmod(amount, PICO_PER_NANO * 10**9)
    return f"{whole}.{part:012d}".rstrip("0")


def _attempt(attempt: dict[str, object], nth: int, *, for_operator: bool) -> Attempt:
    error = cast("str | None", attempt.get("error"))
    cost = cast("int | None", attempt.get("cost_nano"))
    return Attempt(
        upstream=str(attempt["upstream"]) if for_operator else f"Upstream {nth + 1}",
        upstream_model=str(attempt["upstream_model"]) if for_operator else "",
        status=cast("int | None", attempt.get("status")),
        error=error if for_operator or error is None else "The provider failed.",
        latency_ms=cast("int", attempt.get("latency_ms", 0)),
        usage=cast("dict[str, int]", attempt.get("usage", {})),
        cost=format_nano(cost) if for_operator and cost is not None else None,
    )


router = Router("/", route_handlers=[explain_request], opt={"scope": "usage"})
