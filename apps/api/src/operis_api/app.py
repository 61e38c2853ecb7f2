"""The application: what it is made of, in the order in which it is put together."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from litestar import Litestar, Response, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.types import ASGIApp
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import async_sessionmaker

from operis_api import health, openapi, reference
from operis_api.access.identity import IdentityMiddleware, provide_identity, require_permission
from operis_api.accounts import explaining
from operis_api.accounts import routes as accounts
from operis_api.accounts.registering import CLAIM_KEY
from operis_api.admin import routes as admin
from operis_api.catalog import routes as models
from operis_api.catalog.offers import Catalog
from operis_api.credentials.passkeys import party_of
from operis_api.credentials.second_factors import Safe
from operis_api.gateway import routes as gateway
from operis_api.gateway.admission import Admissions
from operis_api.gateway.bodies import Bodies
from operis_api.gateway.chat import Chat
from operis_api.gateway.door import answer_gateway_error
from operis_api.gateway.live import LiveCalls
from operis_api.gateway.upstreams import Protocolled
from operis_api.gateway.upstreams.anthropic import AnthropicProtocol
from operis_api.gateway.upstreams.echo import EchoProtocol
from operis_api.gateway.upstreams.health import Health
from operis_api.gateway.upstreams.http import HttpProtocol, Patience
from operis_api.gateway.upstreams.openai import OpenAiProtocol
from operis_api.gateway.watching import Watch
from operis_api.jobs import list_jobs, list_people_jobs, run_job
from operis_api.keys import routes as keys
from operis_api.keys.authentication import KeyRing
from operis_api.keys.leaks import routes as leaks
from operis_api.keys.secret import Peppers
from operis_api.keys.uses import KeyUses
from operis_api.kit.browsers import Browsers
from operis_api.kit.crashing import arm_crash
from operis_api.kit.draining import Draining, ShuttingDown
from operis_api.kit.encryption import Vault
from operis_api.kit.listening import listen
from operis_api.kit.logging import configure_logging
from operis_api.kit.middleware import Edge
from operis_api.kit.origin import AnyRequest
from operis_api.kit.problems import answer_problem, as_refusal
from operis_api.kit.sessions import create_engine, provide_session
from operis_api.kit.tokens import TokenSigner
from operis_api.leaving import routes as leaving
from operis_api.ledger import routes as wallet
from operis_api.ledger.holds import Holds
from operis_api.mail import routes as mailbox
from operis_api.mail.delivering import choose_delivery
from operis_api.mail.outbox import Outbox
from operis_api.migrating import APP_ROLE
from operis_api.oidc import routes as oidc
from operis_api.oidc.providers import Providers
from operis_api.organizations import routes as organizations
from operis_api.organizations import team_routes
from operis_api.settings import SettingError, Settings, read_settings
from operis_api.signing_in import impersonation_routes, passkey_routes, second_factor_routes, session_routes
from operis_api.signing_in import routes as signing_in
from operis_api.throttling.throttles import Throttles
from operis_api.usage import routes as usage

BODY_BYTES_MAX = 1024 * 1024
"""Of the management API; the gateway has its own limit."""

api_router = Router(
    "/api/v1",
    route_handlers=[
        accounts.auth_router,
        accounts.me_router,
        leaving.router,
        organizations.router,
        team_routes.accepting_router,
        signing_in.router,
        session_routes.router,
        impersonation_routes.router,
        second_factor_routes.router,
        passkey_routes.sign_in_router,
        passkey_routes.router,
        oidc.sign_in_router,
        oidc.router,
        mailbox.router,
        leaks.report_leaks,
        keys.router,
        wallet.router,
        usage.router,
        explaining.router,
        models.router,
        admin.router,
    ],
    middleware=[DefineMiddleware(IdentityMiddleware, exclude_from_auth_key="public")],
    guards=[require_permission],
    dependencies={"identity": Provide(provide_identity)},
    security=[{"accessToken": []}],
)


def create_app(settings: Settings | None = None) -> ASGIApp:
    """Return the API for uvicorn, which calls this as a factory; settings come from the environment unless given."""
    chosen = settings or read_settings()
    configure_logging(production=chosen.production)
    return Edge(
        Browsers(create_litestar(chosen), origins=chosen.cors_origins),
        trusted_proxies=chosen.trusted_proxies,
        https=chosen.public_api_url.startswith("https://"),
    )


def create_litestar(settings: Settings) -> Litestar:
    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        async with run_parts(app, settings):
            yield

    return Litestar(
        route_handlers=[
            health.get_health,
            health.get_readiness,
            health.get_metrics,
            openapi.get_openapi,
            reference.get_reference,
            reference.get_reference_script,
            gateway.create_chat_completion,
            gateway.create_response,
            gateway.create_embedding,
            gateway.create_message,
            gateway.count_message_tokens,
            gateway.list_gateway_models,
            gateway.get_gateway_model,
            gateway.get_calling_key,
            api_router,
        ],
        dependencies={"session": Provide(provide_session)},
        exception_handlers={Exception: answer_error, HTTPException: answer_error},
        lifespan=[lifespan],
        openapi_config=openapi.config,
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
    )


def answer_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Answer any error in the caller's dialect: the gateway's envelopes under /v1, a problem everywhere else."""
    refusal = as_refusal(request, error)
    if request.url.path.startswith("/v1/"):
        return answer_gateway_error(request, refusal)
    return answer_problem(request, refusal)


