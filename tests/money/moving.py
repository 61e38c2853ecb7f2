"""Moving money as the API's own code does, without HTTP: the hot path's batches, and the ledger's functions."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import async_sessionmaker

from operis_api.kit.ids import new_id, time_of
from operis_api.kit.sessions import Sessions, create_engine
from operis_api.ledger.holds import HoldRequest, Holds, Settlement
from operis_api.ledger.postings import Movement, credit_wallet
from operis_api.migrating import APP_ROLE
from tests.factories import Account
from tests.running import NANO_MODEL, NANO_PRICE, Database

CUTTING = 5_031_978_203
"""The advisory lock of whoever cuts blocks."""
LAPSE = (
    "UPDATE holds h SET lease_until = x.past, seal = seal_hold(h, x.past, h.output_tokens)"
    " FROM (SELECT now() - interval '1 second' AS past) x WHERE true"
)
"""Lets a minute pass for holds that nobody renews: all, or those that a condition behind it says."""
GIFT = Movement(kind="gift", account="promotions", reason="for a test", actor_id=None)


@asynccontextmanager
async def open_holds(database: Database) -> AsyncGenerator[Holds]:
    holds = Holds(database.app_url, APP_ROLE)
    try:
        yield holds
    finally:
        await holds.close()


async def hold_request(
    database: Database, account: Account, *, quote_nano: int, floor_nano: int | None = None
) -> HoldRequest:
    rows = await database.fetch("SELECT version FROM catalog_version")
    return new_hold(
        UUID(account.organization_id),
        UUID(account.user_id),
        quote_nano=quote_nano,
        floor_nano=quote_nano if floor_nano is None else floor_nano,
        catalog_version=rows[0]["version"],
    )


def settlement(request: HoldRequest, *, charge_nano: int) -> Settlement:
    """Return the settlement of a call that used a token for each nanocredit."""
    return Settlement(
        organization_id=request.organization_id,
        hold_id=request.hold_id,
        outcome="completed",
        charge_nano=charge_nano,
        cost_nano=None,
        upstream_id=None,
        http_status=200,
        finish_reason="stop",
        estimated=False,
        input=charge_nano,
        cached_input=0,
        cache_write_5m=0,
        cache_write_1h=0,
        output=0,
        reasoning=0,
        audio_input=0,
        audio_output=0,
        image=0,
        per_request=0,
        latency_ms=1,
        first_token_ms=None,
        attempts=[],
    )


@asynccontextmanager
async def open_sessions(database: Database) -> AsyncGenerator[Sessions]:
    """Yield sessions with the application's rights."""
    engine = create_engine(database.app_url, APP_ROLE)
    try:
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


async def give(
    database: Database, account: Account, amount_nano: int, *, source: str = "bonus", ends: str | None = "1 hour"
) -> UUID:
    """Put a grant into the wallet that ends after so long (None: never); returns its id."""
    rows = await database.fetch("SELECT clock_timestamp() + $1::text::interval AS ends", ends)
    async with open_sessions(database) as sessions, sessions.begin() as session:
        return await credit_wallet(
            session,
            UUID(account.organization_id),
            GIFT,
            amount_nano=amount_nano,
            source=source,
            expires_at=rows[0]["ends"],
        )


async def end_grant(database: Database, grant_id: UUID, *, ago: str = "0 seconds") -> None:
    """Let so much time pass that the grant has been over for so long.

    The chain seals the end of a grant: blocks from that one on are taken off, and cut again by the job.
    """
    connection = await asyncpg.connect(database.superuser_url)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", CUTTING)
        await connection.execute(
            "UPDATE grants SET expires_at = clock_timestamp() - $2::text::interval WHERE id = $1", grant_id, ago
        )
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "DELETE FROM ledger_blocks WHERE high > (SELECT min(written) FROM postings WHERE $1 = ANY (grant_ids))",
            grant_id,
        )
        await connection.execute("DELETE FROM ledger_checks")
    await connection.close()


async def run_expiry(database: Database) -> int:
    """Run the job's function as the application would; returns how many expiries it posted."""
    connection = await asyncpg.connect(database.app_url, server_settings={"role": APP_ROLE})
    try:
        return int(await connection.fetchval("SELECT expire_grants(500)"))
    finally:
        await connection.close()


async def entries_of(database: Database, account: Account) -> list[tuple[str, str, int, int | None]]:
    """Return the wallet's postings in their order: kind, account, amount, and the balance after wallet lines."""
    rows = await database.fetch(
        """
        SELECT p.kind, e.account, e.amount_nano, e.balance_after_nano
        FROM entries e JOIN postings p ON p.organization_id = e.organization_id AND p.id = e.posting_id
        JOIN entries w ON w.organization_id = e.organization_id AND w.posting_id = e.posting_id AND w.account = 'wallet'
        WHERE e.organization_id = $1 ORDER BY w.sequence, e.account DESC
        """,
        UUID(account.organization_id),
    )
    return [(row["kind"], row["account"], row["amount_nano"], row["balance_after_nano"]) for row in rows]


async def open_account(connection: asyncpg.Connection, *, window_nano: int = 0) -> tuple[UUID, UUID]:
    """Make an organization with an empty wallet on a plan of its own, as a superuser; returns it and its owner."""
    plan, user, organization = new_id(), new_id(), new_id()
    await connection.execute(
        "INSERT INTO plans (id, name, free_window_nano, free_window_seconds) VALUES ($1, $2, $3, $4)",
        plan,
        f"Plan {plan}",
        window_nano,
        5 * 3600 if window_nano else 0,
    )
    await connection.execute(
        "INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, 'Model', '')", user, f"{user}@example.com"
    )
    await connection.execute(
        "INSERT INTO organizations (id, name, plan_id, owner_id) VALUES ($1, 'Model', $2, $3)", organization, plan, user
    )
    await connection.execute(
        "INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, $2, 'owner')", organization, user
    )
    await connection.execute("INSERT INTO wallets (organization_id) VALUES ($1)", organization)
    return organization, user


def new_hold(organization: UUID, user: UUID, *, quote_nano: int, floor_nano: int, catalog_version: int) -> HoldRequest:
    hold_id = new_id()
    return HoldRequest(
        hold_id=hold_id,
        created_at=time_of(hold_id),
        organization_id=organization,
        user_id=user,
        key_id=None,
        key_version=None,
        session_id=None,
        model_id=NANO_MODEL,
        price_id=NANO_PRICE,
        catalog_version=catalog_version,
        quote_nano=quote_nano,
        floor_nano=floor_nano,
        streamed=False,
        prompt_tokens=1,
        client_address=None,
        client_agent=None,
    )
