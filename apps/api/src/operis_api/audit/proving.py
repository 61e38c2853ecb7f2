"""What must hold of the audit log: each rule as a query that finds what breaks it, like those of the books.

`operis verify` runs them beside the ledger's.
"""

AUDIT_INVARIANTS = {
    "each audit event has its link, and each link its event": """
        SELECT format('event %s: %s', coalesce(e.id, l.event_id),
            CASE WHEN l.event_id IS NULL THEN 'no link' ELSE 'a link without it' END)
        FROM audit_events e FULL JOIN audit_links l ON l.event_id = e.id
        WHERE e.id IS NULL OR l.event_id IS NULL
    """,
    "the audit log's chain is whole": """
        SELECT format('link %s, of event %s: %s', number, event_id,
            CASE WHEN number <> nth THEN 'a number is missing before it' ELSE 'its digest does not fit' END)
        FROM (
            SELECT l.number, l.event_id, l.digest, e, row_number() OVER w AS nth,
                coalesce(lag(l.digest) OVER w, '') AS previous
            FROM audit_links l JOIN audit_events e ON e.id = l.event_id WINDOW w AS (ORDER BY l.number)
        ) x WHERE number <> nth OR digest <> digest_audit_event(number, previous, e)
    """,
}