@asynccontextmanager
async def run_parts(app: Litestar, settings: Settings) -> AsyncGenerator[None]:
    """Make everything that owns connections, run the jobs beside the requests, and close it all in order."""
    if settings.database_url is None:
        raise SettingError("DATABASE_URL is not set; `operis up` starts an embedded PostgreSQL and sets it.")
    if settings.crash_at is not None:
        arm_crash(*settings.crash_at)
    engine = create_engine(settings.database_url, APP_ROLE)
    vault = Vault(*settings.derive_keys("vault"))
    sessions = async_sessionmaker(engine, expire_on_commit=False, info={"vault": vault})
    signer = TokenSigner(settings.derive_key("access-token"), settings.derive_key("refresh-token"))
    peppers = Peppers(settings.derive_keys("api-key-pepper"))
    uses = KeyUses(sessions)
    catalog = Catalog(sessions, vault, echo_enabled=settings.echo_enabled)
    keyring = KeyRing(
        sessions,
        signer,
        peppers,
        uses,
        vault=vault,
        operators_need_second_factor=settings.operators_need_second_factor,
    )
    holds = Holds(settings.database_url, APP_ROLE)
    live = LiveCalls(holds)
    throttles = Throttles(sessions, lenient=not settings.production)
    upstream_health = Health()
    watch = Watch(live, sessions)
    draining = Draining(
        notice_seconds=settings.drain_seconds,
        graceful_seconds=settings.graceful_seconds,
        end=lambda: live.end_all(ShuttingDown()),
    )
    draining.stand_before(uvicorn.Server)
    networks = settings.upstream_allowed_networks
    patience = Patience(
        connect_seconds=settings.upstream_connect_seconds,
        answer_seconds=settings.upstream_answer_seconds,
        idle_seconds=settings.upstream_idle_seconds,
        total_seconds=settings.upstream_total_seconds,
    )
    over_http: dict[str, HttpProtocol] = {
        "openai": OpenAiProtocol(networks, patience),
        "anthropic": AnthropicProtocol(networks, patience),
    }
    providers = Providers(
        settings.identity_providers,
        networks=networks,
        redirect_uri=f"{settings.public_dashboard_url}/provider",
        https_only=settings.production,
    )
    protocols: dict[str, Protocolled] = {**over_http, "echo": EchoProtocol()}
    app.state.update(
        settings=settings,
        sessions=sessions,
        vault=vault,
        signer=signer,
        outbox=Outbox(vault, settings.public_dashboard_url),
        throttles=throttles,
        safe=Safe(vault, settings.derive_key("recovery-codes")),
        providers=providers,
        party=party_of(settings.public_dashboard_url),
        claim_key=settings.derive_key(CLAIM_KEY),
        peppers=peppers,
        catalog=catalog,
        keys=keyring,
        protocols=over_http,
        bodies=Bodies(settings.bodies_mebibytes * 1024 * 1024),
        draining=draining,
        chat=Chat(
            Admissions(catalog, keyring, holds),
            holds,
            live,
            upstream_health,
            protocols,
            stream_seconds=settings.upstream_total_seconds,
        ),
    )
    jobs = list_jobs(sessions, holds, uses, upstream_health, catalog, over_http)
    jobs += list_people_jobs(sessions, throttles, vault, choose_delivery(settings), mail_from=settings.mail_from)
    tasks = [asyncio.create_task(run_job(job)) for job in jobs]
    listening = settings.listen_database_url or settings.database_url
    tasks += [
        asyncio.create_task(live.keep_alive()),
        asyncio.create_task(watch.run()),
        asyncio.create_task(listen(listening, APP_ROLE, "operis_rights", watch.tell)),
    ]
    gc.collect()
    gc.freeze()  # what start-up made lives as long as the process: the collector need not look at it again
    gc.set_threshold(50_000, 50, 1_000)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(OSError, SQLAlchemyError):
            await uses.write()
        await holds.close()
        for protocol in over_http.values():
            await protocol.close()
        await providers.close()
        await engine.dispose()
