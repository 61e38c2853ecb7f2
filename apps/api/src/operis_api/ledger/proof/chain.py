"""The chain: blocks that seal what was written, in the order in which transactions ended, each sealing the one before.

A block is cut below the horizon: no transaction that is still open can add to it. One process cuts at a time.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec
import structlog
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.sessions import Sessions
from operis_api.ledger.proof.digests import Digest, Form, digest_rows, find_strangers, read_form
from operis_db.ledger import Block, ChainForm

CUT_EVERY_SECONDS = 30
BLOCK_ROWS_MAX = 10_000
BLOCKS_AT_ONCE_MAX = 100
CUT_TIMEOUT = "10min"
"""Beyond the pool's own: what one transaction wrote is in one block, however much it is."""
STRANGERS_NAMED_MAX = 5
GENESIS = bytes(32)
# Rows are found by key, one by one: a plan made for an empty table must not read the whole of a big one.
PLANNING = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
_LOCK = 5_031_978_203
log = structlog.get_logger()


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The newest block. Whoever keeps its hash elsewhere can tell later whether the chain still has it."""

    number: int
    hash: bytes
    high: int
    cut_at: datetime | None


EMPTY = Head(number=0, hash=GENESIS, high=0, cut_at=None)


async def cut_blocks(sessions: Sessions) -> int:
    """Seal what was written since the last block; returns how many blocks. Nothing new makes no block.

    It stops at the first block that is not full: what is written meanwhile is for the next time.
    """
    for cut in range(BLOCKS_AT_ONCE_MAX):
        async with sessions.begin() as session:
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
                return cut
            block = await _cut_block(session)
        if block is None:
            return cut
        log.info(
            "ledger_block_cut",
            number=block.number,
            hash=block.hash.hex(),
            postings=block.postings,
            records=block.records,
        )
        if max(block.postings, block.records) < BLOCK_ROWS_MAX:
            return cut + 1
    return BLOCKS_AT_ONCE_MAX


async def read_head(session: AsyncSession) -> Head:
    block = await session.scalar(select(Block).order_by(Block.number.desc()).limit(1))
    return head_of(block) if block else EMPTY


async def list_blocks(session: AsyncSession, *, after: int, upto: int, limit: int) -> Sequence[Block]:
    """Return the blocks whose numbers come after `after`, to `upto` at most, in order."""
    query = select(Block).where(Block.number > after, Block.number <= upto).order_by(Block.number).limit(limit)
    return (await session.scalars(query)).all()


async def check_clock(session: AsyncSession) -> list[str]:
    """Return rows that say they were written by a transaction yet to come: no block would ever seal them."""
    rows = await session.execute(
        text(
            """
            SELECT id, written FROM (
                (SELECT id, written FROM postings ORDER BY written DESC LIMIT 5)
                UNION ALL
                (SELECT id, written FROM voids ORDER BY written DESC LIMIT 5)
            ) newest
            WHERE written >= ledger_horizon() + (pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                - pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
            """
        )
    )
    return [f"{identifier} was written at {written}, which is yet to come" for identifier, written in rows.tuples()]


def head_of(block: Block) -> Head:
    return Head(number=block.number, hash=block.hash, high=block.high, cut_at=block.cut_at)


async def check_link(session: AsyncSession, block: Block, before: Head) -> list[str]:
    """Return what is wrong with the block itself: its place behind `before`, and its own hash."""
    findings: list[str] = []
    if (block.number, block.low, block.previous_hash) != (before.number + 1, before.high, before.hash):
        findings.append(
            f"block {block.number} follows {before.number}: it seals from {block.low} behind "
            f"{block.previous_hash.hex()[:16]}, expected from {before.high} behind {before.hash.hex()[:16]}"
        )
    form = await session.get_one(ChainForm, block.form_id)
    expected = _seal(block, form.columns)
    if block.hash != expected:
        findings.append(f"block {block.number} has hash {block.hash.hex()[:16]}, expected {expected.hex()[:16]}")
    return findings


async def check_content(session: AsyncSession, block: Block) -> list[str]:
    """Read all that the block seals again, and return what is not as it was."""
    await plan_by_key(session)
    form = (await session.get_one(ChainForm, block.form_id)).columns
    found = await digest_rows(session, form, low=block.low, high=block.high)
    findings: list[str] = []
    for name, records, kept_hash, found_hash, marks in (
        ("posting", False, block.ledger_hash, found.ledger_hash, block.posting_marks),
        ("usage record", True, block.usage_hash, found.usage_hash, block.record_marks),
    ):
        if kept_hash != found_hash:
            strangers, missing = await find_strangers(
                session, form, low=block.low, high=block.high, records=records, marks=marks
            )
            findings.append(_describe(block, name, strangers, missing, kept_hash, found_hash))
    counts = (found.postings, found.entries, found.grants, found.records)
    kept = (block.postings, block.entries, block.grants, block.records)
    if counts != kept:
        findings.append(
            f"block {block.number} has {counts} postings, entries, grants and usage records, expected {kept}"
        )
    return findings


async def plan_by_key(session: AsyncSession) -> None:
    for setting in PLANNING.split("; "):
        await session.execute(text(setting))


def _describe(block: Block, name: str, strangers: Sequence[object], missing: int, kept: bytes, found: bytes) -> str:
    named = ", ".join(str(identifier) for identifier in strangers[:STRANGERS_NAMED_MAX]) or "none"
    return (
        f"block {block.number}: {len(strangers)} {name}s are not as they were sealed ({named}), {missing} are gone "
        f"or changed; hash {found.hex()[:16]}, expected {kept.hex()[:16]}"
    )


async def _cut_block(session: AsyncSession) -> Block | None:
    await plan_by_key(session)
    await session.execute(text(f"SET LOCAL statement_timeout = '{CUT_TIMEOUT}'"))
    head = await read_head(session)
    high = await _next_high(session, head.high)
    if high is None:
        return None
    form = await _current_form(session)
    digest = await digest_rows(session, form.columns, low=head.high, high=high)
    block = Block(
        number=head.number + 1,
        low=head.high,
        high=high,
        form_id=form.id,
        previous_hash=head.hash,
        hash=b"",
        cut_at=await session.scalar(select(func.clock_timestamp())),
        **msgspec.structs.asdict(digest),
    )
    block.hash = _seal(block, form.columns)
    session.add(block)
    await session.flush()
    return block


async def _next_high(session: AsyncSession, low: int) -> int | None:
    """Return where the next block ends: at the horizon, or sooner where it would get too long; None: nothing is new.

    Two statements: what has ended by the first one's snapshot is seen whole by all later ones.
    """
    horizon = await session.scalar(text("SELECT ledger_horizon()"))
    rows = await session.execute(
        text(
            """
            SELECT min(first) AS first, min(last) AS last FROM (
                SELECT (SELECT written FROM postings WHERE written >= :low AND written < :horizon
                        ORDER BY written LIMIT 1) AS first,
                    (SELECT written FROM postings WHERE written >= :low AND written < :horizon
                        ORDER BY written OFFSET :rows LIMIT 1) AS last
                UNION ALL
                SELECT (SELECT written FROM voids WHERE written >= :low AND written < :horizon
                        ORDER BY written LIMIT 1),
                    (SELECT written FROM voids WHERE written >= :low AND written < :horizon
                        ORDER BY written OFFSET :rows LIMIT 1)
            ) found
            """
        ),
        {"low": low, "horizon": horizon, "rows": BLOCK_ROWS_MAX - 1},
    )
    first, last = rows.one()
    if first is None:
        return None
    return horizon if last is None else last + 1


async def _current_form(session: AsyncSession) -> ChainForm:
    columns = await read_form(session)
    newest = await session.scalar(select(ChainForm).order_by(ChainForm.id.desc()).limit(1))
    if newest is not None and newest.columns == columns:
        return newest
    form = ChainForm(id=newest.id + 1 if newest else 1, columns=columns)
    session.add(form)
    await session.flush()
    return form


def _seal(block: Block, form: Form) -> bytes:
    """Return the hash of a block: of everything it says, its form and the block before it."""
    said = [
        "operis ledger block",
        block.number,
        block.low,
        block.high,
        block.cut_at.isoformat(),
        {table: form[table] for table in sorted(form)},
        {name: getattr(block, name) for name in Digest.__struct_fields__},
        block.previous_hash,
    ]
    return hashlib.sha256(msgspec.json.encode(said)).digest()
