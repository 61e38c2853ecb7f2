"""Which upstreams may be called now: a breaker for each, a rest for each credential that was limited or refused.

Its one rule: what a process saw fail it spares, for a while that grows, and lets one call try before all do.
"""

import random
import time
from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from operis_api.catalog.offers import Credential, Route
from operis_api.gateway.errors import UpstreamBusy
from operis_api.gateway.upstreams import AttemptFailed

FAILURES_MAX = 5
"""In a row, then the upstream rests."""
REST_SECONDS = 10.0
REST_SECONDS_MAX = 300.0
TRIAL_SECONDS = 30.0
"""How long the one call that tries after a rest keeps the others away, if nothing is heard of it."""
REFUSED_REST_SECONDS = 60.0
"""Of a credential that the provider does not take, or whose account is empty."""
SHARE_KEPT = 0.95
SHARE_MIN = 0.05
_CREDENTIAL_REFUSED = {401, 402, 403}
log = structlog.get_logger()


class Circuit(msgspec.Struct):
    """What this process knows of one upstream. Times are of the monotonic clock."""

    failures: int = 0
    """In a row."""
    rests: int = 0
    """In a row; each is twice as long."""
    resting_until: float = 0.0
    trial_until: float = 0.0
    success_share: float = 1.0
    """Of calls lately; weighs its upstream among others of the same priority."""
    last_error: str | None = None
    last_error_at: float | None = None
    """On the wall clock."""
    changed: bool = False
    """Since it was last written down."""


class Health:
    """The circuits and resting credentials of one process."""

    def __init__(self) -> None:
        self.circuits: dict[UUID, Circuit] = {}
        self._credentials_rest_until: dict[UUID, float] = {}

    def choose(self, groups: Sequence[Sequence[Route]], tried: Sequence[Route]) -> Route | None:
        """Return the next route to try, with the credential to use; None where all were tried.

        Groups come in their order, within one priority and a throw that favours weight and success. Those that rest
        are left out, unless all do: then the first to be well is tried all the same, because its own refusal says
        more than ours could. After a failure another upstream comes before another credential of the same.
        """
        now = time.monotonic()
        ready = [route for group in groups for route in self._order(group, now)]
        if not ready:
            routes = sorted((route for group in groups for route in group), key=lambda one: self._wait(one, now))
            ready = [self._with_credential(route, now) for route in routes]
        failed = {route.upstream_id for route in tried}
        untried = [route for route in ready if not any(_same(route, other) for other in tried)]
        return min(untried, key=lambda route: route.upstream_id in failed, default=None)

    def begin(self, route: Route) -> None:
        """Note that a call goes out: after a rest it is the trial, and others wait for what becomes of it."""
        circuit = self.circuits.get(route.upstream_id)
        if circuit is not None and circuit.rests:
            circuit.trial_until = time.monotonic() + TRIAL_SECONDS

    def note_success(self, route: Route) -> None:
        circuit = self.circuits.get(route.upstream_id)
        if circuit is None:
            return
        if circuit.rests:
            log.info("upstream_recovered", upstream=route.upstream_name)
            circuit.changed = True
        circuit.failures = circuit.rests = 0
        circuit.resting_until = circuit.trial_until = 0.0
        circuit.success_share = circuit.success_share * SHARE_KEPT + (1 - SHARE_KEPT)

    def note_failure(self, route: Route, failure: AttemptFailed) -> None:
        """Let the credential rest where it was limited or refused, the upstream where it fails again and again."""
        now = time.monotonic()
        status = failure.status
        if isinstance(failure.refusal, UpstreamBusy):
            self._credentials_rest_until[route.credential.id] = now + (failure.refusal.retry_after_seconds or 1)
        elif status in _CREDENTIAL_REFUSED or (status == 400 and failure.retryable):
            self._credentials_rest_until[route.credential.id] = now + REFUSED_REST_SECONDS
            log.error("upstream_credential_refused", upstream=route.upstream_name, status=status)
        elif status is not None and 300 <= status < 500 and status != 408:
            return  # it answers; what it said concerns the request or the model
        circuit = self.circuits.setdefault(route.upstream_id, Circuit())
        circuit.last_error, circuit.last_error_at, circuit.changed = failure.note, time.time(), True
        circuit.trial_until = 0.0
        if self._credential_wait(route.credential, now) > 0:
            return
        circuit.failures += 1
        circuit.success_share *= SHARE_KEPT
        if circuit.failures >= FAILURES_MAX or circuit.rests:
            rest = min(REST_SECONDS * 2**circuit.rests, REST_SECONDS_MAX)
            circuit.resting_until = now + rest
            circuit.rests += 1
            log.error("upstream_rests", upstream=route.upstream_name, seconds=rest, failures=circuit.failures)

    def _order(self, routes: Sequence[Route], now: float) -> list[Route]:
        ready = [self._with_credential(route, now) for route in routes if self._wait(route, now) <= 0]
        return ready if len(ready) < 2 else sorted(ready, key=lambda route: (route.priority, self._throw(route)))

    def _wait(self, route: Route, now: float) -> float:
        """Return for how long the upstream rests yet, or all of its credentials do."""
        circuit = self.circuits.get(route.upstream_id)
        own = max(circuit.resting_until, circuit.trial_until) - now if circuit else 0.0
        return max(own, min(self._credential_wait(credential, now) for credential in route.credentials))

    def _with_credential(self, route: Route, now: float) -> Route:
        """Return the route with a credential that does not rest, by a throw among them."""
        if len(route.credentials) == 1:
            return route
        ready = [credential for credential in route.credentials if self._credential_wait(credential, now) <= 0]
        chosen = random.choice(ready or route.credentials)  # noqa: S311  # spreads load, hides nothing
        return msgspec.structs.replace(route, credential=chosen)

    def _throw(self, route: Route) -> float:
        circuit = self.circuits.get(route.upstream_id)
        share = max(circuit.success_share, SHARE_MIN) if circuit else 1.0
        return -(random.random() ** (1 / (route.weight * share)))  # noqa: S311  # the greatest goes first

    def _credential_wait(self, credential: Credential, now: float) -> float:
        return self._credentials_rest_until.get(credential.id, 0.0) - now


def _same(route: Route, other: Route) -> bool:
    return (route.upstream_id, route.upstream_model, route.credential.id) == (
        other.upstream_id,
        other.upstream_model,
        other.credential.id,
    )
