"""One admitted call: its upstream attempts, its progress, and the one settlement that ends it."""

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import structlog

from operis_api.catalog.offers import Route
from operis_api.catalog.pricing import Meters, charge, upstream_cost
from operis_api.gateway.admission import Admitted
from operis_api.gateway.dialects import Dialect, GatewayRequest, Meter
from operis_api.gateway.errors import UpstreamFailed
from operis_api.gateway.live import LiveCalls
from operis_api.gateway.upstreams import AttemptFailed
from operis_api.gateway.upstreams.health import Health
from operis_api.kit.crashing import crash_here
from operis_api.kit.errors import DomainError
from operis_api.ledger.holds import Attempt, Holds, Rates, Settled, Settlement

ATTEMPTS_MAX = 2
MINUTE_SECONDS = 60
"""After so long, all of a limit per minute is there again."""
log = structlog.get_logger()


class Call:
    """An admitted call. Leaving its context settles what is not settled: nothing was charged then."""

    def __init__(
        self, request: GatewayRequest, admitted: Admitted, holds: Holds, live: LiveCalls, health: Health
    ) -> None:
        self.request = request
        self.admitted = admitted
        self.refusal: DomainError = UpstreamFailed("The model's provider failed. Nothing was charged; try again.")
        self.first_token_at: float | None = None
        self._holds = holds
        self._lives = live
        self._health = health
        self.live = live.add(admitted.caller, admitted.hold_id)
        self._began_at = admitted.began_at
        self._attempt_began_at = self._began_at
        self._attempts: list[Attempt] = []
        self._route: Route | None = None
        self._settled = False
        self.charged = False
        """Whether it was, or may have been."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if not self._settled:
                status = error.status if isinstance(error, DomainError) else 500
                await asyncio.shield(self.void(type(error).__name__ if error else "not settled", status))
        finally:
            self._lives.remove(self.live)

    @property
    def headers(self) -> dict[str, str]:
        limit = self.admitted.output_limit
        lowered = {"x-operis-max-output-tokens": str(limit)} if self.admitted.lowered and limit is not None else {}
        return {
            "x-operis-request-id": str(self.admitted.hold_id),
            **lowered,
            **_rate_headers(self.request.dialect, self.admitted.rates),
            **self.admitted.caller.announcements,  # of a rotation that this process may have learned of at admission
        }

    async def routes(self) -> AsyncIterator[Route]:
        """Yield the upstreams to try, at most two, until a failure that another one would only repeat."""
        groups = self.admitted.forms.group_routes(self.admitted.offer)
        tried: list[Route] = []
        while len(tried) < ATTEMPTS_MAX and (route := self._health.choose(groups, tried)) is not None:
            tried.append(route)
            self._route = route
            self._attempt_began_at = time.monotonic()
            self._health.begin(route)
            yield route
            if self._attempts and not self._attempts[-1].retryable:
                return

    def error_event(self, error: DomainError) -> bytes:
        return self.request.dialect.error_event(error, str(self.admitted.hold_id))

    def note_failure(self, failure: AttemptFailed) -> None:
        # Providers quote prompts in their errors: their words are for the request's record, not for the log.
        note = failure.note if failure.status is None else f"HTTP {failure.status}"
        log.warning("attempt_failed", request_id=str(self.admitted.hold_id), note=note)
        self.refusal = failure.refusal
        assert self._route is not None
        self._health.note_failure(self._route, failure)
        self._note_attempt(failure.status, failure.note, retryable=failure.retryable)

    def note_success(self) -> None:
        assert self._route is not None
        self._health.note_success(self._route)
        self._note_attempt(200, None, retryable=False)

    def note_break(self, meter: Meter, failure: AttemptFailed | None) -> None:
        """Note that the answer broke off after it had begun; what it had reported by then the upstream may ask for."""
        assert self._route is not None
        note = failure.note if failure else "its answer broke off"
        self._health.note_failure(self._route, AttemptFailed(UpstreamFailed(), note=note))
        self._attempts[-1].error = note
        self._note_usage(meter)

    def deliver(self, output_tokens: int) -> None:
        """Note that tokens went to the client."""
        if self.first_token_at is None:
            self.first_token_at = time.monotonic()
        self._lives.note_progress(self.live, output_tokens)

    def expect_charge(self, meter: Meter) -> int:
        """Return what settling will charge, in nanocredits: never more than was held."""
        return min(charge(self.admitted.price, meter.usage, self.admitted.multiplier), self.admitted.held_nano)

    async def settle(self, outcome: str, meter: Meter) -> Settled:
        """Charge the call for what it used."""
        usage, price = meter.usage, self.admitted.price
        self._note_usage(meter)
        settled = await self._settle(
            outcome=outcome,
            usage=usage,
            charge_nano=charge(price, usage, self.admitted.multiplier),
            cost_nano=upstream_cost(price, usage),
            http_status=200,
            finish_reason=meter.finish_reason,
            estimated=meter.reported is None,
        )
        if settled.loss_nano:
            log.error("platform_loss", request_id=str(self.admitted.hold_id), loss_nano=settled.loss_nano)
        return settled

    async def void(self, why: str, http_status: int) -> None:
        """Release the hold: nothing is charged."""
        log.info("call_voided", request_id=str(self.admitted.hold_id), why=why)
        await self._settle(
            outcome="failed",
            usage=Meters(),
            charge_nano=0,
            cost_nano=0,
            http_status=http_status,
            finish_reason=None,
            estimated=False,
        )

    def _note_usage(self, meter: Meter) -> None:
        attempt = self._attempts[-1]
        if meter.reported is not None:
            attempt.usage = {name: count for name, count in msgspec.structs.asdict(meter.reported).items() if count}
        attempt.cost_nano = upstream_cost(self.admitted.price, meter.usage)

    async def _settle(
        self,
        *,
        outcome: str,
        usage: Meters,
        charge_nano: int,
        cost_nano: int | None,
        http_status: int,
        finish_reason: str | None,
        estimated: bool,
    ) -> Settled:
        self._settled = True
        self.charged = outcome != "failed"
        now = time.monotonic()
        crash_here("before_settle")
        settled = await self._holds.settle(
            Settlement(
                organization_id=self.admitted.caller.organization_id,
                hold_id=self.admitted.hold_id,
                outcome=outcome,
                charge_nano=charge_nano,
                cost_nano=cost_nano,
                upstream_id=self._route.upstream_id if self._route else None,
                http_status=http_status,
                finish_reason=finish_reason,
                estimated=estimated,
                latency_ms=round((now - self._began_at) * 1000),
                first_token_ms=round((self.first_token_at - self._began_at) * 1000) if self.first_token_at else None,
                attempts=self._attempts,
                **msgspec.structs.asdict(usage),
            )
        )
        crash_here("after_settle")
        if not settled.first:
            charged = min(charge_nano, self.admitted.held_nano)
            return Settled(first=False, charged_nano=charged)
        return settled

    def _note_attempt(self, status: int | None, error: str | None, *, retryable: bool) -> None:
        assert self._route is not None
        self._attempts.append(
            Attempt(
                upstream=self._route.upstream_name,
                upstream_id=self._route.upstream_id,
                upstream_model=self._route.upstream_model,
                status=status,
                error=error,
                latency_ms=round((time.monotonic() - self._attempt_began_at) * 1000),
                retryable=retryable,
            )
        )


def _rate_headers(dialect: Dialect, rates: Rates | None) -> dict[str, str]:
    """Return what is left of the limits per minute, by the dialect's names."""
    headers: dict[str, str] = {}
    if rates is not None:
        for unit, limit, left in (
            ("requests", rates.rpm, rates.requests_left),
            ("tokens", rates.tpm, rates.tokens_left),
        ):
            if limit is not None:
                headers |= dialect.rate_headers(unit, limit, left or 0, MINUTE_SECONDS)
    return headers
