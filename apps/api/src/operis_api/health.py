"""Whether the process lives, whether it can serve, and its figures."""

from typing import cast

import msgspec
from litestar import Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from operis_api.kit.draining import Draining, ShuttingDown
from operis_api.kit.errors import NotFound, Unavailable
from operis_api.kit.sessions import Sessions
from operis_api.migrating import newest_revision
from operis_api.settings import Settings
from operis_api.version import VERSION


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    environment: str
    version: str
    registration: str


@get("/healthz", opt={"public": True}, operation_id="get_health", tags=["health"])
async def get_health() -> dict[str, str]:
    """Answer while the process lives; asks nobody else."""
    return {"status": "ok"}


@get("/readyz", opt={"public": True}, operation_id="get_readiness", tags=["health"])
async def get_readiness(state: State) -> Ready:
    """Answer 200 when the database answers and has this version's migrations; 503 otherwise, and before a stop."""
    if cast("Draining", state["draining"]).begun:
        raise ShuttingDown
    try:
        async with cast("Sessions", state["sessions"])() as session:
            revision = await session.scalar(text("SELECT version_num FROM alembic_version"))
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable from error
    if revision is None or revision < newest_revision():
        raise Unavailable
    settings = cast("Settings", state["settings"])
    return Ready(
        status="ready",
        environment=settings.environment,
        version=VERSION,
        registration=settings.registration,
    )


@get("/metrics", opt={"public": True}, operation_id="get_metrics", tags=["health"], media_type="text/plain")
async def get_metrics(state: State) -> Response[bytes]:
    """Return the process's figures in Prometheus' text form, where the operator opened them."""
    if not cast("Settings", state["settings"]).metrics_exposed:
        raise NotFound("The figures are not open here; the operator can set OPERIS_METRICS=1.")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
