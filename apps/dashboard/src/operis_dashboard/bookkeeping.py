"""Postings, checks, alerts and open holds as text: what operators read of the books."""

from dataclasses import dataclass
from dataclasses import field as default

from operis_client.models import Alert, LedgerInvariant, LedgerVerification, OpenHold, Posting
from operis_dashboard.addresses import address
from operis_dashboard.explaining import LedgerRow
from operis_dashboard.formatting import NOTHING, Shown, Writer


@dataclass(frozen=True)
class PostingRow:
    id: str = ""
    at: Shown = default(default_factory=Shown)
    kind: str = ""
    organization: str = ""
    organization_id: str = ""
    reason: str = ""
    amount: Shown = default(default_factory=Shown)
    """What the wallet gained or lost."""
    gain: bool = False
    actor_id: str = ""
    lines: list[LedgerRow] = default(default_factory=list)
    explained: str = ""
    """Where the request's charge is explained; empty for postings that come from none."""
    refundable: str = ""
    """Where the grant that it paid for can be paid back; empty for other postings."""


@dataclass(frozen=True)
class InvariantRow:
    name: str = ""
    holds: bool = True
    full: bool = False
    at: Shown = default(default_factory=Shown)
    findings: list[str] = default(default_factory=list)


@dataclass(frozen=True)
class AlertRow:
    id: str = ""
    kind: str = ""
    subject: str = ""
    detail: str = ""
    raised: Shown = default(default_factory=Shown)
    seen: Shown = default(default_factory=Shown)
    times: str = ""
    acknowledged: Shown = default(default_factory=Shown)
    open: bool = True


@dataclass(frozen=True)
class HoldRow:
    id: str = ""
    age: Shown = default(default_factory=Shown)
    organization: str = ""
    organization_id: str = ""
    email: str = ""
    key: str = ""
    model: str = ""
    amount: Shown = default(default_factory=Shown)
    delivered: str = ""
    lease: Shown = default(default_factory=Shown)
    lapsed: bool = False


def write_posting(posting: Posting, writer: Writer) -> PostingRow:
    amount = next((entry.amount for entry in posting.entries if entry.account == "wallet"), None)
    request_id = posting.id if posting.kind == "charge" else posting.reverses_id
    whose = {"organization_id": posting.organization_id}
    paid = any(entry.account.startswith("cash:") and entry.amount.startswith("-") for entry in posting.entries)
    return PostingRow(
        id=posting.id,
        at=writer.moment(posting.created_at),
        kind=posting.kind,
        organization=posting.organization_name,
        organization_id=posting.organization_id,
        reason=posting.reason,
        amount=writer.money(amount, signed=True),
        gain=amount is not None and not amount.startswith("-"),
        actor_id=posting.actor_id or "",
        lines=[
            LedgerRow(
                account=entry.account,
                amount=writer.money(entry.amount, signed=True),
                balance=writer.money(entry.balance_after),
            )
            for entry in posting.entries
        ],
        explained=address("/admin/requests", whose | {"open": request_id}) if request_id else "",
        refundable=address("/admin/wallets", whose | {"refund": posting.id}) if paid else "",
    )


def write_invariants(verification: LedgerVerification, writer: Writer) -> list[InvariantRow]:
    """Return the last result of each, broken ones first.

    What the last full check found stays until a full check finds it no more: a check of new rows does not see it.
    """
    full = {each.name: each for each in verification.last_full.invariants} if verification.last_full else {}
    results = [
        full[each.name] if each.name in full and full[each.name].findings else each for each in verification.invariants
    ]
    return [_write_invariant(each, writer) for each in sorted(results, key=lambda each: not each.findings)]


def _write_invariant(result: LedgerInvariant, writer: Writer) -> InvariantRow:
    return InvariantRow(
        name=result.name,
        holds=not result.findings,
        full=result.kind == "full",
        at=writer.moment(result.checked_at),
        findings=result.findings,
    )


def write_alert(alert: Alert, writer: Writer) -> AlertRow:
    return AlertRow(
        id=alert.id,
        kind=alert.kind,
        subject=alert.subject,
        detail=alert.detail,
        raised=writer.moment(alert.raised_at),
        seen=writer.moment(alert.seen_at),
        times=writer.count(alert.times),
        acknowledged=writer.moment(alert.acknowledged_at),
        open=alert.acknowledged_at is None,
    )


def write_hold(hold: OpenHold, writer: Writer) -> HoldRow:
    return HoldRow(
        id=hold.id,
        age=Shown(writer.span(hold.age_seconds), writer.moment(hold.created_at).exact),
        organization=hold.organization_name,
        organization_id=hold.organization_id,
        email=hold.user_email or "",
        key=hold.key_name or "",
        model=hold.model,
        amount=writer.money(hold.amount),
        delivered=writer.count(hold.output_tokens) if hold.streamed else NOTHING,
        lease=writer.clock(hold.lease_until),
        lapsed=hold.lapsed,
    )
