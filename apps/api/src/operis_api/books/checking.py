"""Checking the books while they are open: new rows every minute, all of them when somebody asks.

One process of many runs a check, and a check whose process died begins again in another. A finding is an alert.
"""

import time
from collections.abc import Sequence

import structlog
from sqlalchemy import func, select

from operis_api.alerts.raising import raise_alert
from operis_api.books.verifying import Loss, Progress, Report, verify_all, verify_new
from operis_api.kit.money import format_nano
from operis_api.kit.sessions import Sessions
from operis_api.ledger.proof import keeping
from operis_api.ledger.proof.keeping import Mark

EVERY_SECONDS = 60
ASKED_EVERY_SECONDS = 2
PROGRESS_EVERY_SECONDS = 1
_LOCKS = {"incremental": 5_031_978_202, "full": 5_031_978_204}
log = structlog.get_logger()


async def check_new_rows(sessions: Sessions) -> None:
    """Check what was written since the last time, in one process of many."""
    async with sessions.begin() as keeper:
        if not await keeper.scalar(select(func.pg_try_advisory_xact_lock(_LOCKS["incremental"]))):
            return
        async with sessions.begin() as session:
            since = await keeping.read_mark(session)
            check_id = (await keeping.ask_for_check(session, kind="incremental", actor_id=None)).id
            await keeping.begin_check(session, check_id)
        report, mark, losses = await verify_new(sessions, since)
        async with sessions.begin() as session:
            await keeping.finish_check(session, check_id, report.checks, rows=report.rows, mark=mark)
            await keeping.forget_checks(session)
        await _raise_alerts(sessions, report, losses)


async def run_asked_check(sessions: Sessions) -> None:
    """Run the full check that somebody asked for, if there is one and nobody else does."""
    async with sessions.begin() as keeper:
        if not await keeper.scalar(select(func.pg_try_advisory_xact_lock(_LOCKS["full"]))):
            return
        asked = await keeping.find_open(keeper, "full")
        if asked is None:
            return
        async with sessions.begin() as session:
            await keeping.begin_check(session, asked.id)
        noted_at = 0.0

        async def note(progress: Progress) -> None:
            nonlocal noted_at
            if time.monotonic() - noted_at < PROGRESS_EVERY_SECONDS and progress.done < progress.total:
                return
            noted_at = time.monotonic()
            async with sessions.begin() as session:
                await keeping.note_progress(
                    session, asked.id, done=progress.done, total=progress.total, rows=progress.rows
                )

        report = await verify_all(sessions, watcher=note)
        mark = Mark(report.block_number, bytes.fromhex(report.block_hash))
        async with sessions.begin() as session:
            await keeping.finish_check(session, asked.id, report.checks, rows=report.rows, mark=mark)
        log.info("books_checked", holds=report.holds, rows=report.rows, block=report.block_number)
        await _raise_alerts(sessions, report, [])


async def _raise_alerts(sessions: Sessions, report: Report, losses: Sequence[Loss]) -> None:
    broken = [check for check in report.checks if check.findings]
    if not broken and not losses:
        return
    async with sessions.begin() as session:
        for check in broken:
            await raise_alert(session, kind="invariant_broken", subject=check.name, detail="\n".join(check.findings))
        for loss in losses:
            await raise_alert(
                session,
                kind="platform_loss",
                subject=f"request {loss.request_id}",
                detail=f"The provider reported {format_nano(loss.amount_nano)} credits more than was held.",
            )
