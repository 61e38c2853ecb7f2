"""A charge and everything it came from, as text: shared by the customers' and the operators' lists."""

from dataclasses import dataclass, field

from operis_client.models import Attempt, ChargeReversal, ExplainedRequest, LedgerLine, MeterLine, Request
from operis_dashboard.formatting import NOTHING, Shown, Writer


@dataclass(frozen=True)
class RequestRow:
    id: str = ""
    at: Shown = field(default_factory=Shown)
    model: str = ""
    key: str = ""
    tokens_in: str = ""
    tokens_out: str = ""
    charge: Shown = field(default_factory=Shown)
    latency: str = ""
    outcome: str = ""
    estimated: bool = False


@dataclass(frozen=True)
class MeterRow:
    meter: str = ""
    quantity: str = ""
    price: Shown = field(default_factory=Shown)
    amount: Shown = field(default_factory=Shown)


@dataclass(frozen=True)
class BurntRow:
    source: str = ""
    amount: Shown = field(default_factory=Shown)


@dataclass(frozen=True)
class LedgerRow:
    account: str = ""
    amount: Shown = field(default_factory=Shown)
    balance: Shown = field(default_factory=Shown)


@dataclass(frozen=True)
class MeteredRow:
    meter: str = ""
    quantity: str = ""


@dataclass(frozen=True)
class AttemptRow:
    upstream: str = ""
    model: str = ""
    status: str = ""
    failed: bool = False
    error: str = ""
    latency: str = ""
    cost: Shown = field(default_factory=Shown)
    usage: list[MeteredRow] = field(default_factory=list)


@dataclass(frozen=True)
class ReversalRow:
    at: Shown = field(default_factory=Shown)
    reason: str = ""
    ledger: list[LedgerRow] = field(default_factory=list)


@dataclass(frozen=True)
class Explanation:
    id: str = ""
    request: RequestRow = field(default_factory=RequestRow)
    hold: Shown = field(default_factory=Shown)
    released: Shown = field(default_factory=Shown)
    price_id: str = ""
    price_from: Shown = field(default_factory=Shown)
    tier_from: str = ""
    """Prompt tokens from which the tier counts; empty: the version's own prices."""
    multiplier: str = ""
    """Empty: the whole price."""
    first_token: str = ""
    streamed: bool = False
    finish: str = ""
    client: str = ""
    meters: list[MeterRow] = field(default_factory=list)
    burnt: list[BurntRow] = field(default_factory=list)
    ledger: list[LedgerRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    reversed: bool = False
    reversal: ReversalRow = field(default_factory=ReversalRow)


def write_request(request: Request, writer: Writer) -> RequestRow:
    return RequestRow(
        id=request.id,
        at=writer.moment(request.created_at),
        model=request.model,
        key=request.key_name or "",
        tokens_in=writer.count(request.input_tokens),
        tokens_out=writer.count(request.output_tokens),
        charge=writer.money(request.charge),
        latency=writer.milliseconds(request.latency_ms),
        outcome=request.outcome,
        estimated=request.estimated,
    )


def explain(explained: ExplainedRequest, writer: Writer) -> Explanation:
    return Explanation(
        id=explained.request.id,
        request=write_request(explained.request, writer),
        hold=writer.money(explained.hold),
        released=writer.money(explained.released),
        price_id=explained.price_id,
        price_from=writer.moment(explained.price_effective_from),
        tier_from=writer.count(explained.price_from_prompt_tokens) if explained.price_from_prompt_tokens else "",
        multiplier="" if explained.multiplier == "1" else explained.multiplier,
        first_token=writer.milliseconds(explained.request.first_token_ms),
        streamed=explained.request.streamed,
        finish=explained.request.finish_reason or NOTHING,
        client=" · ".join(part for part in (explained.client_address, explained.client_agent) if part) or NOTHING,
        meters=[_meter(line, writer) for line in explained.meters],
        burnt=[BurntRow(source=grant.source, amount=writer.money(grant.amount)) for grant in explained.burnt],
        ledger=[_entry(line, writer) for line in explained.entries],
        attempts=[_attempt(attempt, writer) for attempt in explained.attempts],
        reversed=explained.reversal is not None,
        reversal=_reversal(explained.reversal, writer) if explained.reversal else ReversalRow(),
    )


def _meter(line: MeterLine, writer: Writer) -> MeterRow:
    return MeterRow(
        meter=line.meter,
        quantity=writer.count(line.quantity),
        price=writer.price(line.price),
        amount=writer.money(line.amount),
    )


def _entry(line: LedgerLine, writer: Writer) -> LedgerRow:
    return LedgerRow(
        account=line.account,
        amount=writer.money(line.amount, signed=True),
        balance=writer.money(line.balance_after),
    )


def _attempt(attempt: Attempt, writer: Writer) -> AttemptRow:
    return AttemptRow(
        upstream=attempt.upstream,
        model=attempt.upstream_model,
        status=str(attempt.status or NOTHING),
        failed=attempt.error is not None,
        error=attempt.error or "",
        latency=writer.milliseconds(attempt.latency_ms),
        cost=writer.money(attempt.cost),
        usage=[
            MeteredRow(meter, writer.count(quantity))
            for meter, quantity in attempt.usage.items()
            if quantity and meter != "per_request"
        ],
    )


def _reversal(reversal: ChargeReversal, writer: Writer) -> ReversalRow:
    return ReversalRow(
        at=writer.moment(reversal.created_at),
        reason=reversal.reason,
        ledger=[_entry(line, writer) for line in reversal.entries],
    )
