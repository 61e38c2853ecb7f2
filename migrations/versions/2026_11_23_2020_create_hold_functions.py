"""Create the two functions that move money for a chat: place_holds before the upstream is called, settle_holds after.

Each takes a batch of calls as JSON and is one transaction. It locks the wallets of the batch in id order, then
reads with a fresh snapshot (every statement of a VOLATILE function takes one), decides item by item, and writes set
by set. Everything else that moves an organization's money takes the same wallet lock first.
"""

from alembic import op

from operis_db.scripting import run_script

revision = "2026_11_23_2020"
down_revision = "2026_11_23_2010"
branch_labels = None
depends_on = None

PLACE_HOLDS = """
-- floor_nano is the least hold a call can do with: equal to quote_nano where the caller fixed the output limit.
-- Answers one row for each item; nth is the item's, from 1. decision: held (amount_nano says how much; again for
-- an item that already has its hold), or why not. A refused item consumes nothing and fails nobody.
-- available_nano is what a hold could have drawn on: grants that are over do not count, posted or not.
CREATE FUNCTION place_holds(items json)
RETURNS TABLE (nth bigint, decision text, amount_nano bigint, available_nano bigint, held_nano bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    item record;
    moment timestamptz;
    organization uuid;
    available bigint;
    held bigint;
    grant_at integer;   -- grants are drawn in burn order: those before this one are used up
    grant_free bigint;  -- what this one has left
    wanted bigint;
    undrawn bigint;
    drawn bigint;
    draw_ids uuid[];
    draw_amounts bigint[];
    placed holds[] := '{}';
BEGIN
    PERFORM FROM wallets WHERE organization_id IN (
        SELECT i.organization_id FROM json_to_recordset(items) AS i (organization_id uuid)
    ) ORDER BY organization_id FOR UPDATE;
    moment := clock_timestamp();

    FOR item IN
        SELECT i.*, w.held_nano AS wallet_held, h.amount_nano AS already_held,
            g.ids AS grant_ids, g.free AS grant_free, coalesce(g.total, 0) AS drawable,
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
            WHERE b.organization_id = i.organization_id AND b.remaining_nano > b.held_nano
                AND (b.expires_at IS NULL OR b.expires_at > moment)
        ) g ON true
        ORDER BY i.organization_id, i.nth
    LOOP
        IF item.organization_id IS DISTINCT FROM organization THEN
            organization := item.organization_id;
            available := item.drawable;
            held := item.wallet_held;
            grant_at := 1;
            grant_free := item.grant_free[1];
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
            draw_ids := '{}';
            draw_amounts := '{}';
            undrawn := wanted;
            WHILE undrawn > 0 LOOP
                drawn := least(undrawn, grant_free);
                draw_ids := draw_ids || item.grant_ids[grant_at];
                draw_amounts := draw_amounts || drawn;
                undrawn := undrawn - drawn;
                grant_free := grant_free - drawn;
                IF grant_free = 0 THEN
                    grant_at := grant_at + 1;
                    grant_free := item.grant_free[grant_at];
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
-- the answer was settled before, or never held, or is alive where only_lapsed was asked. Locks as place_holds does.
CREATE FUNCTION settle_holds(items json)
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
        ) d WHERE g.organization_id = d.organization_id AND g.id = d.id;
        INSERT INTO postings (organization_id, id, kind)
            SELECT DISTINCT organization_id, posting_id, 'charge' FROM unnest(lines);
        INSERT INTO entries SELECT * FROM unnest(lines);
        INSERT INTO usage_records SELECT * FROM unnest(records);
        INSERT INTO key_spending AS k (organization_id, key_id, spent_nano, requests, last_used_at)
            SELECT organization_id, key_id, sum(charge_nano)::bigint, count(*), max(created_at)
            FROM unnest(records) WHERE key_id IS NOT NULL GROUP BY organization_id, key_id
            ON CONFLICT (organization_id, key_id) DO UPDATE
            SET spent_nano = k.spent_nano + excluded.spent_nano, requests = k.requests + excluded.requests,
                last_used_at = greatest(k.last_used_at, excluded.last_used_at);
    END IF;
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(PLACE_HOLDS)
    run_script(SETTLE_HOLDS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP FUNCTION settle_holds")
    op.execute("DROP FUNCTION place_holds")
