"""A ledger that is already large: wallets and charges written by sets, and as consistent as those of real calls."""

from uuid import UUID

import asyncpg
from tests.running import NANO_MODEL, NANO_PRICE

from operis_api.kit.ids import new_id

GIFT_NANO = 10**15
CHUNK = 250_000

_WALLETS = """
WITH opened AS MATERIALIZED (
    SELECT new_id() AS organization, new_id() AS owner, new_id() AS gift FROM generate_series(1, $1)
), users AS (
    INSERT INTO users (id, email, name, password_hash)
    SELECT owner, owner || '@example.com', 'Bench', '' FROM opened
), organizations AS (
    INSERT INTO organizations (id, name, plan_id, owner_id) SELECT organization, 'Bench', $2, owner FROM opened
), memberships AS (
    INSERT INTO memberships (organization_id, user_id, role) SELECT organization, owner, 'owner' FROM opened
), wallets AS (
    INSERT INTO wallets (organization_id, available_nano, sequence) SELECT organization, $3, 1 FROM opened
), grants AS (
    INSERT INTO grants (organization_id, id, source, priority, amount_nano, remaining_nano)
    SELECT organization, gift, 'paid', 50, $3, $3 FROM opened
), postings AS (
    INSERT INTO postings (organization_id, id, kind, grant_ids, grant_amounts_nano)
    SELECT organization, gift, 'gift', ARRAY[gift], ARRAY[$3] FROM opened
), entries AS (
    INSERT INTO entries (organization_id, posting_id, account, amount_nano, sequence, balance_after_nano)
    SELECT organization, gift, 'wallet', $3, 1, $3 FROM opened
    UNION ALL SELECT organization, gift, 'promotions', -$3, NULL, NULL FROM opened
)
SELECT organization, owner FROM opened
"""
# Charges of one nanocredit each, dealt out to the wallets in turn.
_CHARGES = """
WITH dealt AS MATERIALIZED (
    SELECT w.organization_id, g.id AS grant_id, o.owner_id, new_id() AS id, w.sequence + n AS sequence,
        w.available_nano - n AS balance
    FROM wallets w
    JOIN organizations o ON o.id = w.organization_id
    JOIN grants g ON g.organization_id = w.organization_id
    CROSS JOIN generate_series(1, $2::bigint) AS n
    WHERE w.organization_id = ANY ($1)
), postings AS (
    INSERT INTO postings (organization_id, id, kind) SELECT organization_id, id, 'charge' FROM dealt
), entries AS (
    INSERT INTO entries (organization_id, posting_id, account, amount_nano, sequence, balance_after_nano)
    SELECT organization_id, id, 'wallet', -1, sequence, balance FROM dealt
    UNION ALL SELECT organization_id, id, 'revenue', 1, NULL, NULL FROM dealt
), records AS (
    INSERT INTO usage_records (organization_id, created_at, id, settled_at, user_id, model_id, price_id, outcome,
        http_status, streamed, estimated, input, cached_input, cache_write_5m, cache_write_1h, output, reasoning,
        audio_input, audio_output, image, per_request, hold_nano, charge_nano, loss_nano, grant_ids, grant_amounts_nano,
        latency_ms, attempts)
    SELECT organization_id, moment_of(id), id, now(), owner_id, $4, $3, 'completed', 200, false, false, 1, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 1, 1, 0, ARRAY[grant_id], ARRAY[1], 1, '[]' FROM dealt
), spent AS (
    INSERT INTO spending AS s (organization_id, subject_id, spent_nano, requests, day, day_nano, week, week_nano, month,
        month_nano)
    SELECT organization_id, x.subject, count(*), count(*), z.day, count(*), z.week, count(*), z.month, count(*)
    FROM dealt CROSS JOIN LATERAL (VALUES (owner_id), (organization_id)) AS x (subject)
    CROSS JOIN windows_of(now(), 'UTC') z GROUP BY organization_id, x.subject, z.day, z.week, z.month
    ON CONFLICT (organization_id, subject_id) DO UPDATE
    SET spent_nano = s.spent_nano + excluded.spent_nano, requests = s.requests + excluded.requests,
        day_nano = s.day_nano + excluded.day_nano, week_nano = s.week_nano + excluded.week_nano,
        month_nano = s.month_nano + excluded.month_nano
), burnt AS (
    UPDATE grants SET remaining_nano = remaining_nano - $2 WHERE organization_id = ANY ($1)
)
UPDATE wallets SET available_nano = available_nano - $2, sequence = sequence + $2 WHERE organization_id = ANY ($1)
"""


async def open_wallets(superuser: asyncpg.Connection, count: int) -> list[tuple[UUID, UUID]]:
    """Make organizations with a filled wallet each; returns them with their owners."""
    plan = new_id()
    await superuser.execute("INSERT INTO plans (id, name) VALUES ($1, $2)", plan, f"Plan {plan}")
    rows = await superuser.fetch(_WALLETS, count, plan, GIFT_NANO)
    return [(row["organization"], row["owner"]) for row in rows]


async def add_charges(superuser: asyncpg.Connection, organizations: list[UUID], each: int) -> None:
    """Charge every one of these wallets so often, past the triggers, which would look at each line."""
    await superuser.execute("SET session_replication_role = replica")
    at_once = max(1, CHUNK // len(organizations))
    for done in range(0, each, at_once):
        await superuser.execute(_CHARGES, organizations, min(at_once, each - done), NANO_PRICE, NANO_MODEL)
    await superuser.execute("RESET session_replication_role")
