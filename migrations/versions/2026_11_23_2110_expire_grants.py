"""Let grants end and free windows open: expiry is posted, and place_holds and settle_holds know both.

- A grant is `closed` once nothing is left of it: lists of a wallet's live grants stay short however old the wallet is.
- A posting names the grants it moved, so that what each has left can be proven; a charge's are in its usage record.
- A reversal names the posting that it takes back, which can happen once.
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

from operis_db.scripting import run_script

revision = "2026_11_23_2110"
down_revision = "2026_11_23_2030"
branch_labels = None
depends_on = None

EXPIRY = """
-- A UUIDv7: sorts by the millisecond it was made in.
CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6
    ), 52, 1), 53, 1), 'hex')::uuid
$$;

-- Post the un-held part of each of these wallets' grants that are over; answers how many it posted. The caller has
-- locked the wallets. What a hold still draws on stays, until settle_holds gives it back and calls this again.
CREATE FUNCTION post_expiries(organizations uuid[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    posted integer;
BEGIN
    WITH ended AS MATERIALIZED (
        SELECT g.organization_id, g.id, g.source, new_id() AS posting_id, g.remaining_nano - g.held_nano AS amount,
            row_number() OVER wallet AS nth,
            (sum(g.remaining_nano - g.held_nano) OVER wallet)::bigint AS amount_so_far
        FROM grants g
        WHERE g.organization_id = ANY (organizations) AND NOT g.closed AND g.expires_at <= moment
            AND g.remaining_nano > g.held_nano
        WINDOW wallet AS (PARTITION BY g.organization_id ORDER BY g.expires_at, g.id ROWS UNBOUNDED PRECEDING)
    ), cut AS (
        UPDATE grants g SET remaining_nano = g.held_nano
        FROM ended e WHERE g.organization_id = e.organization_id AND g.id = e.id
    ), taken AS (
        UPDATE wallets w SET available_nano = w.available_nano - t.amount, sequence = w.sequence + t.postings
        FROM (SELECT organization_id, sum(amount)::bigint AS amount, count(*) AS postings FROM ended GROUP BY 1) t
        WHERE w.organization_id = t.organization_id
        RETURNING w.organization_id, w.sequence - t.postings AS sequence_before,
            w.available_nano + w.held_nano + t.amount AS balance_before
    ), said AS (
        INSERT INTO postings (organization_id, id, kind, reason, grant_ids, grant_amounts_nano)
        SELECT organization_id, posting_id, 'expiry', format('%s grant %s ended', source, id), ARRAY[id], ARRAY[-amount]
        FROM ended
    )
    INSERT INTO entries (organization_id, posting_id, account, amount_nano, sequence, balance_after_nano)
        SELECT e.organization_id, e.posting_id, 'wallet', -e.amount, t.sequence_before + e.nth,
            t.balance_before - e.amount_so_far
        FROM ended e JOIN taken t ON t.organization_id = e.organization_id
        UNION ALL
        SELECT organization_id, posting_id, 'expiry', amount, NULL, NULL FROM ended;
    GET DIAGNOSTICS posted = ROW_COUNT;
    RETURN posted / 2;
END $$;

-- Post the expiry of up to so many grants, the longest over first. Wallets that are busy are left for the next turn:
-- until then nobody can draw on what is over, posted or not.
CREATE FUNCTION expire_grants(grants_max integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    locked uuid[];
BEGIN
    SELECT array_agg(organization_id) INTO locked FROM (
        SELECT w.organization_id FROM wallets w
        WHERE w.organization_id IN (
            SELECT g.organization_id FROM grants g
            WHERE NOT g.closed AND g.expires_at <= moment AND g.remaining_nano > g.held_nano
            ORDER BY g.expires_at LIMIT grants_max)
        ORDER BY w.organization_id FOR UPDATE SKIP LOCKED
    ) w;
    RETURN post_expiries(locked);
END $$;
"""

PLACE_HOLDS = """
-- floor_nano is the least hold a call can do with: equal to quote_nano where the caller fixed the output limit.
-- Answers one row for each item; nth is the item's, from 1. decision: held (amount_nano says how much; again for
-- an item that already has its hold), or why not. A refused item consumes nothing and fails nobody.
-- available_nano is what a hold could have drawn on: grants that are over do not count, posted or not; the free
-- window that the call would have opened does. The first call that holds something opens it.
CREATE OR REPLACE FUNCTION place_holds(items json)
RETURNS TABLE (nth bigint, decision text, amount_nano bigint, available_nano bigint, held_nano bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    item record;
    moment timestamptz;
    organization uuid;
    available bigint;
    held bigint;
    grant_ids uuid[];       -- in burn order
    grant_amounts bigint[]; -- what each has free
    grant_at integer;       -- those before this one are used up
    grant_free bigint;      -- what this one has left
    window_nano bigint;     -- of the free window that the next call opens; 0 where one runs, or the plan has none
    wanted bigint;
    undrawn bigint;
    drawn bigint;
    draw_ids uuid[];
    draw_amounts bigint[];
    placed holds[] := '{}';
    opened_organizations uuid[] := '{}';
    opened_ids uuid[] := '{}';
    opened_amounts bigint[] := '{}';
    opened_seconds integer[] := '{}';
BEGIN
    PERFORM FROM wallets WHERE organization_id IN (
        SELECT i.organization_id FROM json_to_recordset(items) AS i (organization_id uuid)
    ) ORDER BY organization_id FOR UPDATE;
    moment := clock_timestamp();

    FOR item IN
        SELECT i.*, w.held_nano AS wallet_held, h.amount_nano AS already_held,
            g.ids AS grant_ids, g.free AS grant_amounts, coalesce(g.total, 0) AS drawable,
            p.free_window_seconds AS window_seconds,
            CASE WHEN p.free_window_nano > 0 AND coalesce((
                SELECT f.expires_at FROM grants f
                WHERE f.organization_id = i.organization_id AND f.window_start IS NOT NULL
                ORDER BY f.window_start DESC LIMIT 1
            ) <= moment, true) THEN p.free_window_nano ELSE 0 END AS window_nano,
            CASE
                WHEN w.organization_id IS NULL OR o.id IS NULL THEN 'organization_unknown'
                WHEN o.status <> 'active' THEN 'organization_suspended'
                WHEN u.status IS DISTINCT FROM 'active' THEN 'user_suspended'
                WHEN m.role IS NULL THEN 'not_a_member'
                WHEN i.key_id IS NOT NULL AND (k.id IS NULL OR k.revoked_at IS NOT NULL) THEN 'key_revoked'
                WHEN k.expires_at <= moment THEN 'key_expired'
                WHEN k.version <> i.key_version THEN 'key_changed'
                WHEN i.session_id IS NOT NULL
                    AND (s.id IS NULL OR s.revoked_at IS NOT NULL OR s.expires_at <= moment) THEN 'session_ended'
                WHEN c.version <> i.catalog_version THEN 'catalog_changed'
            END AS refusal
        FROM ROWS FROM (json_to_recordset(items) AS (
                hold_id uuid, created_at timestamptz, organization_id uuid, user_id uuid, key_id uuid,
                key_version integer, session_id uuid, model_id text, price_id uuid, catalog_version bigint,
                quote_nano bigint, floor_nano bigint, lease_seconds integer, streamed boolean, prompt_tokens bigint,
                client_address text, client_agent text)) WITH ORDINALITY
            AS i (hold_id, created_at, organization_id, user_id, key_id,
                key_version, session_id, model_id, price_id, catalog_version,
                quote_nano, floor_nano, lease_seconds, streamed, prompt_tokens,
                client_address, client_agent, nth)
        CROSS JOIN catalog_version c
        LEFT JOIN wallets w ON w.organization_id = i.organization_id
        LEFT JOIN organizations o ON o.id = i.organization_id
        LEFT JOIN plans p ON p.id = o.plan_id
        LEFT JOIN users u ON u.id = i.user_id
        LEFT JOIN memberships m ON m.organization_id = i.organization_id AND m.user_id = i.user_id
        LEFT JOIN api_keys k ON k.organization_id = i.organization_id AND k.id = i.key_id
        LEFT JOIN sessions s ON s.id = i.session_id
        LEFT JOIN holds h ON h.organization_id = i.organization_id AND h.id = i.hold_id
        LEFT JOIN LATERAL (
            SELECT array_agg(b.id ORDER BY b.priority, b.expires_at NULLS LAST, b.id) AS ids,
                array_agg(b.remaining_nano - b.held_nano ORDER BY b.priority, b.expires_at NULLS LAST, b.id) AS free,
                sum(b.remaining_nano - b.held_nano)::bigint AS total
            FROM grants b
            WHERE b.organization_id = i.organization_id AND NOT b.closed AND b.remaining_nano > b.held_nano
                AND (b.expires_at IS NULL OR b.expires_at > moment)
        ) g ON true
        ORDER BY i.organization_id, i.nth
    LOOP
        IF item.organization_id IS DISTINCT FROM organization THEN
            organization := item.organization_id;
            available := item.drawable + item.window_nano;
            held := item.wallet_held;
            window_nano := item.window_nano;
            grant_ids := item.grant_ids;
            grant_amounts := item.grant_amounts;
            grant_at := 1;
            grant_free := grant_amounts[1];
        END IF;

        decision := item.refusal;
        amount_nano := 0;
        wanted := least(item.quote_nano, available);
        IF item.already_held IS NOT NULL THEN
            decision := 'held';
            amount_nano := item.already_held;
        ELSIF decision IS NULL AND wanted < item.floor_nano THEN
            decision := 'insufficient_credits';
        ELSIF decision IS NULL THEN
            IF window_nano > 0 AND wanted > 0 THEN
                -- Free credits burn first, and nothing was drawn in this wallet before.
                grant_ids := new_id() || grant_ids;
                grant_amounts := window_nano || grant_amounts;
                grant_free := window_nano;
                opened_organizations := opened_organizations || item.organization_id;
                opened_ids := opened_ids || grant_ids[1];
                opened_amounts := opened_amounts || window_nano;
                opened_seconds := opened_seconds || item.window_seconds;
                window_nano := 0;
            END IF;
            draw_ids := '{}';
            draw_amounts := '{}';
            undrawn := wanted;
            WHILE undrawn > 0 LOOP
                drawn := least(undrawn, grant_free);
                draw_ids := draw_ids || grant_ids[grant_at];
                draw_amounts := draw_amounts || drawn;
                undrawn := undrawn - drawn;
                grant_free := grant_free - drawn;
                IF grant_free = 0 THEN
                    grant_at := grant_at + 1;
                    grant_free := grant_amounts[grant_at];
                END IF;
            END LOOP;
            decision := 'held';
            amount_nano := wanted;
            available := available - wanted;
            held := held + wanted;
            placed := placed || ROW(
                item.organization_id, item.hold_id, item.created_at,
                moment + make_interval(secs => item.lease_seconds), wanted, draw_ids, draw_amounts,
                item.user_id, item.key_id, item.model_id, item.price_id, item.streamed, item.prompt_tokens, 0,
                item.client_address, item.client_agent)::holds;
        END IF;
        nth := item.nth;
        available_nano := available;
        held_nano := held;
        RETURN NEXT;
    END LOOP;

    IF cardinality(opened_ids) > 0 THEN
        INSERT INTO grants (
            organization_id, id, source, priority, amount_nano, remaining_nano, window_start, expires_at)
            SELECT organization, id, 'free', 0, amount, amount, moment, moment + make_interval(secs => seconds)
            FROM unnest(opened_organizations, opened_ids, opened_amounts, opened_seconds)
                AS x (organization, id, amount, seconds);
        INSERT INTO postings (organization_id, id, kind, reason, grant_ids, grant_amounts_nano)
            SELECT organization, id, 'free_window', 'Free window', ARRAY[id], ARRAY[amount]
            FROM unnest(opened_organizations, opened_ids, opened_amounts) AS x (organization, id, amount);
        WITH credited AS (
            UPDATE wallets w
            SET available_nano = w.available_nano + x.amount, sequence = w.sequence + 1
            FROM unnest(opened_organizations, opened_ids, opened_amounts) AS x (organization, id, amount)
            WHERE w.organization_id = x.organization
            RETURNING w.organization_id, x.id, x.amount, w.sequence, w.available_nano + w.held_nano AS balance
        )
        INSERT INTO entries (organization_id, posting_id, account, amount_nano, sequence, balance_after_nano)
            SELECT organization_id, id, 'wallet', amount, sequence, balance FROM credited
            UNION ALL
            SELECT organization_id, id, 'promotions', -amount, NULL, NULL FROM credited;
    END IF;

    IF cardinality(placed) > 0 THEN
        INSERT INTO holds SELECT * FROM unnest(placed);
        UPDATE wallets w
        SET available_nano = w.available_nano - p.amount, held_nano = w.held_nano + p.amount
        FROM (
            SELECT organization_id, sum(amount_nano)::bigint AS amount FROM unnest(placed) GROUP BY organization_id
        ) p WHERE w.organization_id = p.organization_id;
        UPDATE grants g SET held_nano = g.held_nano + d.amount
        FROM (
            SELECT p.organization_id, x.id, sum(x.amount)::bigint AS amount
            FROM unnest(placed) p, unnest(p.grant_ids, p.grant_amounts_nano) AS x (id, amount)
            GROUP BY p.organization_id, x.id
        ) d WHERE g.organization_id = d.organization_id AND g.id = d.id;
    END IF;
END $$;
"""

SETTLE_HOLDS = """
-- charge_nano is the exact charge of the usage; what exceeds the hold is booked as platform loss.
-- Answers one row for each hold that it settled: once, because the hold's row is gone then. An item without a row in
-- the answer was settled before, or never held, or is alive where only_lapsed was asked. What a hold gives back to a
-- grant that is over expires in the same commit. Locks as place_holds does.
CREATE OR REPLACE FUNCTION settle_holds(items json)
RETURNS TABLE (hold_id uuid, charged_nano bigint, loss_nano bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    item record;
    organization uuid;
    balance bigint;
    wallet_sequence bigint;
    unburnt bigint;
    burnt bigint;
    burn_ids uuid[];
    burn_amounts bigint[];
    settled holds[] := '{}';
    records usage_records[] := '{}';
    lines entries[] := '{}';
    ended uuid[];
BEGIN
    PERFORM FROM wallets WHERE organization_id IN (
        SELECT i.organization_id FROM json_to_recordset(items) AS i (organization_id uuid)
    ) ORDER BY organization_id FOR UPDATE;

    FOR item IN
        SELECT DISTINCT ON (h.organization_id, h.id) i.*, h AS hold,
            w.available_nano + w.held_nano AS wallet_balance, w.sequence AS wallet_sequence
        FROM json_to_recordset(items) AS i (
            organization_id uuid, hold_id uuid, outcome text, charge_nano bigint, cost_nano bigint, upstream_id uuid,
            http_status smallint, finish_reason text, estimated boolean,
            input bigint, cached_input bigint, cache_write_5m bigint, cache_write_1h bigint, output bigint,
            reasoning bigint, audio_input bigint, audio_output bigint, image bigint, per_request bigint,
            latency_ms integer, first_token_ms integer, attempts jsonb, only_lapsed boolean)
        JOIN holds h ON h.organization_id = i.organization_id AND h.id = i.hold_id
            AND (i.only_lapsed IS NOT TRUE OR h.lease_until < clock_timestamp())
        JOIN wallets w ON w.organization_id = i.organization_id
        ORDER BY h.organization_id, h.id
    LOOP
        IF item.organization_id IS DISTINCT FROM organization THEN
            organization := item.organization_id;
            balance := item.wallet_balance;
            wallet_sequence := item.wallet_sequence;
        END IF;
        hold_id := item.hold_id;
        charged_nano := least(item.charge_nano, (item.hold).amount_nano);
        loss_nano := item.charge_nano - charged_nano;

        burn_ids := '{}';
        burn_amounts := '{}';
        unburnt := charged_nano;
        FOR n IN 1 .. cardinality((item.hold).grant_ids) LOOP
            EXIT WHEN unburnt = 0;
            burnt := least(unburnt, (item.hold).grant_amounts_nano[n]);
            burn_ids := burn_ids || (item.hold).grant_ids[n];
            burn_amounts := burn_amounts || burnt;
            unburnt := unburnt - burnt;
        END LOOP;

        IF item.charge_nano > 0 THEN
            lines := lines || ROW(item.organization_id, item.hold_id, 'revenue', item.charge_nano, NULL, NULL,
                now())::entries;
        END IF;
        IF charged_nano > 0 THEN
            balance := balance - charged_nano;
            wallet_sequence := wallet_sequence + 1;
            lines := lines || ROW(item.organization_id, item.hold_id, 'wallet', -charged_nano, wallet_sequence, balance,
                now())::entries;
        END IF;
        IF loss_nano > 0 THEN
            lines := lines || ROW(item.organization_id, item.hold_id, 'platform_loss', -loss_nano, NULL, NULL,
                now())::entries;
        END IF;
        settled := settled || item.hold;
        records := records || ROW(
            item.organization_id, (item.hold).created_at, item.hold_id, clock_timestamp(),
            (item.hold).user_id, (item.hold).key_id, (item.hold).model_id, (item.hold).price_id, item.upstream_id,
            item.outcome, item.http_status, item.finish_reason, (item.hold).streamed, item.estimated,
            item.input, item.cached_input, item.cache_write_5m, item.cache_write_1h, item.output, item.reasoning,
            item.audio_input, item.audio_output, item.image, item.per_request,
            (item.hold).amount_nano, charged_nano, loss_nano, item.cost_nano, burn_ids, burn_amounts,
            item.latency_ms, item.first_token_ms, item.attempts, (item.hold).client_address, (item.hold).client_agent
        )::usage_records;
        RETURN NEXT;
    END LOOP;

    IF cardinality(settled) > 0 THEN
        DELETE FROM holds h USING unnest(settled) s WHERE h.organization_id = s.organization_id AND h.id = s.id;
        UPDATE wallets w
        SET available_nano = w.available_nano + s.held - coalesce(e.charged, 0),
            held_nano = w.held_nano - s.held,
            sequence = coalesce(e.sequence, w.sequence)
        FROM (
            SELECT organization_id, sum(amount_nano)::bigint AS held FROM unnest(settled) GROUP BY organization_id
        ) s LEFT JOIN (
            SELECT organization_id, -sum(amount_nano)::bigint AS charged, max(sequence) AS sequence
            FROM unnest(lines) WHERE account = 'wallet' GROUP BY organization_id
        ) e ON e.organization_id = s.organization_id
        WHERE w.organization_id = s.organization_id;
        WITH released AS (
            UPDATE grants g SET held_nano = g.held_nano - d.held, remaining_nano = g.remaining_nano - d.burnt
            FROM (
                SELECT organization_id, id, sum(held)::bigint AS held, sum(burnt)::bigint AS burnt
                FROM (
                    SELECT s.organization_id, x.id, x.amount AS held, 0 AS burnt
                    FROM unnest(settled) s, unnest(s.grant_ids, s.grant_amounts_nano) AS x (id, amount)
                    UNION ALL
                    SELECT r.organization_id, x.id, 0, x.amount
                    FROM unnest(records) r, unnest(r.grant_ids, r.grant_amounts_nano) AS x (id, amount)
                ) parts GROUP BY organization_id, id
            ) d WHERE g.organization_id = d.organization_id AND g.id = d.id
            RETURNING g.organization_id, g.expires_at
        )
        SELECT array_agg(DISTINCT organization_id) INTO ended FROM released WHERE expires_at <= clock_timestamp();
        INSERT INTO postings (organization_id, id, kind)
            SELECT DISTINCT organization_id, posting_id, 'charge' FROM unnest(lines);
        INSERT INTO entries SELECT * FROM unnest(lines);
        INSERT INTO usage_records SELECT * FROM unnest(records);
        INSERT INTO key_spending AS k (organization_id, key_id, spent_nano, requests, last_used_at)
            -- Calls with a session, from the playground, count under the nil UUID.
            SELECT organization_id, coalesce(key_id, '00000000-0000-0000-0000-000000000000'),
                sum(charge_nano)::bigint, count(*), max(created_at)
            FROM unnest(records) GROUP BY 1, 2
            ON CONFLICT (organization_id, key_id) DO UPDATE
            SET spent_nano = k.spent_nano + excluded.spent_nano, requests = k.requests + excluded.requests,
                last_used_at = greatest(k.last_used_at, excluded.last_used_at);
        IF ended IS NOT NULL THEN
            PERFORM post_expiries(ended);
        END IF;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(
        "grants", sa.Column("closed", sa.Boolean(), sa.Computed("remaining_nano = 0", persisted=True), nullable=False)
    )
    op.add_column("grants", sa.Column("window_start", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_grants_open", "grants", ["organization_id", "id"], postgresql_where=sa.text("NOT closed"))
    op.create_index(
        "ix_grants_expires_at",
        "grants",
        ["expires_at"],
        postgresql_where=sa.text("NOT closed AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "uq_grants_window",
        "grants",
        ["organization_id", "window_start"],
        unique=True,
        postgresql_where=sa.text("window_start IS NOT NULL"),
    )
    op.add_column("plans", sa.Column("free_window_nano", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("plans", sa.Column("free_window_seconds", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_check_constraint(
        op.f("ck_plans_free_window"),
        "plans",
        "free_window_nano >= 0 AND free_window_seconds >= 0 AND (free_window_nano > 0) = (free_window_seconds > 0)",
    )
    op.add_column("postings", sa.Column("reverses_id", sa.Uuid(), nullable=True))
    op.add_column(
        "postings",
        sa.Column("grant_ids", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column(
        "postings",
        sa.Column(
            "grant_amounts_nano", postgresql.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False
        ),
    )
    op.create_check_constraint(
        op.f("ck_postings_moves"), "postings", "cardinality(grant_ids) = cardinality(grant_amounts_nano)"
    )
    op.create_index(
        "uq_postings_reverses_id",
        "postings",
        ["organization_id", "reverses_id"],
        unique=True,
        postgresql_where=sa.text("reverses_id IS NOT NULL"),
    )
    run_script(EXPIRY)
    run_script(PLACE_HOLDS)
    run_script(SETTLE_HOLDS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    before = context.script.get_revision("2026_11_23_2020").module
    op.execute("DROP FUNCTION place_holds")
    op.execute("DROP FUNCTION settle_holds")
    run_script(before.PLACE_HOLDS)
    run_script(before.SETTLE_HOLDS)
    op.execute("DROP FUNCTION expire_grants")
    op.execute("DROP FUNCTION post_expiries")
    op.execute("DROP FUNCTION new_id")
    op.drop_index("uq_postings_reverses_id", "postings")
    op.drop_constraint(op.f("ck_postings_moves"), "postings")
    for column in ("grant_amounts_nano", "grant_ids", "reverses_id"):
        op.drop_column("postings", column)
    op.drop_constraint(op.f("ck_plans_free_window"), "plans")
    op.drop_column("plans", "free_window_seconds")
    op.drop_column("plans", "free_window_nano")
    for index in ("uq_grants_window", "ix_grants_expires_at", "ix_grants_open"):
        op.drop_index(index, "grants")
    op.drop_column("grants", "window_start")
    op.drop_column("grants", "closed")
