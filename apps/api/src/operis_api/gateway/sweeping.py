"""Resolving the holds of calls whose process died: delivered tokens are charged once, the rest is released."""

from datetime import UTC, datetime
from fractions import Fraction
from uuid import UUID

import msgspec
import structlog

from operis_api.catalog.offers import resolve_price
from operis_api.catalog.pricing import Meters, Price, charge, upstream_cost
from operis_api.kit.crashing import crash_here
from operis_api.kit.sessions import Sessions
from operis_api.ledger.holds import Holds, LapsedHold, Settlement
from operis_db.catalog import Price as PriceRow

SWEEP_MAX = 200
log = structlog.get_logger()


async def sweep_lapsed_holds(holds: Holds, sessions: Sessions) -> int:
    """Settle lapsed holds by their last checkpoint; returns how many. Safe in any number of processes."""
    lapsed = await holds.list_lapsed(limit=SWEEP_MAX)
    swept = 0
    for hold in lapsed:
        async with sessions() as session:
            row = await session.get(PriceRow, hold.price_id)
        assert row is not None, "prices are never deleted"
        crash_here("before_sweep")
        settled = await holds.settle(_settlement(hold, resolve_price(row)))
        crash_here("after_sweep")
        swept += settled.first
        log.warning("hold_swept", hold_id=str(hold.id), first=settled.first, charged_nano=settled.charged_nano)
    return swept


def _settlement(hold: LapsedHold, price: Price) -> Settlement:
    """Charge the prompt and what was delivered; a call of which nothing was delivered costs nothing."""
    delivered = hold.output_tokens > 0
    usage = Meters(input=hold.prompt_tokens, output=hold.output_tokens, per_request=1) if delivered else Meters()
    multiplier = Fraction(hold.multiplier_numerator, hold.multiplier_denominator)
    no_upstream: UUID | None = None
    return Settlement(
        organization_id=hold.organization_id,
        hold_id=hold.id,
        outcome="interrupted",
        # An estimate must not reach beyond what was held: that would be booked as the upstream's doing.
        charge_nano=min(charge(price, usage, multiplier), hold.amount_nano),
        cost_nano=upstream_cost(price, usage),
        upstream_id=no_upstream,
        http_status=200 if delivered else 500,
        finish_reason=None,
        estimated=delivered,
        latency_ms=round((datetime.now(UTC) - hold.created_at).total_seconds() * 1000),
        first_token_ms=None,
        attempts=[],
        only_lapsed=True,
        **msgspec.structs.asdict(usage),
    )
