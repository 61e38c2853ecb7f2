"""Decide on limits in admission: budgets, rates and concurrency of keys, members, organizations and plans.

- `spending` takes the place of `key_spending`: what keys, members and organizations have spent, in all and in the
  current day, week and month of the organization's time zone. A window is compared on reading; no job resets it.
- `rate_counts` counts requests and tokens by the second. A second counts until all of it is a minute old, so that no
  sixty seconds ever see more than the limit.
- A hold keeps what it took of the tokens per minute, so that settlement can give back what was not used, and the
  multiplier of its price.
"""

import sqlalchemy as sa
from alembic import context, op

from operis_db.scripting import run_script

revision = "2026_11_23_2301"
down_revision = "2026_11_23_2252"
branch_labels = None
depends_on = None

LIMITED = ("plans", "organizations", "memberships", "api_keys")
BUDGETS = ("budget_nano", "budget_daily_nano", "budget_weekly_nano", "budget_monthly_nano")

READING = """
CREATE FUNCTION limits_of(budget bigint, daily bigint, weekly bigint, monthly bigint, rpm integer, tpm bigint,
    concurrency integer) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN num_nonnulls(budget, daily, weekly, monthly, rpm, tpm, concurrency) > 0
        THEN ARRAY[budget, daily, weekly, monthly, rpm, tpm, concurrency]::bigint[] END
$$;

-- The first days of the windows that run.
CREATE FUNCTION windows_of(moment timestamptz, zone text) RETURNS TABLE (day date, week date, month date)
LANGUAGE sql STABLE AS $$
    SELECT l.t::date, date_trunc('week', l.t)::date, date_trunc('month', l.t)::date
    FROM (VALUES (moment AT TIME ZONE zone)) AS l (t)
$$;

-- What a subject has spent and used so far, and what open holds hold of it. scope: key, member or organization.
CREATE FUNCTION counts_of(organization uuid, scope text, subject uuid, zone text, moment timestamptz)
RETURNS TABLE (spent_nano bigint, day_nano bigint, week_nano bigint, month_nano bigint, requests bigint,
    tokens bigint, open_calls bigint, held_nano bigint)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(s.spent_nano, 0),
        CASE WHEN s.day = w.day THEN s.day_nano ELSE 0 END,
        CASE WHEN s.week = w.week THEN s.week_nano ELSE 0 END,
        CASE WHEN s.month = w.month THEN s.month_nano ELSE 0 END,
        r.requests, r.tokens, h.open_calls, h.held_nano
    FROM windows_of(moment, zone) w
    LEFT JOIN spending s ON s.organization_id = organization AND s.subject_id = subject
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(c.requests), 0)::bigint AS requests, coalesce(sum(c.tokens), 0)::bigint AS tokens
        FROM rate_counts c WHERE c.organization_id = organization AND c.subject_id = subject
            AND c.second >= floor(extract(epoch FROM moment))::bigint - 60
    ) r
    CROSS JOIN LATERAL (
        SELECT count(*) AS open_calls, coalesce(sum(o.amount_nano), 0)::bigint AS held_nano
        FROM holds o WHERE o.organization_id = organization
            AND CASE scope WHEN 'key' THEN o.key_id = subject WHEN 'member' THEN o.user_id = subject ELSE true END
    ) h
$$;

-- When a limit lets so much more through, with what is settled by now: the next window of a budget, the second in
-- which enough of the last minute is over for a rate; never for a lifetime's budget, and nobody knows for concurrency.
CREATE FUNCTION limit_resets_at(limit_name text, limit_value bigint, used bigint, needed bigint, organization uuid,
    subject uuid, zone text, moment timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE limit_name
        WHEN 'budget_daily' THEN (w.day + 1)::timestamp AT TIME ZONE zone
        WHEN 'budget_weekly' THEN (w.week + 7)::timestamp AT TIME ZONE zone
        WHEN 'budget_monthly' THEN (w.month + interval '1 month') AT TIME ZONE zone
        WHEN 'rpm' THEN to_timestamp(coalesce((
            SELECT f.second + 61 FROM (
                SELECT c.second, sum(c.requests) OVER (ORDER BY c.second) AS freed FROM rate_counts c
                WHERE c.organization_id = organization AND c.subject_id = subject
                    AND c.second >= floor(extract(epoch FROM moment))::bigint - 60
            ) f WHERE f.freed >= used + needed - limit_value ORDER BY f.second LIMIT 1
        ), floor(extract(epoch FROM moment))::bigint + 61))
        WHEN 'tpm' THEN to_timestamp(coalesce((
            SELECT f.second + 61 FROM (
                SELECT c.second, sum(c.tokens) OVER (ORDER BY c.second) AS freed FROM rate_counts c
                WHERE c.organization_id = organization AND c.subject_id = subject
                    AND c.second >= floor(extract(epoch FROM moment))::bigint - 60
            ) f WHERE f.freed >= used + needed - limit_value ORDER BY f.second LIMIT 1
        ), floor(extract(epoch FROM moment))::bigint + 61))
    END
    FROM windows_of(moment, zone) w
$$;

CREATE FUNCTION binding_of(scope text, limit_name text, limit_value bigint, used bigint, held bigint,
    organization uuid, subject uuid, zone text, needed_tokens bigint, moment timestamptz)
RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('scope', scope, 'name', limit_name, 'value', limit_value, 'used', used,
        'held', CASE WHEN limit_name LIKE 'budget%' THEN held ELSE 0 END,
        'resets_at', limit_resets_at(limit_name, limit_value, used,
            CASE WHEN limit_name = 'tpm' THEN needed_tokens ELSE 1 END, organization, subject, zone, moment),
        'decided_at', moment)
$$;

-- Every limit that binds the calls of a key (or, without one, of a member), with what is used and held of it.
CREATE FUNCTION limit_states(organization uuid, member uuid, key uuid)
RETURNS TABLE (scope text, name text, value bigint, used bigint, held bigint, resets_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT l.scope, n.name, l.limits[n.nth], u.used,
        CASE WHEN n.nth <= 4 THEN c.held_nano ELSE 0 END,
        limit_resets_at(n.name, l.limits[n.nth], u.used, 1, organization, l.subject, o.timezone, clock_timestamp())
    FROM organizations o
    JOIN plans p ON p.id = o.plan_id
    LEFT JOIN api_keys k ON k.organization_id = o.id AND k.id = key
    LEFT JOIN memberships m ON m.organization_id = o.id AND m.user_id = member
    CROSS JOIN LATERAL (VALUES
        ('key', k.id, limits_of(k.budget_nano, k.budget_daily_nano, k.budget_weekly_nano, k.budget_monthly_nano, k.rpm,
            k.tpm, k.concurrency)),
        ('member', m.user_id, limits_of(m.budget_nano, m.budget_daily_nano, m.budget_weekly_nano,
            m.budget_monthly_nano, m.rpm, m.tpm, m.concurrency)),
        ('organization', o.id, limits_of(o.budget_nano, o.budget_daily_nano, o.budget_weekly_nano,
            o.budget_monthly_nano, o.rpm, o.tpm, o.concurrency)),
        ('plan', o.id, limits_of(p.budget_nano, p.budget_daily_nano, p.budget_weekly_nano, p.budget_monthly_nano,
            p.rpm, p.tpm, p.concurrency))
    ) AS l (scope, subject, limits)
    CROSS JOIN LATERAL counts_of(organization, l.scope, l.subject, o.timezone, clock_timestamp()) c
    CROSS JOIN LATERAL (VALUES (1, 'budget'), (2, 'budget_daily'), (3, 'budget_weekly'), (4, 'budget_monthly'),
        (5, 'rpm'), (6, 'tpm'), (7, 'concurrency')) AS n (nth, name)
    CROSS JOIN LATERAL (VALUES ((ARRAY[c.spent_nano, c.day_nano, c.week_nano, c.month_nano, c.requests, c.tokens,
        c.open_calls])[n.nth])) AS u (used)
    WHERE o.id = organization AND l.limits[n.nth] IS NOT NULL
    ORDER BY array_position(ARRAY['key', 'member', 'organization', 'plan'], l.scope), n.nth
$$;

CREATE FUNCTION newest_use(known_at timestamptz, newer_at timestamptz, known anyelement, newer anyelement)
RETURNS anyelement LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN newer_at < known_at + interval '1 minute' THEN known ELSE newer END
$$;
"""

