"""What must always hold of the books, each as a query that finds what breaks it among the organizations of a page.

All queries of a page see one snapshot. A page is a range of ids, so a row of no organization is on some page too.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from operis_db.ledger import Wallet

FINDINGS_MAX = 20
PAGE_WALLETS = 500

INVARIANTS = {
    "the entries of each posting sum to zero": """
        SELECT format('posting %s sums to %s, expected 0', posting_id, sum(amount_nano)) FROM entries
        WHERE organization_id BETWEEN :low AND :high
        GROUP BY organization_id, posting_id HAVING sum(amount_nano) <> 0
    """,
    "each posting has entries, and each entry a posting": """
        SELECT format('posting %s: %s', coalesce(p.id, e.posting_id),
            CASE WHEN p.id IS NULL THEN 'entries without it' ELSE 'no entries' END)
        FROM (SELECT organization_id, id FROM postings WHERE organization_id BETWEEN :low AND :high) p
        FULL JOIN (
            SELECT DISTINCT organization_id, posting_id FROM entries WHERE organization_id BETWEEN :low AND :high
        ) e ON e.organization_id = p.organization_id AND e.posting_id = p.id
        WHERE p.id IS NULL OR e.posting_id IS NULL
    """,
    "each organization has its wallet": """
        SELECT format('organization %s: %s', coalesce(o.id, w.organization_id),
            CASE WHEN o.id IS NULL THEN 'a wallet of nobody' ELSE 'no wallet' END)
        FROM (SELECT id FROM organizations WHERE id BETWEEN :low AND :high) o
        FULL JOIN (SELECT organization_id FROM wallets WHERE organization_id BETWEEN :low AND :high) w
            ON w.organization_id = o.id
        WHERE o.id IS NULL OR w.organization_id IS NULL
    """,
    "each wallet is the sum of its entries": """
        SELECT format('wallet %s has %s, its entries sum to %s', organization_id, w.total, coalesce(e.total, 0))
        FROM (
            SELECT organization_id, available_nano + held_nano AS total FROM wallets
            WHERE organization_id BETWEEN :low AND :high
        ) w FULL JOIN (
            SELECT organization_id, sum(amount_nano) AS total FROM entries
            WHERE account = 'wallet' AND organization_id BETWEEN :low AND :high GROUP BY 1
        ) e USING (organization_id) WHERE w.total IS DISTINCT FROM coalesce(e.total, 0)
    """,
    "each wallet is the sum of what its grants have left": """
        SELECT format('wallet %s has %s, its grants %s', organization_id, w.total, coalesce(g.remaining, 0))
        FROM (
            SELECT organization_id, available_nano + held_nano AS total FROM wallets
            WHERE organization_id BETWEEN :low AND :high
        ) w FULL JOIN (
            SELECT organization_id, sum(remaining_nano) AS remaining FROM grants
            WHERE organization_id BETWEEN :low AND :high GROUP BY 1
        ) g USING (organization_id) WHERE w.total IS DISTINCT FROM coalesce(g.remaining, 0)
    """,
    "open holds are what each wallet holds": """
        SELECT format('wallet %s holds %s, its open holds %s', organization_id, w.held_nano, coalesce(h.total, 0))
        FROM (SELECT organization_id, held_nano FROM wallets WHERE organization_id BETWEEN :low AND :high) w
        FULL JOIN (
            SELECT organization_id, sum(amount_nano) AS total FROM holds
            WHERE organization_id BETWEEN :low AND :high GROUP BY 1
        ) h USING (organization_id) WHERE w.held_nano IS DISTINCT FROM coalesce(h.total, 0)
    """,
    "open holds are what each grant holds": """
        SELECT format('grant %s holds %s, open holds draw %s', id, g.held_nano, coalesce(d.total, 0))
        FROM (SELECT organization_id, id, held_nano FROM grants WHERE organization_id BETWEEN :low AND :high) g
        FULL JOIN (
            SELECT h.organization_id, x.id, sum(x.amount) AS total
            FROM holds h, unnest(h.grant_ids, h.grant_amounts_nano) AS x (id, amount)
            WHERE h.organization_id BETWEEN :low AND :high GROUP BY 1, 2
        ) d USING (organization_id, id) WHERE g.held_nano IS DISTINCT FROM coalesce(d.total, 0)
    """,
    "each hold is the sum of its draws": """
        SELECT format('hold %s of %s draws %s', id, amount_nano, d.total)
        FROM holds, LATERAL (SELECT coalesce(sum(x), 0) AS total FROM unnest(grant_amounts_nano) AS x) d
        WHERE organization_id BETWEEN :low AND :high AND amount_nano <> d.total
    """,
    "each hold is as it was placed": """
        SELECT format('hold %s of %s for user %s, key %s and model %s is not as it was sealed', id, amount_nano,
            user_id, key_id, model_id)
        FROM holds h
        WHERE organization_id BETWEEN :low AND :high AND seal <> seal_hold(h, lease_until, output_tokens)
    """,
    "each charge is its posting, and the sum of what grants paid": """
        SELECT format('request %s charged %s and %s of loss, its entries say %s and %s; grants paid %s',
            coalesce(r.id, e.posting_id), r.charge_nano, r.loss_nano, e.charged, e.lost,
            (SELECT coalesce(sum(x), 0) FROM unnest(r.grant_amounts_nano) AS x))
        FROM (
            SELECT * FROM usage_records
            WHERE organization_id BETWEEN :low AND :high AND (charge_nano <> 0 OR loss_nano <> 0)
        ) r
        FULL JOIN (
            SELECT e.organization_id, e.posting_id, sum(amount_nano) FILTER (WHERE account = 'revenue') AS revenue,
                -coalesce(sum(amount_nano) FILTER (WHERE account = 'wallet'), 0) AS charged,
                -coalesce(sum(amount_nano) FILTER (WHERE account = 'platform_loss'), 0) AS lost
            FROM entries e JOIN postings p ON p.organization_id = e.organization_id AND p.id = e.posting_id
            WHERE p.kind = 'charge' AND e.organization_id BETWEEN :low AND :high
            GROUP BY 1, 2
        ) e ON e.organization_id = r.organization_id AND e.posting_id = r.id
        WHERE r.charge_nano IS DISTINCT FROM e.charged OR r.loss_nano IS DISTINCT FROM e.lost
            OR r.charge_nano + r.loss_nano IS DISTINCT FROM e.revenue
            OR r.charge_nano <> (SELECT coalesce(sum(x), 0) FROM unnest(r.grant_amounts_nano) AS x)
    """,
    "each request was settled once, for something or for nothing": """
        SELECT format('request %s of %s: usage record %s, posting %s, void %s', id, r.created_at,
            r.id IS NOT NULL, p.id IS NOT NULL, v.id IS NOT NULL)
        FROM (SELECT * FROM usage_records WHERE organization_id BETWEEN :low AND :high) r
        FULL JOIN (
            SELECT organization_id, id FROM postings
            WHERE kind = 'charge' AND organization_id BETWEEN :low AND :high
        ) p USING (organization_id, id)
        FULL JOIN (
            SELECT organization_id, id FROM voids WHERE organization_id BETWEEN :low AND :high
        ) v USING (organization_id, id)
        WHERE r.id IS NULL OR r.created_at <> moment_of(id)
            OR (r.charge_nano + r.loss_nano > 0) IS DISTINCT FROM (p.id IS NOT NULL)
            OR (r.charge_nano + r.loss_nano = 0) IS DISTINCT FROM (v.id IS NOT NULL)
    """,
    "wallet sequences have no gaps, and balances run": """
        SELECT format('wallet %s, sequence %s: balance %s, expected %s', organization_id, sequence, balance_after_nano,
            running)
        FROM (
            SELECT organization_id, sequence, balance_after_nano,
                sum(amount_nano) OVER w AS running, row_number() OVER w AS nth
            FROM entries WHERE account = 'wallet' AND organization_id BETWEEN :low AND :high
            WINDOW w AS (PARTITION BY organization_id ORDER BY sequence)
        ) e WHERE nth <> sequence OR running <> balance_after_nano
        UNION ALL
        SELECT format('wallet %s is at sequence %s, its newest entry at %s', organization_id, w.sequence, e.newest)
        FROM (SELECT organization_id, sequence FROM wallets WHERE organization_id BETWEEN :low AND :high) w
        LEFT JOIN (
            SELECT organization_id, max(sequence) AS newest FROM entries
            WHERE account = 'wallet' AND organization_id BETWEEN :low AND :high GROUP BY 1
        ) e USING (organization_id) WHERE w.sequence <> coalesce(e.newest, 0)
    """,
    "what a posting moves in grants is what it moves in the wallet": """
        SELECT format('posting %s moves %s in grants, %s in the wallet', p.id, m.moved, e.amount_nano)
        FROM postings p
        CROSS JOIN LATERAL (SELECT sum(x) AS moved FROM unnest(p.grant_amounts_nano) AS x) m
        LEFT JOIN entries e ON e.organization_id = p.organization_id AND e.posting_id = p.id AND e.account = 'wallet'
        WHERE p.organization_id BETWEEN :low AND :high AND p.kind <> 'charge'
            AND m.moved IS DISTINCT FROM e.amount_nano
    """,
    "each grant has what its one posting gave, less what was taken from it": """
        SELECT format('grant %s of %s has %s left; %s postings gave it %s, and %s was taken', id, g.amount_nano,
            g.remaining_nano, coalesce(m.gifts, 0), m.given, coalesce(b.burnt, 0) - coalesce(m.taken, 0))
        FROM (SELECT * FROM grants WHERE organization_id BETWEEN :low AND :high) g
        FULL JOIN (
            SELECT p.organization_id, x.id, sum(x.amount) FILTER (WHERE x.amount > 0) AS given,
                count(*) FILTER (WHERE x.amount > 0) AS gifts, sum(x.amount) FILTER (WHERE x.amount < 0) AS taken
            FROM postings p, unnest(p.grant_ids, p.grant_amounts_nano) AS x (id, amount)
            WHERE p.organization_id BETWEEN :low AND :high GROUP BY 1, 2
        ) m USING (organization_id, id)
        FULL JOIN (
            SELECT r.organization_id, x.id, sum(x.amount) AS burnt
            FROM usage_records r, unnest(r.grant_ids, r.grant_amounts_nano) AS x (id, amount)
            WHERE r.organization_id BETWEEN :low AND :high GROUP BY 1, 2
        ) b USING (organization_id, id)
        WHERE m.gifts IS DISTINCT FROM 1 OR g.amount_nano IS DISTINCT FROM m.given
            OR g.remaining_nano IS DISTINCT FROM m.given + coalesce(m.taken, 0) - coalesce(b.burnt, 0)
    """,
    "each reversal takes back one whole charge": """
        SELECT format('reversal %s gives %s back of a charge of %s', p.id, e.amount_nano, -c.amount_nano)
        FROM postings p
        LEFT JOIN entries e ON e.organization_id = p.organization_id AND e.posting_id = p.id AND e.account = 'wallet'
        LEFT JOIN postings r ON r.organization_id = p.organization_id AND r.id = p.reverses_id AND r.kind = 'charge'
        LEFT JOIN entries c ON c.organization_id = r.organization_id AND c.posting_id = r.id AND c.account = 'wallet'
        WHERE p.organization_id BETWEEN :low AND :high AND (p.kind = 'reversal' OR p.reverses_id IS NOT NULL)
            AND (p.kind <> 'reversal' OR e.amount_nano IS DISTINCT FROM -c.amount_nano)
    """,
    "free windows of a wallet do not overlap": """
        SELECT format('window %s begins before the one before it ends', id) FROM (
            SELECT id, window_start, lag(expires_at) OVER (PARTITION BY organization_id ORDER BY window_start) AS before
            FROM grants WHERE window_start IS NOT NULL AND organization_id BETWEEN :low AND :high
        ) w WHERE before > window_start
    """,
    "what ended grants have left is posted within ten minutes": """
        SELECT format('grant %s ended at %s and has %s free', id, expires_at, remaining_nano - held_nano) FROM grants
        WHERE organization_id BETWEEN :low AND :high AND NOT closed
            AND expires_at < clock_timestamp() - interval '10 minutes' AND remaining_nano > held_nano
    """,
    "no hold outlives its lease by a minute": """
        SELECT format('hold %s lapsed at %s', id, lease_until) FROM holds
        WHERE organization_id BETWEEN :low AND :high AND lease_until < clock_timestamp() - interval '1 minute'
    """,
    "what was spent is the sum of the usage records": """
        SELECT format('%s of organization %s has spent %s in %s requests, %s failed; its records say %s in %s, %s',
            subject_id, organization_id, s.spent_nano, s.requests, s.errors, r.spent_nano, r.requests, r.errors)
        FROM (SELECT * FROM spending WHERE organization_id BETWEEN :low AND :high) s
        FULL JOIN (
            SELECT u.organization_id, x.subject_id, sum(u.charge_nano) AS spent_nano, count(*) AS requests,
                count(*) FILTER (WHERE u.outcome = 'failed') AS errors
            FROM usage_records u
            CROSS JOIN LATERAL (VALUES (u.key_id), (u.user_id), (u.organization_id)) AS x (subject_id)
            WHERE u.organization_id BETWEEN :low AND :high AND x.subject_id <> '00000000-0000-0000-0000-000000000000'
            GROUP BY 1, 2
        ) r USING (organization_id, subject_id)
        WHERE (s.spent_nano, s.requests, s.errors) IS DISTINCT FROM (r.spent_nano, r.requests, r.errors)
    """,
}


class Check(msgspec.Struct, frozen=True):
    """One invariant, and what was found against it: which row, what is expected of it and what it says."""

    name: str
    findings: list[str]


class IdRange(msgspec.Struct, frozen=True):
    """Organizations from `low` to `high`, both included."""

    low: UUID
    high: UUID


async def list_pages(session: AsyncSession) -> list[IdRange]:
    """Return ranges that cover every id there can be, of about as many wallets each."""
    number = func.row_number().over(order_by=Wallet.organization_id)
    numbered = select(Wallet.organization_id, number.label("nth")).subquery()
    rows = await session.scalars(
        select(numbered.c.organization_id)
        .where(numbered.c.nth % PAGE_WALLETS == 0)
        .order_by(numbered.c.organization_id)
    )
    ends = [*rows, UUID(int=2**128 - 1)]
    lows = [UUID(int=0), *(UUID(int=end.int + 1) for end in ends[:-1])]
    return [IdRange(low, high) for low, high in zip(lows, ends, strict=True)]


async def check_page(session: AsyncSession, page: IdRange) -> Sequence[Check]:
    """Check every invariant for these organizations, in the session's snapshot; at most 20 findings of each."""
    return await run_queries(session, INVARIANTS, {"low": page.low, "high": page.high})


async def run_queries(session: AsyncSession, queries: dict[str, str], bounds: dict[str, object]) -> list[Check]:
    checks: list[Check] = []
    for name, query in queries.items():
        rows = await session.scalars(text(f"{query} LIMIT {FINDINGS_MAX}"), bounds)
        checks.append(Check(name, [str(row) for row in rows]))
    return checks
