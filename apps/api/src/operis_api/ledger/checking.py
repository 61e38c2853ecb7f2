"""Checking the books while they are open, and keeping what was found. One check runs at a time, whoever asks."""

import time
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.errors import NotFound
from operis_api.kit.ids import new_id
from operis_api.kit.sessions import Sessions
from operis_api.ledger.errors import CheckRunning
from operis_api.ledger.invariants import Check, verify_books
from operis_db.ledger import LedgerCheck

EVERY_SECONDS = 60
SHARE_OF_TIME = 20
"""A check that took a minute is not repeated for twenty: it reads all of the books."""
KEPT = timedelta(days=30)
_LOCK = 5_031_978_202
log = structlog.get_logger()


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    checked_at: datetime
    duration_ms: int
    holds: bool
    checks: list[Check]


async def check_books(sessions: Sessions, *, actor_id: UUID | None) -> Checked:
    """Check every invariant now, log what is broken, and keep the result; raises `CheckRunning`."""
    async with sessions.begin() as keeper:
        if not await keeper.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
            raise CheckRunning("Its result will be there in a moment.", retry_after_seconds=5)
        return await _check(sessions, keeper, actor_id)


async def check_books_if_due(sessions: Sessions) -> None:
    """Do so in one process of many, and not sooner than the last check allows."""
    async with sessions.begin() as keeper:
        if not await keeper.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
            return
        pause = func.greatest(EVERY_SECONDS - 1, LedgerCheck.duration_ms * SHARE_OF_TIME / 1000)
        fresh = func.clock_timestamp() - LedgerCheck.checked_at < func.make_interval(0, 0, 0, 0, 0, 0, pause)
        recent = select(fresh).order_by(LedgerCheck.checked_at.desc()).limit(1)
        if not await keeper.scalar(recent):
            await _check(sessions, keeper, None)


async def read_last_check(session: AsyncSession) -> Checked:
    row = await session.scalar(select(LedgerCheck).order_by(LedgerCheck.checked_at.desc()).limit(1))
    if row is None:
        raise NotFound("The books have not been checked yet.")
    return _show(row)


async def _check(sessions: Sessions, keeper: AsyncSession, actor_id: UUID | None) -> Checked:
    began = time.monotonic()
    async with sessions() as reader:
        report = await verify_books(reader)
    for check in report.checks:
        for finding in check.findings:
            log.error("invariant_broken", invariant=check.name, finding=finding)
    row = LedgerCheck(
        id=new_id(),
        duration_ms=round((time.monotonic() - began) * 1000),
        holds=report.holds,
        checks=msgspec.to_builtins(report.checks),
        actor_id=actor_id,
    )
    keeper.add(row)
    await keeper.execute(delete(LedgerCheck).where(LedgerCheck.checked_at < func.now() - KEPT))
    await keeper.flush()
    return _show(row)


def _show(row: LedgerCheck) -> Checked:
    return Checked(
        checked_at=row.checked_at,
        duration_ms=row.duration_ms,
        holds=row.holds,
        checks=msgspec.convert(row.checks, list[Check]),
    )
