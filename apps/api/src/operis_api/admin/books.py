"""The books, for operators: what the last checks found, checking all of them now, postings and open holds."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, cast
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.naming import read_names
from operis_api.admin.schemas import (
    ChainHead,
    LedgerCheck,
    LedgerInvariant,
    LedgerVerification,
    OpenHold,
    Posting,
    PostingEntry,
)
from operis_api.kit.lists import After, Limit
from operis_api.kit.moments import check_moment
from operis_api.kit.money import format_nano
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, encode_cursor
from operis_api.ledger.listing import HoldRow, PostingFilters, PostingRow, list_holds, list_postings
from operis_api.ledger.proof import keeping
from operis_api.ledger.proof.chain import read_head
from operis_db.people import ApiKey, Organization, User

Kind = Literal["full", "incremental"]
Written = tuple[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)], UUID]


@get("/ledger/verify", opt={"permission": "admin.ledger.view"}, operation_id="get_ledger_verification")
async def get_verification(session: AsyncSession) -> LedgerVerification:
    """Return the last result of each invariant, the full check that runs now, and the head of the chain."""
    full = await keeping.find_newest(session, "full")
    incremental = await keeping.find_newest(session, "incremental")
    running = await keeping.find_open(session, "full")
    head = await read_head(session)
    newest = [check for check in (full, incremental) if check]
    return LedgerVerification(
        holds=all(check.holds for check in newest) if newest else None,
        invariants=_last_results(newest),
        running=_show(running) if running else None,
        last_full=_show(full) if full else None,
        head=ChainHead(number=head.number, hash=head.hash.hex(), cut_at=head.cut_at),
    )


@get("/ledger/verify/{check_id:uuid}", opt={"permission": "admin.ledger.view"}, operation_id="get_ledger_check")
async def get_check(session: AsyncSession, check_id: FromPath[UUID]) -> LedgerCheck:
    """Return one check: how far it is, or what it found."""
    return _show(await keeping.read_check(session, check_id))


@post("/ledger/verify", opt={"permission": "admin.ledger.verify"}, status_code=202, operation_id="verify_ledger")
async def verify(identity: Identity, session: AsyncSession) -> LedgerCheck:
    """Have all of the books checked; answers at once. Where such a check is open already, that one is answered."""
    check = await keeping.ask_for_check(session, kind="full", actor_id=identity.user_id)
    return _show(check)


@get("/ledger/postings", opt={"permission": "admin.ledger.view"}, operation_id="list_ledger_postings")
async def get_postings(
    session: AsyncSession,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
    organization_id: FromQuery[UUID | None] = None,
    kind: Annotated[str | None, QueryParameter(max_length=24)] = None,
    from_: Annotated[datetime | None, QueryParameter(name="from")] = None,
    to: FromQuery[datetime | None] = None,
) -> Page[Posting]:
    """List postings over all organizations with their entries, in the order they were written, newest first."""
    filters = PostingFilters(
        organization_id=organization_id,
        kind=kind,
        begin=check_moment("from", from_) if from_ else None,
        end=check_moment("to", to) if to else None,
    )
    before = decode_cursor(after, Written) if after else None
    rows = await list_postings(session, filters, before=before, limit=limit)
    names = await read_names(session, Organization.id, Organization.name, {row.organization_id for row in rows[:limit]})
    following = encode_cursor((rows[limit - 1].written, rows[limit - 1].id)) if len(rows) > limit else None
    return Page(items=[_show_posting(row, names) for row in rows[:limit]], next=following)


@get("/holds", opt={"permission": "admin.ledger.view"}, operation_id="list_holds")
async def get_holds(
    session: AsyncSession,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
    organization_id: FromQuery[UUID | None] = None,
) -> Page[OpenHold]:
    """List open holds over all organizations, the oldest first."""
    before = decode_cursor(after, tuple[datetime, UUID]) if after else None
    rows = await list_holds(session, organization_id=organization_id, after=before, limit=limit)
    shown = await _show_holds(session, rows[:limit])
    following = encode_cursor((rows[limit - 1].created_at, rows[limit - 1].id)) if len(rows) > limit else None
    return Page(items=shown, next=following)


def _last_results(newest: Sequence[keeping.Kept]) -> list[LedgerInvariant]:
    """Return each invariant by the newest check that knows it."""
    last: dict[str, LedgerInvariant] = {}
    for check in sorted(newest, key=lambda check: check.asked_at):
        last |= {invariant.name: invariant for invariant in _invariants(check)}
    return list(last.values())


def _invariants(check: keeping.Kept) -> list[LedgerInvariant]:
    return [
        LedgerInvariant(
            name=each.name,
            checked_at=check.finished_at or check.asked_at,
            kind=cast("Kind", check.kind),
            findings=each.findings,
        )
        for each in check.checks
    ]


def _show(check: keeping.Kept) -> LedgerCheck:
    done = check.state == "done"
    return LedgerCheck(
        id=check.id,
        kind=cast("Kind", check.kind),
        state=cast("Literal['queued', 'running', 'done']", check.state),
        asked_at=check.asked_at,
        started_at=check.started_at,
        finished_at=check.finished_at,
        percent=100 if done else 100 * check.steps_done // max(check.steps_total, 1),
        rows=check.rows_read,
        holds=check.holds,
        invariants=_invariants(check),
    )


def _show_posting(row: PostingRow, names: dict[UUID, str]) -> Posting:
    return Posting(
        id=row.id,
        organization_id=row.organization_id,
        organization_name=names.get(row.organization_id, ""),
        kind=row.kind,
        reason=row.reason,
        actor_id=row.actor_id,
        reverses_id=row.reverses_id,
        created_at=row.created_at,
        entries=[
            PostingEntry(
                account=entry.account,
                amount=format_nano(entry.amount_nano),
                sequence=entry.sequence,
                balance_after=None if entry.balance_after_nano is None else format_nano(entry.balance_after_nano),
            )
            for entry in row.entries
        ],
    )


async def _show_holds(session: AsyncSession, rows: Sequence[HoldRow]) -> list[OpenHold]:
    organizations = await read_names(session, Organization.id, Organization.name, {row.organization_id for row in rows})
    users = await read_names(session, User.id, User.email, {row.user_id for row in rows})
    keys = await read_names(session, ApiKey.id, ApiKey.name, {row.key_id for row in rows if row.key_id})
    return [
        OpenHold(
            id=row.id,
            organization_id=row.organization_id,
            organization_name=organizations.get(row.organization_id, ""),
            user_id=row.user_id,
            user_email=users.get(row.user_id),
            key_id=row.key_id,
            key_name=keys.get(row.key_id) if row.key_id else None,
            model=row.model_id,
            amount=format_nano(row.amount_nano),
            streamed=row.streamed,
            output_tokens=row.output_tokens,
            created_at=row.created_at,
            age_seconds=max(0, round((row.as_of - row.created_at).total_seconds())),
            lease_until=row.lease_until,
            lapsed=row.lease_until < row.as_of,
        )
        for row in rows
    ]


router = Router("/", route_handlers=[get_verification, get_check, verify, get_postings, get_holds])
