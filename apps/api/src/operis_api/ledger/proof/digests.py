"""What a block seals, and the hash of it: the canonical form of a row is PostgreSQL's own binary form of its columns.

Sealed are postings with their entries and the unchanging part of the grants they made, and the usage records of
charges and voids. Which columns, a form says: a later version of the schema seals more, and old blocks keep theirs.
"""

from collections import Counter
from collections.abc import Iterable
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

Form = dict[str, list[str]]
MARK_BYTES = 4
GRANT_COLUMNS = [
    "organization_id",
    "id",
    "source",
    "priority",
    "amount_nano",
    "expires_at",
    "window_start",
    "created_at",
]
"""Of grants what never changes; what is left of them follows from the postings."""


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    postings: int
    entries: int
    grants: int
    records: int
    ledger_hash: bytes
    usage_hash: bytes
    posting_marks: bytes
    record_marks: bytes


async def read_form(session: AsyncSession) -> Form:
    """Return every column of the tables as they are now: they are append-only, so each column is sealed."""
    rows = await session.execute(
        text(
            """
            SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid
            WHERE c.oid IN ('postings'::regclass, 'entries'::regclass, 'usage_records'::regclass)
                AND a.attnum > 0 AND NOT a.attisdropped
            GROUP BY c.relname
            """
        )
    )
    return {**{str(name): list(columns) for name, columns in rows}, "grants": GRANT_COLUMNS}


async def digest_rows(session: AsyncSession, form: Form, *, low: int, high: int) -> Digest:
    """Return the digest of all rows with low <= written < high."""
    row = (
        await session.execute(
            text(
                f"""
                {_leaves(form)}
                SELECT (SELECT count(*) FROM leaves), (SELECT coalesce(sum(lines), 0)::bigint FROM leaves),
                    (SELECT coalesce(sum(made), 0)::bigint FROM leaves), (SELECT count(leaf) FROM records),
                    (SELECT sha256(coalesce(string_agg(leaf, '' ORDER BY organization_id, id), '')) FROM leaves),
                    (SELECT sha256(coalesce(string_agg(leaf, '' ORDER BY organization_id, id), '')) FROM records),
                    (SELECT coalesce(string_agg(substring(leaf FROM 1 FOR {MARK_BYTES}), ''
                        ORDER BY organization_id, id), '') FROM leaves),
                    (SELECT coalesce(string_agg(substring(leaf FROM 1 FOR {MARK_BYTES}), ''
                        ORDER BY organization_id, id), '') FROM records)
                """  # noqa: S608  # names of our own columns, quoted
            ),
            {"low": low, "high": high},
        )
    ).one()
    postings, entries, grants, records, ledger_hash, usage_hash, posting_marks, record_marks = row
    return Digest(
        postings=postings,
        entries=entries,
        grants=grants,
        records=records,
        ledger_hash=ledger_hash,
        usage_hash=usage_hash,
        posting_marks=posting_marks,
        record_marks=record_marks,
    )


async def find_strangers(
    session: AsyncSession, form: Form, *, low: int, high: int, records: bool, marks: bytes
) -> tuple[list[UUID], int]:
    """Return the rows whose mark is none of `marks`, and how many of `marks` no row has."""
    kept = Counter(_cut(marks))
    table = "records" if records else "leaves"
    rows = await session.execute(
        text(
            f"{_leaves(form)} SELECT id, substring(leaf FROM 1 FOR {MARK_BYTES}) FROM {table} "  # noqa: S608  # as above
            "WHERE leaf IS NOT NULL ORDER BY organization_id, id"
        ),
        {"low": low, "high": high},
    )
    strangers: list[UUID] = []
    for identifier, mark in rows.tuples():
        if kept[mark] > 0:
            kept[mark] -= 1
        else:
            strangers.append(cast("UUID", identifier))
    return strangers, kept.total()


def _cut(marks: bytes) -> Iterable[bytes]:
    return (marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES))


def _leaves(form: Form) -> str:
    """Return a WITH clause: `leaves` has a hash for each posting, `records` one for each usage record."""
    return f"""
        WITH said AS MATERIALIZED (
            SELECT p.organization_id, p.id, p.kind, p.written, {_binary("p", form["postings"])} AS content,
                ARRAY(SELECT x.id FROM unnest(p.grant_ids, p.grant_amounts_nano) AS x (id, amount) WHERE amount > 0)
                    AS made_ids
            FROM postings p WHERE p.written >= :low AND p.written < :high
        ), leaves AS (
            SELECT s.organization_id, s.id, e.lines, g.made,
                sha256(s.content || coalesce(e.content, '') || coalesce(g.content, '')) AS leaf
            FROM said s
            CROSS JOIN LATERAL (
                SELECT count(*) AS lines,
                    string_agg({_binary("e", form["entries"])}, '' ORDER BY e.account COLLATE "C") AS content
                FROM entries e WHERE e.organization_id = s.organization_id AND e.posting_id = s.id
            ) e
            CROSS JOIN LATERAL (
                SELECT count(*) AS made, string_agg({_binary("g", form["grants"])}, '' ORDER BY g.id) AS content
                FROM grants g WHERE g.organization_id = s.organization_id AND g.id = ANY (s.made_ids)
            ) g
        ), asked AS (
            SELECT organization_id, id, written FROM said WHERE kind = 'charge'
            UNION ALL
            SELECT organization_id, id, written FROM voids WHERE written >= :low AND written < :high
        ), records AS (
            SELECT a.organization_id, a.id, r.leaf
            FROM asked a
            LEFT JOIN LATERAL (
                SELECT sha256({_binary("r", form["usage_records"])} || int8send(a.written)) AS leaf FROM usage_records r
                WHERE r.organization_id = a.organization_id AND r.created_at = moment_of(a.id) AND r.id = a.id
            ) r ON true
        )
    """  # noqa: S608  # as above


def _binary(alias: str, columns: list[str]) -> str:
    quoted = ", ".join(f'{alias}."{column.replace(chr(34), "")}"' for column in columns)
    return f"record_send(ROW({quoted}))"
