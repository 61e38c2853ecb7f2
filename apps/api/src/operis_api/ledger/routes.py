"""The active organization's wallet."""

from typing import Annotated, Literal, cast
from uuid import UUID

import msgspec
from litestar import Router, get
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.kit.lists import After, Limit
from operis_api.kit.money import format_nano
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.ledger.schemas import FreeWindow, Grant, Wallet, WalletEntry
from operis_api.ledger.wallets import left_nano, list_entries, read_wallet
from operis_db import ledger as tables

Line = tuple[tables.Entry, tables.Posting]
EntrySequence = cast("type[int]", Annotated[int, msgspec.Meta(ge=0, lt=2**63)])


@get("/", opt={"permission": "wallet.view"}, operation_id="get_wallet")
async def get_wallet(identity: Identity, session: AsyncSession) -> Wallet:
    """Return what is available, what is held, the grants that make it up in burn order, and the free window."""
    return await show_wallet(session, identity.organization_id)


@get("/entries", opt={"permission": "wallet.view"}, operation_id="list_wallet_entries")
async def list_wallet_entries(
    identity: Identity, session: AsyncSession, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[WalletEntry]:
    """List the wallet's ledger lines with their running balance, newest first."""
    before = decode_cursor(after, EntrySequence) if after else None
    rows = await list_entries(session, identity.organization_id, before_sequence=before, limit=limit)
    return page(rows, limit=limit, position=lambda row: row[0].sequence, item=_entry)


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
    entry, posting = line
    return WalletEntry(
        sequence=entry.sequence or 0,
        kind=posting.kind,
        amount=format_nano(entry.amount_nano),
        balance_after=format_nano(entry.balance_after_nano or 0),
        reason=posting.reason,
        request_id=posting.id if posting.kind == "charge" else posting.reverses_id,
        created_at=entry.created_at,
    )


router = Router(
    "/wallet", route_handlers=[get_wallet, list_wallet_entries], tags=["wallet"], opt={"scope": "billing:read"}
)
