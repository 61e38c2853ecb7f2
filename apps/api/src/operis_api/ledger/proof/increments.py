"""What must hold of rows that were written since the last check, and of the wallets they touched.

Each query reads the new rows and what they refer to by key, never the history behind them: a line's balance is checked
against the line before it, a wallet against its newest line. A key's total is for the full check.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.ledger.proof.chain import plan_by_key
from operis_api.ledger.proof.invariants import FINDINGS_MAX, INVARIANTS, Check, run_queries

INCREMENTS = {
    "the entries of each posting sum to zero": """
        SELECT format('posting %s sums to %s, expected 0', p.id, e.total)
        FROM postings p
        CROSS JOIN LATERAL (
            SELECT sum(amount_nano) AS total FROM entries
            WHERE organization_id = p.organization_id AND posting_id = p.id
        ) e WHERE p.written >= :low AND p.written < :high AND e.total IS DISTINCT FROM 0
    """,
    "each charge is its posting, and the sum of what grants paid": """
        SELECT format('request %s charged %s and %s of loss, its entries say %s and %s', p.id, r.charge_nano,
            r.loss_nano, e.charged, e.lost)
        FROM postings p
        CROSS JOIN LATERAL (
            SELECT sum(amount_nano) FILTER (WHERE account = 'revenue') AS revenue,
                -coalesce(sum(amount_nano) FILTER (WHERE account = 'wallet'), 0) AS charged,
                -coalesce(sum(amount_nano) FILTER (WHERE account = 'platform_loss'), 0) AS lost
            FROM entries WHERE organization_id = p.organization_id AND posting_id = p.id
        ) e
        LEFT JOIN usage_records r
            ON r.organization_id = p.organization_id AND r.created_at = moment_of(p.id) AND r.id = p.id
        WHERE p.written >= :low AND p.written < :high AND p.kind = 'charge' AND (
            r.charge_nano IS DISTINCT FROM e.charged OR r.loss_nano IS DISTINCT FROM e.lost
            OR r.charge_nano + r.loss_nano IS DISTINCT FROM e.revenue
            OR r.charge_nano <> (SELECT coalesce(sum(x), 0) FROM unnest(r.grant_amounts_nano) AS x))
    """,
    "each request was settled once, for something or for nothing": """
        SELECT format('request %s was settled for nothing, its usage record says %s', v.id, r.charge_nano)
        FROM voids v
        LEFT JOIN usage_records r
            ON r.organization_id = v.organization_id AND r.created_at = moment_of(v.id) AND r.id = v.id
        WHERE v.written >= :low AND v.written < :high AND r.charge_nano + r.loss_nano IS DISTINCT FROM 0
    """,
    "wallet sequences have no gaps, and balances run": """
        SELECT format('wallet %s, sequence %s: balance %s, expected %s', e.organization_id, e.sequence,
            e.balance_after_nano, before.balance_after_nano + e.amount_nano)
        FROM postings p
        JOIN entries e ON e.organization_id = p.organization_id AND e.posting_id = p.id AND e.account = 'wallet'
        LEFT JOIN LATERAL (
            SELECT b.balance_after_nano FROM entries b
            WHERE b.organization_id = e.organization_id AND b.account = 'wallet' AND b.sequence = e.sequence - 1
            UNION ALL SELECT 0 WHERE e.sequence = 1
        ) before ON true
        WHERE p.written >= :low AND p.written < :high
            AND e.balance_after_nano IS DISTINCT FROM before.balance_after_nano + e.amount_nano
    """,
    "what a posting moves in grants is what it moves in the wallet": """
        SELECT format('posting %s moves %s in grants, %s in the wallet', p.id, m.moved, e.amount_nano)
        FROM postings p
        CROSS JOIN LATERAL (SELECT sum(x) AS moved FROM unnest(p.grant_amounts_nano) AS x) m
        LEFT JOIN entries e ON e.organization_id = p.organization_id AND e.posting_id = p.id AND e.account = 'wallet'
        WHERE p.written >= :low AND p.written < :high AND p.kind <> 'charge' AND m.moved IS DISTINCT FROM e.amount_nano
    """,
    "each reversal takes back one whole charge": """
        SELECT format('reversal %s gives %s back of a charge of %s', p.id, e.amount_nano, -c.amount_nano)
        FROM postings p
        LEFT JOIN entries e ON e.organization_id = p.organization_id AND e.posting_id = p.id AND e.account = 'wallet'
        LEFT JOIN postings r ON r.organization_id = p.organization_id AND r.id = p.reverses_id AND r.kind = 'charge'
        LEFT JOIN entries c ON c.organization_id = r.organization_id AND c.posting_id = r.id AND c.account = 'wallet'
        WHERE p.written >= :low AND p.written < :high AND (p.kind = 'reversal' OR p.reverses_id IS NOT NULL)
            AND (p.kind <> 'reversal' OR e.amount_nano IS DISTINCT FROM -c.amount_nano)
    """,
    "each wallet is the sum of its entries": """
        SELECT format('wallet %s has %s at sequence %s, its newest entry %s at %s', organization_id,
            w.available_nano + w.held_nano, w.sequence, e.balance_after_nano, e.sequence)
        FROM (
            SELECT organization_id FROM postings WHERE written >= :low AND written < :high
            UNION SELECT organization_id FROM holds
        ) touched
        JOIN wallets w USING (organization_id)
        LEFT JOIN LATERAL (
            SELECT sequence, balance_after_nano FROM entries e
            WHERE e.organization_id = w.organization_id AND e.account = 'wallet' ORDER BY sequence DESC LIMIT 1
        ) e ON true
        WHERE w.available_nano + w.held_nano <> coalesce(e.balance_after_nano, 0)
            OR w.sequence <> coalesce(e.sequence, 0)
    """,
    "each wallet is the sum of what its grants have left": """
        SELECT format('wallet %s has %s, its grants %s', organization_id, w.available_nano + w.held_nano, g.remaining)
        FROM (
            SELECT organization_id FROM postings WHERE written >= :low AND written < :high
            UNION SELECT organization_id FROM holds
        ) touched
        JOIN wallets w USING (organization_id)
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(remaining_nano), 0) AS remaining FROM grants
            WHERE organization_id = w.organization_id AND NOT closed
        ) g WHERE w.available_nano + w.held_nano <> g.remaining
    """,
    "open holds are what each wallet holds": """
        SELECT format('wallet %s holds %s, its open holds %s', organization_id, w.held_nano, h.total)
        FROM (
            SELECT organization_id FROM postings WHERE written >= :low AND written < :high
            UNION SELECT organization_id FROM holds
        ) touched
        JOIN wallets w USING (organization_id)
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(amount_nano), 0) AS total FROM holds WHERE organization_id = w.organization_id
        ) h WHERE w.held_nano <> h.total
    """,
    "open holds are what each grant holds": """
        SELECT format('grant %s holds %s, open holds draw %s', g.id, g.held_nano, coalesce(d.total, 0))
        FROM (
            SELECT organization_id FROM postings WHERE written >= :low AND written < :high
            UNION SELECT organization_id FROM holds
        ) touched
        JOIN grants g ON g.organization_id = touched.organization_id AND NOT g.closed
        LEFT JOIN LATERAL (
            SELECT sum(x.amount) AS total
            FROM holds h, unnest(h.grant_ids, h.grant_amounts_nano) AS x (id, amount)
            WHERE h.organization_id = g.organization_id AND x.id = g.id
        ) d ON true WHERE g.held_nano <> coalesce(d.total, 0)
    """,
}

EVERYWHERE = (
    "each hold is the sum of its draws",
    "each hold is as it was placed",
    "no hold outlives its lease by a minute",
    "what ended grants have left is posted within ten minutes",
)
"""Of open holds and ended grants there are never many: these are checked for all of them."""
_ALL = {"low": UUID(int=0), "high": UUID(int=2**128 - 1)}


async def check_written(session: AsyncSession, *, low: int, high: int) -> list[Check]:
    """Check what was written from `low` until before `high` on the ledger's clock, in the session's snapshot."""
    checks = await run_queries(session, {name: INVARIANTS[name] for name in EVERYWHERE}, dict(_ALL))
    await plan_by_key(session)
    return [*checks, *await run_queries(session, INCREMENTS, {"low": low, "high": high})]


async def list_losses(session: AsyncSession, *, low: int, high: int) -> list[tuple[str, int]]:
    """Return requests written then of which a part was platform loss, with that part; at most 20."""
    await plan_by_key(session)
    rows = await session.execute(
        text(
            """
            SELECT p.id::text, -e.amount_nano FROM postings p
            JOIN entries e ON e.organization_id = p.organization_id AND e.posting_id = p.id
                AND e.account = 'platform_loss'
            WHERE p.written >= :low AND p.written < :high AND p.kind = 'charge' ORDER BY p.written LIMIT :most
            """
        ),
        {"low": low, "high": high, "most": FINDINGS_MAX},
    )
    return [(str(identifier), int(amount)) for identifier, amount in rows.tuples()]
