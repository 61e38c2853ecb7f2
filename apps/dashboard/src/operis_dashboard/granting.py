"""Grants and the free window of a wallet as text: shared by the customers' wallet and the operators' view of it."""

from dataclasses import dataclass
from dataclasses import field as default

from operis_client.models import FreeWindow, Grant
from operis_dashboard.formatting import Shown, Writer, share


@dataclass(frozen=True)
class GrantRow:
    id: str = ""
    source: str = ""
    priority: str = ""
    remaining: Shown = default(default_factory=Shown)
    amount: Shown = default(default_factory=Shown)
    held: Shown = default(default_factory=Shown)
    given: Shown = default(default_factory=Shown)
    expires: Shown = default(default_factory=Shown)
    ends: bool = False
    left: str = "0%"
    """How much of the grant is left, as the length of a bar."""


@dataclass(frozen=True)
class FreeWindowShown:
    remaining: Shown = default(default_factory=Shown)
    amount: Shown = default(default_factory=Shown)
    length: str = ""
    """Empty: the plan has none."""
    resets: Shown = default(default_factory=Shown)
    runs: bool = False


def write_grant(grant: Grant, writer: Writer) -> GrantRow:
    return GrantRow(
        id=grant.id,
        source=grant.source,
        priority=writer.count(grant.priority),
        remaining=writer.money(grant.remaining),
        amount=writer.money(grant.amount),
        held=writer.money(grant.held),
        given=writer.moment(grant.created_at),
        expires=writer.moment(grant.expires_at),
        ends=grant.expires_at is not None,
        left=f"{share(grant.remaining, grant.amount) / 10}%",
    )


def write_free_window(window: FreeWindow | None, writer: Writer) -> FreeWindowShown:
    if window is None:
        return FreeWindowShown()
    return FreeWindowShown(
        remaining=writer.money(window.remaining),
        amount=writer.money(window.amount),
        length=writer.span(window.seconds),
        resets=writer.moment(window.resets_at),
        runs=window.resets_at is not None,
    )
