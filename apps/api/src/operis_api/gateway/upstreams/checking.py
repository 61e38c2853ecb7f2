"""Asking upstreams how they are, and writing down what calls found: what operators see of their health.

Any number of processes may run this: an upstream is asked by whichever claims its turn.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, update
from sqlalchemy.dialects.postgresql import insert

from operis_api.catalog.offers import Catalog, Route
from operis_api.gateway.upstreams import AttemptFailed
from operis_api.gateway.upstreams.health import Health
from operis_api.gateway.upstreams.http import HttpProtocol
from operis_api.kit.sessions import Sessions
from operis_db.catalog import UpstreamHealth

CHECK_SECONDS = 60
RECORD_SECONDS = 5


async def check_upstreams(sessions: Sessions, catalog: Catalog, protocols: Mapping[str, HttpProtocol]) -> None:
    """Ask each upstream that serves a model for its models, at most once a minute over all processes."""
    await catalog.refresh()
    routes = {route.upstream_id: route for offer in catalog.offers.values() for route in offer.routes}
    for route in routes.values():
        if route.protocol in protocols and await _claim(sessions, route.upstream_id):
            await _check(sessions, route, protocols[route.protocol])


async def record_health(sessions: Sessions, health: Health) -> None:
    """Write down what changed in this process's circuits; seldom anything."""
    for upstream_id, circuit in list(health.circuits.items()):
        if not circuit.changed:
            continue
        circuit.changed = False
        rest = circuit.resting_until - time.monotonic()
        facts = {
            "resting_until": datetime.now(UTC) + timedelta(seconds=rest) if rest > 0 else None,
            "failures": circuit.failures,
            "last_error": circuit.last_error,
            "last_error_at": datetime.fromtimestamp(circuit.last_error_at, UTC) if circuit.last_error_at else None,
        }
        async with sessions.begin() as session:
            await session.execute(
                insert(UpstreamHealth)
                .values(upstream_id=upstream_id, **facts)
                .on_conflict_do_update(index_elements=["upstream_id"], set_=facts)
            )


async def _claim(sessions: Sessions, upstream_id: UUID) -> bool:
    """Take this upstream's turn; False where another process had it within the minute."""
    stale = UpstreamHealth.checked_at < func.now() - timedelta(seconds=CHECK_SECONDS - 5)
    statement = (
        insert(UpstreamHealth)
        .values(upstream_id=upstream_id, checked_at=func.now())
        .on_conflict_do_update(
            index_elements=["upstream_id"],
            set_={"checked_at": func.now()},
            where=or_(UpstreamHealth.checked_at.is_(None), stale),
        )
        .returning(UpstreamHealth.upstream_id)
    )
    async with sessions.begin() as session:
        return await session.scalar(statement) is not None


async def _check(sessions: Sessions, route: Route, protocol: HttpProtocol) -> None:
    began_at = time.monotonic()
    error: str | None = None
    try:
        await protocol.list_models(route.base_url, route.credential.api_key)
    except AttemptFailed as failure:
        error = failure.note.replace(route.credential.api_key, "[removed]")
    latency_ms = round((time.monotonic() - began_at) * 1000)
    async with sessions.begin() as session:
        await session.execute(
            update(UpstreamHealth)
            .where(UpstreamHealth.upstream_id == route.upstream_id)
            .values(check_ok=error is None, check_latency_ms=latency_ms, check_error=error)
        )
