"""Checks of the books as rows: asked for, running, done. Kept so that every process can tell what was found."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.errors import NotFound
from operis_api.kit.ids import new_id
from operis_api.ledger.proof.invariants import Check
from operis_db.ledger import LedgerCheck

KEPT = {"incremental": timedelta(days=7), "full": timedelta(days=400)}


class Mark(msgspec.Struct, frozen=True):
    """Up to which block the books were checked."""

    number: int
    hash: bytes


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A check as it is kept."""

    id: UUID
    kind: str
    state: str
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    steps_done: int
    steps_total: int
    rows_read: int
    holds: bool | None
    checks: list[Check]


async def ask_for_check(session: AsyncSession, *, kind: str, actor_id: UUID | None) -> Kept:
    """Return the open check of this kind, a new one where there is none: everybody waits for the same."""
    await session.execute(
        insert(LedgerCheck)
        .values(id=new_id(), kind=kind, state="queued", actor_id=actor_id)
        .on_conflict_do_nothing(index_elements=["kind"], index_where=LedgerCheck.state != "done")
    )
    found = await find_open(session, kind)
    assert found is not None, "it was there, or was just made"
    return found


async def find_open(session: AsyncSession, kind: str) -> Kept | None:
    row = await session.scalar(select(LedgerCheck).where(LedgerCheck.kind == kind, _OPEN))
    return _show(row) if row else None


async def begin_check(session: AsyncSession, check_id: UUID) -> None:
    """Note that the check runs, from its first step: one whose process died begins again."""
    await _change(session, check_id, state="running", started_at=func.clock_timestamp(), steps_done=0, rows_read=0)


async def note_progress(session: AsyncSession, check_id: UUID, *, done: int, total: int, rows: int) -> None:
    await _change(session, check_id, steps_done=done, steps_total=total, rows_read=rows)


async def finish_check(
    session: AsyncSession, check_id: UUID, checks: Sequence[Check], *, rows: int, mark: Mark
) -> None:
    await _change(
        session,
        check_id,
        state="done",
        finished_at=func.clock_timestamp(),
        steps_done=LedgerCheck.steps_total,
        rows_read=rows,
        holds=not any(check.findings for check in checks),
        checks=msgspec.to_builtins(checks),
        block_number=mark.number,
        block_hash=mark.hash,
    )


async def forget_checks(session: AsyncSession) -> None:
    """Delete what is older than a week, of full checks than 400 days."""
    for kind, age in KEPT.items():
        await session.execute(
            delete(LedgerCheck).where(LedgerCheck.kind == kind, ~_OPEN, LedgerCheck.asked_at < func.now() - age)
        )


async def read_mark(session: AsyncSession) -> Mark:
    """Return how far incremental checks have come."""
    row = await session.scalar(_newest("incremental"))
    return Mark(row.block_number, row.block_hash) if row and row.block_number and row.block_hash else Mark(0, b"")


async def read_check(session: AsyncSession, check_id: UUID) -> Kept:
    row = await session.get(LedgerCheck, check_id)
    if row is None:
        raise NotFound(f"There is no check {check_id}.")
    return _show(row)


async def find_newest(session: AsyncSession, kind: str) -> Kept | None:
    """Return the newest check of this kind that is done."""
    row = await session.scalar(_newest(kind))
    return _show(row) if row else None


_OPEN = LedgerCheck.state != "done"


def _show(row: LedgerCheck) -> Kept:
    fields = {name: getattr(row, name) for name in Kept.__struct_fields__ if name != "checks"}
    return Kept(**fields, checks=msgspec.convert(row.checks, list[Check]))


def _newest(kind: str) -> Select[tuple[LedgerCheck]]:
    return select(LedgerCheck).where(LedgerCheck.kind == kind, ~_OPEN).order_by(LedgerCheck.asked_at.desc()).limit(1)


async def _change(session: AsyncSession, check_id: UUID, **values: object) -> None:
    await session.execute(update(LedgerCheck).where(LedgerCheck.id == check_id).values(**values))
