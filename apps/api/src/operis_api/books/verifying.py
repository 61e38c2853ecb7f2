"""Verifying the books: the whole of them in bounded memory, or what was written since the last time.

Nothing here stops a call. Each step reads one snapshot and ends its transaction, so that no old row is kept for it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.audit.proving import AUDIT_INVARIANTS
from operis_api.books.recharging import NAME as RECHARGED
from operis_api.books.recharging import Recharger
from operis_api.kit.sessions import Sessions
from operis_api.ledger.proof.chain import (
    EMPTY,
    Head,
    check_clock,
    check_content,
    check_link,
    head_of,
    list_blocks,
    read_head,
)
from operis_api.ledger.proof.increments import check_written, list_losses
from operis_api.ledger.proof.invariants import FINDINGS_MAX, INVARIANTS, Check, check_page, list_pages, run_queries
from operis_api.ledger.proof.keeping import Mark

CHAINED = "the chain of blocks verifies"
KEPT_HEAD = "the kept head is in the chain"
STATEMENT_TIMEOUT = "30min"
"""Beyond the pool's own: one organization may have all of the books."""
BLOCKS_AT_ONCE = 50
BLOCKS_A_TURN = 100


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Steps are blocks, then pages of organizations."""

    done: int
    total: int
    rows: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    holds: bool
    checks: list[Check]
    rows: int
    block_number: int
    block_hash: str
    """Of the newest block, in hexadecimal: keep it elsewhere, for `operis verify --head`."""


class Loss(msgspec.Struct, frozen=True):
    request_id: str
    amount_nano: int


Watcher = Callable[[Progress], Awaitable[None]]


async def verify_all(sessions: Sessions, *, kept_head: str | None = None, watcher: Watcher | None = None) -> Report:
    """Check every invariant, over all of the books and the audit log; `kept_head` must be a hash in the chain."""
    found = Findings([CHAINED, *([KEPT_HEAD] if kept_head else []), *INVARIANTS, RECHARGED, *AUDIT_INVARIANTS])
    async with snapshot(sessions) as session:
        head = await read_head(session)
        pages = await list_pages(session)
        found.add(CHAINED, await check_clock(session))
    total, rows = head.number + len(pages) + 1, 0

    async def note(done: int) -> None:
        if watcher:
            await watcher(Progress(done=done, total=total, rows=rows + recharger.records))

    recharger = Recharger()
    before, hashes_differ = EMPTY, kept_head is not None
    await note(0)
    while before.number < head.number:
        async with snapshot(sessions) as session:
            blocks = await list_blocks(session, after=before.number, upto=head.number, limit=BLOCKS_AT_ONCE)
            for block in blocks:
                found.add(CHAINED, await check_link(session, block, before))
                found.add(CHAINED, await check_content(session, block))
                before = head_of(block)
                hashes_differ = hashes_differ and before.hash.hex() != kept_head
                rows += block.postings + block.entries + block.records
        if not blocks:
            found.add(CHAINED, [f"block {head.number} was there, and is gone"])
            break
        await note(before.number)
    if hashes_differ:
        found.add(KEPT_HEAD, [f"{kept_head} is the hash of no block: what followed it was cut off or rewritten"])
    for nth, page in enumerate(pages, 1):
        async with snapshot(sessions) as session:
            for check in (*await check_page(session, page), await recharger.check_page(session, page)):
                found.add(check.name, check.findings)
        await note(head.number + nth)
    async with snapshot(sessions) as session:
        for check in await run_queries(session, AUDIT_INVARIANTS, {}):
            found.add(check.name, check.findings)
    await note(total)
    return found.report(rows + recharger.records, head)


async def verify_new(sessions: Sessions, since: Mark) -> tuple[Report, Mark, list[Loss]]:
    """Check what was sealed since `since`, at most 100 blocks, the wallets it touched and all open holds.

    Returns how far it came, and the platform losses on the way.
    """
    found = Findings([CHAINED])
    recharger = Recharger()
    async with snapshot(sessions) as session:
        before, findings = await _find_mark(session, since)
        found.add(CHAINED, findings)
        low, rows = before.high, 0
        newest = await read_head(session)
        for block in await list_blocks(session, after=before.number, upto=newest.number, limit=BLOCKS_A_TURN):
            found.add(CHAINED, await check_link(session, block, before))
            before = head_of(block)
            rows += block.postings + block.entries + block.records
        for check in await check_written(session, low=low, high=before.high):
            found.add(check.name, check.findings)
        found.add(RECHARGED, (await recharger.check_written(session, low=low, high=before.high)).findings)
        losses = [Loss(*loss) for loss in await list_losses(session, low=low, high=before.high)]
    return found.report(rows, before), Mark(before.number, before.hash), losses


class Findings:
    """What was found against each invariant, at most 20 of each."""

    def __init__(self, names: Iterable[str]) -> None:
        self._found: dict[str, list[str]] = {name: [] for name in names}

    def add(self, name: str, findings: Iterable[str]) -> None:
        kept = self._found.setdefault(name, [])
        kept += list(findings)[: FINDINGS_MAX - len(kept)]

    def report(self, rows: int, head: Head) -> Report:
        return Report(
            holds=not any(self._found.values()),
            checks=[Check(name, findings) for name, findings in self._found.items()],
            rows=rows,
            block_number=head.number,
            block_hash=head.hash.hex(),
        )


@asynccontextmanager
async def snapshot(sessions: Sessions) -> AsyncGenerator[AsyncSession]:
    """Yield a session that sees one moment of the books and changes nothing."""
    async with sessions() as session:
        await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        await session.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
        yield session


async def _find_mark(session: AsyncSession, since: Mark) -> tuple[Head, list[str]]:
    """Return the block up to which the books were checked, and what is wrong with it."""
    if since.number == 0:
        return EMPTY, []
    blocks = await list_blocks(session, after=since.number - 1, upto=since.number, limit=1)
    if blocks and blocks[0].hash == since.hash:
        return head_of(blocks[0]), []
    newest = await read_head(session)
    found = blocks[0].hash.hex()[:16] if blocks else "none"
    return newest, [f"block {since.number} had hash {since.hash.hex()[:16]} when it was checked, now {found}"]
