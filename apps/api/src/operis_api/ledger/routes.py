"""The active organization's wallet."""

from datetime import UTC, datetime
from typing import Annotated, Literal, cast
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.datastructures import State
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.kit.errors import InvalidField
from operis_api.kit.lists import After, Limit
from operis_api.kit.moments import check_moment
from operis_api.kit.money import format_nano
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.kit.sessions import Sessions
from operis_api.ledger.schemas import FreeWindow, Grant, Wallet, WalletEntry
from operis_api.ledger.statements import Line, LineFilters, list_lines, write_statement
from operis_api.ledger.wallets import left_nano, read_wallet

Kind = Annotated[str | None, QueryParameter(max_length=24, description="A kind of posting, like `charge`.")]
EntrySequence = cast("type[int]", Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)])


@get("/", opt={"permission": "wallet.view"}, operation_id="get_wallet")
async def get_wallet(identity: Identity, session: AsyncSession) -> Wallet:
    """Return what is available, what is held, the grants that make it up in burn order, and the free window."""
    return await show_wallet(session, identity.organization_id)


@get("/entries", opt={"permission": "wallet.view"}, operation_id="list_wallet_entries")
async def list_wallet_entries(
    identity: Identity,
    session: AsyncSession,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
    kind: Kind = None,
    from_: Annotated[datetime | None, QueryParameter(name="from")] = None,
    to: FromQuery[datetime | None] = None,
) -> Page[WalletEntry]:
    """List the wallet's ledger lines with their running balance, newest first."""
    before = decode_cursor(after, EntrySequence) if after else None
    filters = _read_filters(kind, from_, to)
    rows = await list_lines(session, identity.organization_id, filters, before_sequence=before, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.sequence, item=_entry)


@get("/statement.csv", opt={"permission": "wallet.view"}, operation_id="get_wallet_statement", media_type="text/csv")
async def get_wallet_statement(
    identity: Identity,
    state: State,
    kind: Kind = None,
    from_: Annotated[datetime | None, QueryParameter(name="from")] = None,
    to: FromQuery[datetime | None] = None,
) -> Stream:
    """Return the wallet's ledger lines of a time as CSV with the running balance, oldest first; else all of them."""
    filters = _read_filters(kind, from_, to or datetime.now(UTC))
    lines = write_statement(cast("Sessions", state["sessions"]), identity.organization_id, filters)
    return Stream(
        lines,
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="statement-{filters.end:%Y-%m-%d}.csv"'},
    )


def _read_filters(kind: str | None, begin: datetime | None, end: datetime | None) -> LineFilters:
    filters = LineFilters(
        kind=kind,
        begin=check_moment("from", begin) if begin else None,
        end=check_moment("to", end) if end else None,
    )
    if filters.begin and filters.end and filters.begin >= filters.end:
        raise InvalidField("from", "lies before `to`.")
    return filters


async def show_wallet(session: AsyncSession, organization_id: UUID) -> Wallet:
    wallet = await read_wallet(session, organization_id)
    window = wallet.free_window
    return Wallet(
        organization_id=organization_id,
        available=format_nano(wallet.available_nano),
        held=format_nano(wallet.held_nano),
        grants=[
            Grant(
                id=grant.id,
                source=cast("Literal['free', 'bonus', 'paid', 'refund', 'manual', 'voucher']", grant.source),
                priority=grant.priority,
                amount=format_nano(grant.amount_nano),
                remaining=format_nano(left_nano(grant, wallet.as_of)),
                held=format_nano(grant.held_nano),
                expires_at=grant.expires_at,
                created_at=grant.created_at,
            )
            for grant in wallet.grants
        ],
        free_window=window
        and FreeWindow(
            amount=format_nano(window.amount_nano),
            remaining=format_nano(window.remaining_nano),
            seconds=window.seconds,
            resets_at=window.resets_at,
        ),
    )


def _entry(line: Line) -> WalletEntry:
    return WalletEntry(
        sequence=line.sequence,
        kind=line.kind,
        amount=format_nano(line.amount_nano),
        balance_after=format_nano(line.balance_after_nano),
        reason=line.reason,
        request_id=line.request_id,
        model=line.model,
        created_at=line.created_at,
    )


router = Router(
    "/wallet",
    route_handlers=[get_wallet, list_wallet_entries, get_wallet_statement],
    tags=["wallet"],
    opt={"scope": "billing:read"},
)