PLACE_HOLDS = """
-- floor_nano is the least hold a call can do with: equal to quote_nano where the caller fixed the output limit.
-- Answers one row for each item; nth is the item's, from 1. decision: held (amount_nano says how much; again for
-- an item that already has its hold), or why not. A refused item consumes nothing and fails nobody.
-- available_nano is what a hold could have drawn on: grants that are over do not count, posted or not; the free
-- window that the call would have opened does. The first call that holds something opens it.
-- Limits of the key, the member, the organization and the plan are decided on with the wallet, under its lock, which
-- every call of the organization waits for: what each has spent and used is read once a batch, then counted along.
-- tokens is what the call may use of its tokens per minute, where there is such a limit; rates is what is left of them.
-- binding names the limit that refused: its scope and name, the value, what is used and held, and when to try again.
CREATE FUNCTION place_holds(items json)
RETURNS TABLE (nth bigint, decision text, amount_nano bigint, available_nano bigint, held_nano bigint, tokens bigint,
    rates json, binding json)
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
    scopes constant text[] := ARRAY['key', 'member', 'organization', 'plan'];
    names constant text[] := ARRAY['budget', 'budget_daily', 'budget_weekly', 'budget_monthly', 'rpm', 'tpm',
        'concurrency'];
    limits bigint[];        -- of one scope, in the order of names
    subjects uuid[];        -- of this organization whose counts are known
    counts bigint[];        -- eight of each subject: used, in the order of names, and held
    subject uuid;
    at integer;             -- of a subject's counts
    touched integer[];      -- the counts that this item is added to
    unlimited constant bigint := 9223372036854775807;
    unspent bigint;         -- the least that a budget, the requests, the tokens and the concurrency leave
    requests_left bigint;
    tokens_left bigint;
    open_left bigint;
    money_at bigint[];      -- which limit that is: scope, name, counts
    requests_at bigint[];
    tokens_at bigint[];
    open_at bigint[];
    bound_at bigint[];
    this_second bigint;
    rated_organizations uuid[] := '{}';
    rated_subjects uuid[] := '{}';
    rated_tokens bigint[] := '{}';
BEGIN
    PERFORM FROM wallets WHERE organization_id IN (
        SELECT i.organization_id FROM json_to_recordset(items) AS i (organization_id uuid)
    ) ORDER BY organization_id FOR UPDATE;
    moment := clock_timestamp();
    this_second := floor(extract(epoch FROM moment));

    FOR item IN
        SELECT i.*, w.held_nano AS wallet_held, h.amount_nano AS already_held,
            h.tokens AS already_tokens,
            g.ids AS grant_ids, g.free AS grant_amounts, coalesce(g.total, 0) AS drawable,
            p.free_window_seconds AS window_seconds,
            CASE WHEN p.free_window_nano > 0 AND coalesce((
                SELECT f.expires_at FROM grants f
                WHERE f.organization_id = i.organization_id AND f.window_start IS NOT NULL
                ORDER BY f.window_start DESC LIMIT 1
            ) <= moment, true) THEN p.free_window_nano ELSE 0 END AS window_nano,
            o.timezone,
            limits_of(k.budget_nano, k.budget_daily_nano, k.budget_weekly_nano, k.budget_monthly_nano, k.rpm, k.tpm,
                k.concurrency) AS key_limits,
            limits_of(m.budget_nano, m.budget_daily_nano, m.budget_weekly_nano, m.budget_monthly_nano, m.rpm, m.tpm,
                m.concurrency) AS member_limits,
            limits_of(o.budget_nano, o.budget_daily_nano, o.budget_weekly_nano, o.budget_monthly_nano, o.rpm, o.tpm,
                o.concurrency) AS organization_limits,
            limits_of(p.budget_nano, p.budget_daily_nano, p.budget_weekly_nano, p.budget_monthly_nano, p.rpm, p.tpm,
                p.concurrency) AS plan_limits,
            CASE
                WHEN w.organization_id IS NULL OR o.id IS NULL THEN 'organization_unknown'
                WHEN o.status <> 'active' THEN 'organization_suspended'
                WHEN k.service IS NOT TRUE AND u.status IS DISTINCT FROM 'active' THEN 'user_suspended'
                WHEN k.service IS NOT TRUE AND m.role IS NULL THEN 'not_a_member'
                WHEN i.key_id IS NOT NULL AND (k.id IS NULL OR k.revoked_at IS NOT NULL) THEN 'key_revoked'
                WHEN k.expires_at <= moment THEN 'key_expired'
                WHEN k.version <> i.key_version THEN 'key_changed'
                WHEN o.plan_id <> i.plan_id THEN 'plan_changed'
                WHEN i.session_id IS NOT NULL
                    AND (s.id IS NULL OR s.revoked_at IS NOT NULL OR s.expires_at <= moment) THEN 'session_ended'
                WHEN c.version <> i.catalog_version THEN 'catalog_changed'
            END AS refusal
        FROM ROWS FROM (json_to_recordset(items) AS (
                hold_id uuid, created_at timestamptz, organization_id uuid, user_id uuid, key_id uuid,
                key_version integer, session_id uuid, plan_id uuid, model_id text, price_id uuid,
                catalog_version bigint, multiplier_numerator integer, multiplier_denominator integer,
                quote_nano bigint, floor_nano bigint, quote_tokens bigint, floor_tokens bigint,
                lease_seconds integer, streamed boolean, prompt_tokens bigint,
                client_address text, client_agent text)) WITH ORDINALITY
            AS i (hold_id, created_at, organization_id, user_id, key_id,
                key_version, session_id, plan_id, model_id, price_id,
                catalog_version, multiplier_numerator, multiplier_denominator,
                quote_nano, floor_nano, quote_tokens, floor_tokens,
                lease_seconds, streamed, prompt_tokens,
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
            subjects := '{}';
            counts := '{}';
        END IF;

        decision := item.refusal;
        amount_nano := 0;
        wanted := least(item.quote_nano, available);
        tokens := NULL;
        rates := NULL;
        binding := NULL;
        touched := '{}';
        IF item.already_held IS NULL AND decision IS NULL AND num_nonnulls(
                item.key_limits, item.member_limits, item.organization_limits, item.plan_limits) > 0 THEN
            unspent := unlimited;
            requests_left := unlimited;
            tokens_left := unlimited;
            open_left := unlimited;
            FOR scope IN 1 .. 4 LOOP
                limits := CASE scope WHEN 1 THEN item.key_limits WHEN 2 THEN item.member_limits
                    WHEN 3 THEN item.organization_limits ELSE item.plan_limits END;
                CONTINUE WHEN limits IS NULL;
                subject := CASE scope WHEN 1 THEN item.key_id WHEN 2 THEN item.user_id ELSE item.organization_id END;
                at := array_position(subjects, subject);
                IF at IS NULL THEN
                    subjects := subjects || subject;
                    at := cardinality(subjects);
                    counts := counts || (
                        SELECT ARRAY[c.spent_nano, c.day_nano, c.week_nano, c.month_nano, c.requests, c.tokens,
                            c.open_calls, c.held_nano]
                        FROM counts_of(item.organization_id, scopes[scope], subject, item.timezone, moment) c);
                END IF;
                at := 8 * (at - 1);
                IF NOT at = ANY (touched) THEN
                    touched := touched || at;
                END IF;
                FOR name IN 1 .. 4 LOOP
                    IF limits[name] - counts[at + name] - counts[at + 8] < unspent THEN
                        unspent := limits[name] - counts[at + name] - counts[at + 8];
                        money_at := ARRAY[scope, name, at, limits[name]];
                    END IF;
                END LOOP;
                IF limits[5] - counts[at + 5] < requests_left THEN
                    requests_left := limits[5] - counts[at + 5];
                    requests_at := ARRAY[scope, 5, at, limits[5]];
                END IF;
                IF limits[6] - counts[at + 6] < tokens_left THEN
                    tokens_left := limits[6] - counts[at + 6];
                    tokens_at := ARRAY[scope, 6, at, limits[6]];
                END IF;
                IF limits[7] - counts[at + 7] < open_left THEN
                    open_left := limits[7] - counts[at + 7];
                    open_at := ARRAY[scope, 7, at, limits[7]];
                END IF;
            END LOOP;
            bound_at := NULL;
            IF open_left < 1 THEN
                decision := 'concurrency_limited';
                bound_at := open_at;
            ELSIF requests_left < 1 THEN
                decision := 'rate_limited';
                bound_at := requests_at;
            ELSIF tokens_left < item.floor_tokens THEN
                decision := 'rate_limited';
                bound_at := tokens_at;
            ELSIF greatest(unspent, 0) < item.floor_nano AND greatest(unspent, 0) <= available THEN
                decision := 'budget_exhausted';
                bound_at := money_at;
            END IF;
            IF bound_at IS NOT NULL THEN
                binding := binding_of(scopes[bound_at[1]], names[bound_at[2]], bound_at[4],
                    counts[bound_at[3] + bound_at[2]], counts[bound_at[3] + 8], item.organization_id,
                    subjects[bound_at[3] / 8 + 1], item.timezone, item.floor_tokens, moment);
            END IF;
            wanted := least(wanted, greatest(unspent, 0));
            IF least(requests_left, tokens_left) < unlimited THEN
                tokens := least(item.quote_tokens, tokens_left);
            END IF;
        END IF;

        IF item.already_held IS NOT NULL THEN
            decision := 'held';
            amount_nano := item.already_held;
            tokens := item.already_tokens;
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
                item.client_address, item.client_agent, tokens, CASE WHEN tokens IS NOT NULL THEN this_second END,
                coalesce(item.multiplier_numerator, 1), coalesce(item.multiplier_denominator, 1))::holds;
            FOREACH at IN ARRAY touched LOOP
                counts[at + 7] := counts[at + 7] + 1;
                counts[at + 8] := counts[at + 8] + wanted;
                IF tokens IS NOT NULL THEN
                    counts[at + 5] := counts[at + 5] + 1;
                    counts[at + 6] := counts[at + 6] + tokens;
                    rated_organizations := rated_organizations || item.organization_id;
                    rated_subjects := rated_subjects || subjects[at / 8 + 1];
                    rated_tokens := rated_tokens || tokens;
                END IF;
            END LOOP;
            IF tokens IS NOT NULL THEN
                rates := json_build_object(
                    'rpm', CASE WHEN requests_left < unlimited THEN requests_at[4] END,
                    'requests_left', CASE WHEN requests_left < unlimited THEN requests_left - 1 END,
                    'tpm', CASE WHEN tokens_left < unlimited THEN tokens_at[4] END,
                    'tokens_left', CASE WHEN tokens_left < unlimited THEN tokens_left - tokens END);
            END IF;
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

    IF cardinality(rated_subjects) > 0 THEN
        INSERT INTO rate_counts AS r (organization_id, subject_id, second, requests, tokens)
            SELECT organization, id, this_second, count(*), sum(used)
            FROM unnest(rated_organizations, rated_subjects, rated_tokens) AS x (organization, id, used) GROUP BY 1, 2
            ON CONFLICT (organization_id, subject_id, second) DO UPDATE
            SET requests = r.requests + excluded.requests, tokens = r.tokens + excluded.tokens;
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
    rated boolean := false;
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
            item.latency_ms, item.first_token_ms, item.attempts, (item.hold).client_address, (item.hold).client_agent,
            (item.hold).multiplier_numerator, (item.hold).multiplier_denominator
        )::usage_records;
        rated := rated OR (item.hold).tokens IS NOT NULL;
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
        INSERT INTO spending AS s (organization_id, subject_id, spent_nano, day, day_nano, week, week_nano, month,
                month_nano, requests, errors, last_used_at, last_address, last_agent, last_model)
            SELECT u.organization_id, u.subject, u.spent, z.day, u.spent, z.week, u.spent, z.month, u.spent,
                u.requests, u.errors, u.used_at, u.address, u.agent, u.model
            FROM (
                SELECT r.organization_id, x.subject, sum(r.charge_nano)::bigint AS spent, count(*) AS requests,
                    count(*) FILTER (WHERE r.outcome = 'failed') AS errors, max(r.created_at) AS used_at,
                    max(r.client_address) AS address, max(r.client_agent) AS agent, max(r.model_id) AS model
                FROM unnest(records) r
                CROSS JOIN LATERAL (VALUES (r.key_id), (r.user_id), (r.organization_id)) AS x (subject)
                -- The playground has no key, and a key that belongs to the organization no user.
                WHERE x.subject IS NOT NULL AND x.subject <> '00000000-0000-0000-0000-000000000000'
                GROUP BY 1, 2
            ) u
            JOIN organizations o ON o.id = u.organization_id
            CROSS JOIN LATERAL windows_of(clock_timestamp(), o.timezone) z
            ON CONFLICT (organization_id, subject_id) DO UPDATE
            SET spent_nano = s.spent_nano + excluded.spent_nano,
                day = excluded.day, week = excluded.week, month = excluded.month,
                day_nano = excluded.day_nano + CASE WHEN s.day = excluded.day THEN s.day_nano ELSE 0 END,
                week_nano = excluded.week_nano + CASE WHEN s.week = excluded.week THEN s.week_nano ELSE 0 END,
                month_nano = excluded.month_nano + CASE WHEN s.month = excluded.month THEN s.month_nano ELSE 0 END,
                requests = s.requests + excluded.requests, errors = s.errors + excluded.errors,
                -- Who used it last changes at most once a minute.
                last_used_at = newest_use(s.last_used_at, excluded.last_used_at, s.last_used_at, excluded.last_used_at),
                last_address = newest_use(s.last_used_at, excluded.last_used_at, s.last_address, excluded.last_address),
                last_agent = newest_use(s.last_used_at, excluded.last_used_at, s.last_agent, excluded.last_agent),
                last_model = newest_use(s.last_used_at, excluded.last_used_at, s.last_model, excluded.last_model);
        IF rated THEN
            -- What a call held of its tokens per minute and did not use is there again, if that minute still runs.
            UPDATE rate_counts c SET tokens = greatest(c.tokens + d.used, 0)
            FROM (
                SELECT h.organization_id, x.subject, h.rated_second, sum(r.input + r.cached_input + r.cache_write_5m
                    + r.cache_write_1h + r.output + r.reasoning + r.audio_input + r.audio_output - h.tokens)::bigint
                    AS used
                FROM unnest(settled) h JOIN unnest(records) r ON r.organization_id = h.organization_id AND r.id = h.id
                CROSS JOIN LATERAL (VALUES (h.key_id), (h.user_id), (h.organization_id)) AS x (subject)
                WHERE h.tokens IS NOT NULL GROUP BY 1, 2, 3
            ) d
            WHERE c.organization_id = d.organization_id AND c.subject_id = d.subject AND c.second = d.rated_second;
        END IF;
        IF ended IS NOT NULL THEN
            PERFORM post_expiries(ended);
        END IF;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in LIMITED:
        for budget in BUDGETS:
            op.add_column(table, sa.Column(budget, sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("rpm", sa.Integer(), nullable=True))
        op.add_column(table, sa.Column("tpm", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("concurrency", sa.Integer(), nullable=True))
        op.create_check_constraint(
            op.f(f"ck_{table}_limits"),
            table,
            f"coalesce(least({', '.join(BUDGETS)}), 0) >= 0 AND coalesce(least(rpm, tpm, concurrency), 1) >= 1",
        )
    op.add_column("api_keys", sa.Column("service", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column(
        "organizations", sa.Column("timezone", sa.String(64), server_default=sa.text("'UTC'"), nullable=False)
    )
    # A zone that PostgreSQL does not know would fail every call of the organization.
    op.create_check_constraint(
        op.f("ck_organizations_timezone"), "organizations", "('epoch'::timestamptz AT TIME ZONE timezone) IS NOT NULL"
    )
    op.drop_table("key_spending")
    op.create_table(
        "spending",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("spent_nano", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("day_nano", sa.BigInteger(), nullable=False),
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("week_nano", sa.BigInteger(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("month_nano", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("errors", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_address", sa.Text(), nullable=True),
        sa.Column("last_agent", sa.Text(), nullable=True),
        sa.Column("last_model", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", "subject_id", name=op.f("pk_spending")),
    )
    op.create_table(
        "rate_counts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("second", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "subject_id", "second", name=op.f("pk_rate_counts")),
    )
    op.execute("ALTER TABLE spending SET (fillfactor = 50)")
    op.execute("ALTER TABLE rate_counts SET (fillfactor = 50)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON spending TO operis_app")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON rate_counts TO operis_app")
    op.add_column("holds", sa.Column("tokens", sa.BigInteger(), nullable=True))
    op.add_column("holds", sa.Column("rated_second", sa.BigInteger(), nullable=True))
    for table in ("holds", "usage_records"):
        for part in ("multiplier_numerator", "multiplier_denominator"):
            op.add_column(table, sa.Column(part, sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.execute("DROP FUNCTION place_holds")
    run_script(READING)
    run_script(PLACE_HOLDS)
    run_script(SETTLE_HOLDS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP FUNCTION place_holds")
    before = context.script.get_revision("2026_11_23_2110").module
    run_script(before.PLACE_HOLDS)
    run_script(before.SETTLE_HOLDS)
    for function in (
        "limit_states",
        "binding_of",
        "limit_resets_at",
        "counts_of",
        "windows_of",
        "limits_of",
        "newest_use",
    ):
        op.execute(f"DROP FUNCTION {function}")
    for table in ("usage_records", "holds"):
        for part in ("multiplier_denominator", "multiplier_numerator"):
            op.drop_column(table, part)
    op.drop_column("holds", "rated_second")
    op.drop_column("holds", "tokens")
    op.drop_table("rate_counts")
    op.drop_table("spending")
    op.create_table(
        "key_spending",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("spent_nano", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("requests", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", "key_id", name=op.f("pk_key_spending")),
    )
    op.execute("ALTER TABLE key_spending SET (fillfactor = 50)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON key_spending TO operis_app")
    op.drop_constraint(op.f("ck_organizations_timezone"), "organizations")
    op.drop_column("organizations", "timezone")
    op.drop_column("api_keys", "service")
    for table in reversed(LIMITED):
        op.drop_constraint(op.f(f"ck_{table}_limits"), table)
        for column in ("concurrency", "tpm", "rpm", *reversed(BUDGETS)):
            op.drop_column(table, column)
