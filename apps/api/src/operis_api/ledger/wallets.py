"""Opening and reading wallets. What has ended counts as gone from that moment on, its expiry posted or not."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.errors import NotFound
from operis_db.ledger import Entry, Grant, Hold, Posting, Wallet
from operis_db.people import Organization, Plan

GRANTS_SHOWN_MAX = 200
_NOW = func.statement_timestamp()
"""The database's clock, the same all through a statement."""


async def open_wallet(session: AsyncSession, organization_id: UUID) -> None:
    """Give a new organization its empty wallet."""
    session.add(Wallet(organization_id=organization_id))
    await session.flush()


class FreeWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The free credits of a plan: those of the window that runs, or of the one that the next call opens."""

    amount_nano: int
    remaining_nano: int
    seconds: int
    resets_at: datetime | None
    """None: no window runs."""


class WalletView(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet as of one moment. An unopened window is not part of `available_nano`."""

    as_of: datetime
    available_nano: int
    held_nano: int
    grants: Sequence[Grant]
    """Those with something left, in burn order; of what has ended, only the part that open holds draw on is left."""
    free_window: FreeWindow | None


async def read_wallet(session: AsyncSession, organization_id: UUID) -> WalletView:
    """Return the wallet with its grants and its free window, all in one snapshot."""
    still_runs = Grant.window_start.is_not(None) & (Grant.expires_at > _NOW)
    found = await session.execute(
        select(
            _usable_nano(), Wallet.held_nano, Plan.free_window_nano, Plan.free_window_seconds, _NOW.label("now"), Grant
        )
        .select_from(Wallet)
        .join(Organization, Organization.id == Wallet.organization_id)
        .join(Plan, Plan.id == Organization.plan_id)
        .outerjoin(Grant, (Grant.organization_id == Wallet.organization_id) & (~Grant.closed | still_runs))
        .where(Wallet.organization_id == organization_id)
        .order_by(Grant.priority, Grant.expires_at.nulls_last(), Grant.id)
        .limit(GRANTS_SHOWN_MAX)
        .execution_options(populate_existing=True)
    )
    rows = found.tuples().all()
    if not rows:
        raise NotFound(f"There is no wallet of organization {organization_id}.")
    available_nano, held_nano, window_nano, window_seconds, now, _ = rows[0]
    grants = [grant for row in rows if (grant := cast("Grant | None", row[-1]))]  # an empty wallet's row has none
    running = next((grant for grant in grants if grant.window_start and not _has_ended(grant, now)), None)
    return WalletView(
        as_of=now,
        available_nano=available_nano,
        held_nano=held_nano,
        grants=[grant for grant in grants if grant.held_nano or (grant.remaining_nano and not _has_ended(grant, now))],
        free_window=_show_window(running, window_nano, window_seconds),
    )


def left_nano(grant: Grant, now: datetime) -> int:
    """Return what a grant has left: of one that has ended, what open holds still draw on."""
    return grant.held_nano if _has_ended(grant, now) else grant.remaining_nano


class Balance(msgspec.Struct, frozen=True):
    available_nano: int
    held_nano: int


async def read_balances(session: AsyncSession, organization_ids: Sequence[UUID]) -> dict[UUID, Balance]:
    """Return what each of the organizations has; a page of them at most."""
    rows = await session.execute(
        select(Wallet.organization_id, _usable_nano(), Wallet.held_nano).where(
            Wallet.organization_id.in_(organization_ids)
        )
    )
    return {organization_id: Balance(available, held) for organization_id, available, held in rows.tuples()}


class LockedBalance(msgspec.Struct, frozen=True, kw_only=True):
    held_nano: int
    open_holds: int
    owned_nano: int
    """Of grants that were paid for, refunded, redeemed or given by hand, as against free credits and bonuses."""


async def lock_balance(session: AsyncSession, organization_id: UUID) -> LockedBalance:
    """Return what a wallet holds, its row locked: no call is admitted until the transaction ends."""
    wallet = await session.get(Wallet, organization_id, with_for_update=True, populate_existing=True)
    if wallet is None:
        raise NotFound(f"There is no wallet of organization {organization_id}.")
    open_holds = await session.scalar(select(func.count()).where(Hold.organization_id == organization_id))
    owned = await session.scalar(
        select(func.coalesce(func.sum(Grant.remaining_nano), 0)).where(
            Grant.organization_id == organization_id,
            Grant.source.not_in(("free", "bonus")),
            ~Grant.closed,
            Grant.expires_at.is_(None) | (Grant.expires_at > _NOW),
        )
    )
    return LockedBalance(held_nano=wallet.held_nano, open_holds=open_holds or 0, owned_nano=int(owned or 0))


async def has_open_holds(session: AsyncSession, user_id: UUID) -> bool:
    """Tell whether a call of this user is in progress, in whatever organization."""
    return bool(await session.scalar(select(exists().where(Hold.user_id == user_id))))


async def list_posting_entries(session: AsyncSession, organization_id: UUID, posting_id: UUID) -> Sequence[Entry]:
    rows = await session.scalars(
        select(Entry)
        .where(Entry.organization_id == organization_id, Entry.posting_id == posting_id)
        .order_by(Entry.account)
    )
    return rows.all()


async def read_reversal(session: AsyncSession, organization_id: UUID, charge_id: UUID) -> Posting | None:
    """Return the posting that gave a charge back, if one did."""
    return await session.scalar(
        select(Posting).where(Posting.organization_id == organization_id, Posting.reverses_id == charge_id)
    )


async def read_grant_sources(
    session: AsyncSession, organization_id: UUID, grant_ids: Sequence[UUID]
) -> dict[UUID, str]:
    """Return where each of the grants came from."""
    rows = await session.execute(
        select(Grant.id, Grant.source).where(Grant.organization_id == organization_id, Grant.id.in_(grant_ids))
    )
    return {row.id: row.source for row in rows}


class WalletSums(msgspec.Struct, frozen=True):
    available_nano: int
    held_nano: int
    open_holds: int


async def sum_wallets(session: AsyncSession) -> WalletSums:
    """Return what all wallets hold together, and how many holds are open: the platform's liabilities."""
    row = (
        await session.execute(
            select(
                func.coalesce(func.sum(_usable_nano()), 0),
                func.coalesce(func.sum(Wallet.held_nano), 0),
                select(func.count()).select_from(Hold).scalar_subquery(),
            )
        )
    ).one()
    return WalletSums(*(int(value) for value in row))


def _usable_nano() -> ColumnElement[int]:
    """Return a wallet's available part without what has ended and is not posted yet."""
    ended = (
        select(func.sum(Grant.remaining_nano - Grant.held_nano).cast(BigInteger))
        .where(Grant.organization_id == Wallet.organization_id, ~Grant.closed, Grant.expires_at <= _NOW)
        .correlate(Wallet)
        .scalar_subquery()
    )
    return Wallet.available_nano - func.coalesce(ended, 0)


def _has_ended(grant: Grant, now: datetime) -> bool:
    return grant.expires_at is not None and grant.expires_at <= now


def _show_window(running: Grant | None, window_nano: int, window_seconds: int) -> FreeWindow | None:
    if running is not None and running.window_start is not None and running.expires_at is not None:
        return FreeWindow(
            amount_nano=running.amount_nano,
            remaining_nano=running.remaining_nano,
            seconds=round((running.expires_at - running.window_start).total_seconds()),
            resets_at=running.expires_at,
        )
    if window_nano == 0:
        return None
    return FreeWindow(amount_nano=window_nano, remaining_nano=window_nano, seconds=window_seconds, resets_at=None)
