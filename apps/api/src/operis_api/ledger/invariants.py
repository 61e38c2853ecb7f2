"""What must always hold of the books, each as a query that finds what breaks it. All see one snapshot."""

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.audit.proving import AUDIT_INVARIANTS

FINDINGS_MAX = 20
STATEMENT_TIMEOUT = "30min"
"""Beyond the pool's own: each query reads all of the books."""

INVARIANTS = {
    "the entries of each posting sum to zero": """
        SELECT format('posting %s sums to %s', posting_id, sum(amount_nano)) FROM entries
        GROUP BY organization_id, posting_id HAVING sum(amount_nano) <> 0
    """,
    "each posting has entries, and each entry a posting": """
        SELECT format('posting %s: %s', coalesce(p.id, e.posting_id),
            CASE WHEN p.id IS NULL THEN 'entries without it' ELSE 'no entries' END)
        FROM postings p FULL JOIN (SELECT DISTINCT organization_id, posting_id FROM entries) e
            ON e.organization_id = p.organization_id AND e.posting_id = p.id
        WHERE p.id IS NULL OR e.posting_id IS NULL
    """,
    "each wallet is the sum of its entries": """
        SELECT format('wallet %s has %s, its entries sum to %s', w.organization_id, available_nano + held_nano,
            coalesce(e.total, 0))
        FROM wallets w LEFT JOIN (
            SELECT organization_id, sum(amount_nano) AS total FROM entries WHERE account = 'wallet' GROUP BY 1
        ) e USING (organization_id) WHERE available_nano + held_nano <> coalesce(e.total, 0)
    """,
    "each wallet is the sum of what its grants have left": """
        SELECT format('wallet %s has %s, its grants %s', w.organization_id, available_nano + w.held_nano,
            coalesce(g.remaining, 0))
        FROM wallets w LEFT JOIN (
            SELECT organization_id, sum(remaining_nano) AS remaining FROM grants GROUP BY 1
        ) g USING (organization_id) WHERE available_nano + w.held_nano <> coalesce(g.remaining, 0)
    """,
    "open holds are what each wallet holds": """
        SELECT format('wallet %s holds %s, its open holds %s', w.organization_id, held_nano, coalesce(h.total, 0))
        FROM wallets w LEFT JOIN (SELECT organization_id, sum(amount_nano) AS total FROM holds GROUP BY 1) h
            USING (organization_id) WHERE held_nano <> coalesce(h.total, 0)
    """,
    "open holds are what each grant holds": """
        SELECT format('grant %s holds %s, open holds draw %s', g.id, g.held_nano, coalesce(d.total, 0))
        FROM grants g LEFT JOIN (
            SELECT h.organization_id, x.id, sum(x.amount) AS total
            FROM holds h, unnest(h.grant_ids, h.grant_amounts_nano) AS x (id, amount) GROUP BY 1, 2
        ) d USING (organization_id, id) WHERE g.held_nano <> coalesce(d.total, 0)
    """,
    "each hold is the sum of its draws": """
        SELECT format('hold %s of %s draws another sum', id, amount_nano) FROM holds
        WHERE amount_nano <> (SELECT coalesce(sum(x), 0) FROM unnest(grant_amounts_nano) AS x)
    """,
    "each charge is its posting, and the sum of what grants paid": """
        SELECT format('request %s charged %s, its wallet entry says %s', coalesce(r.id, e.posting_id),
            r.charge_nano, -e.amount_nano)
        FROM (SELECT * FROM usage_records WHERE charge_nano <> 0) r
        FULL JOIN (
            SELECT e.* FROM entries e JOIN postings p ON p.organization_id = e.organization_id AND p.id = e.posting_id
            WHERE p.kind = 'charge' AND e.account = 'wallet'
        ) e ON e.organization_id = r.organization_id AND e.posting_id = r.id
        WHERE r.charge_nano IS DISTINCT FROM -e.amount_nano
            OR r.charge_nano <> (SELECT coalesce(sum(x), 0) FROM unnest(r.grant_amounts_nano) AS x)
    """,
    "wallet sequences have no gaps, and balances run": """
        SELECT format('wallet %s, sequence %s: balance %s, expected %s', organization_id, sequence, balance_after_nano,
            running)
        FROM (
            SELECT organization_id, sequence, balance_after_nano,
                sum(amount_nano) OVER w AS running, row_number() OVER w AS nth
            FROM entries WHERE account = 'wallet' WINDOW w AS (PARTITION BY organization_id ORDER BY sequence)
        ) e WHERE nth <> sequence OR running <> balance_after_nano
        UNION ALL
        SELECT format('wallet %s is at sequence %s, its newest entry at %s', w.organization_id, w.sequence, e.newest)
        FROM wallets w LEFT JOIN (
            SELECT organization_id, max(sequence) AS newest FROM entries WHERE account = 'wallet' GROUP BY 1
        ) e USING (organization_id) WHERE w.sequence <> coalesce(e.newest, 0)
    """,
    "what a posting moves in grants is what it moves in the wallet": """
        SELECT format('posting %s moves %s in grants, %s in the wallet', p.id, m.moved, e.amount_nano)
        FROM postings p
        CROSS JOIN LATERAL (SELECT sum(x) AS moved FROM unnest(p.grant_amounts_nano) AS x) m
        LEFT JOIN entries e ON e.organization_id = p.organization_id AND e.posting_id = p.id AND e.account = 'wallet'
        WHERE m.moved IS DISTINCT FROM e.amount_nano AND cardinality(p.grant_ids) > 0
    """,
    # Grants from before postings named them are known by no posting that made them, and are left out.
    "each grant has what its posting gave, less what was taken from it": """
        SELECT format('grant %s of %s has %s left; it was given %s, and %s was taken', m.id, g.amount_nano,
            g.remaining_nano, m.given, -m.taken + coalesce(b.burnt, 0))
        FROM (
            SELECT p.organization_id, x.id, sum(x.amount) FILTER (WHERE x.amount > 0) AS given,
                coalesce(sum(x.amount) FILTER (WHERE x.amount < 0), 0) AS taken
            FROM postings p, unnest(p.grant_ids, p.grant_amounts_nano) AS x (id, amount) GROUP BY 1, 2
        ) m
        LEFT JOIN grants g USING (organization_id, id)
        LEFT JOIN (
            SELECT r.organization_id, x.id, sum(x.amount) AS burnt
            FROM usage_records r, unnest(r.grant_ids, r.grant_amounts_nano) AS x (id, amount) GROUP BY 1, 2
        ) b USING (organization_id, id)
        WHERE m.given IS NOT NULL AND (g.amount_nano IS DISTINCT FROM m.given
            OR g.remaining_nano IS DISTINCT FROM m.given + m.taken - coalesce(b.burnt, 0))
    """,
    "each reversal takes back one whole charge": """
        SELECT format('reversal %s gives %s back of a charge of %s', p.id, e.amount_nano, -c.amount_nano)
        FROM postings p
        LEFT JOIN entries e ON e.organization_id = p.organization_id AND e.posting_id = p.id AND e.account = 'wallet'
        LEFT JOIN postings r ON r.organization_id = p.organization_id AND r.id = p.reverses_id AND r.kind = 'charge'
        LEFT JOIN entries c ON c.organization_id = r.organization_id AND c.posting_id = r.id AND c.account = 'wallet'
        WHERE (p.kind = 'reversal' OR p.reverses_id IS NOT NULL)
            AND (p.kind <> 'reversal' OR e.amount_nano IS DISTINCT FROM -c.amount_nano)
    """,
    "free windows of a wallet do not overlap": """
        SELECT format('window %s begins before the one before it ends', id) FROM (
            SELECT id, window_start, lag(expires_at) OVER (PARTITION BY organization_id ORDER BY window_start) AS before
            FROM grants WHERE window_start IS NOT NULL
        ) w WHERE before > window_start
    """,
    "what ended grants have left is posted within ten minutes": """
        SELECT format('grant %s ended at %s and has %s free', id, expires_at, remaining_nano - held_nano) FROM grants
        WHERE NOT closed AND expires_at < clock_timestamp() - interval '10 minutes' AND remaining_nano > held_nano
    """,
    "no hold outlives its lease by a minute": """
        SELECT format('hold %s lapsed at %s', id, lease_until) FROM holds
        WHERE lease_until < clock_timestamp() - interval '1 minute'
    """,
}


class Check(msgspec.Struct, frozen=True):
    name: str
    findings: list[str]


class Report(msgspec.Struct, frozen=True):
    holds: bool
    checks: list[Check]


async def verify_books(session: AsyncSession) -> Report:
    """Check every invariant of the books and of the audit log; at most 20 findings of each are named."""
    await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    await session.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
    checks: list[Check] = []
    for name, query in {**INVARIANTS, **AUDIT_INVARIANTS}.items():
        rows = await session.scalars(text(f"{query} LIMIT {FINDINGS_MAX}"))
        checks.append(Check(name, [str(row) for row in rows]))
    return Report(all(not check.findings for check in checks), checks)
