"""The ledger as one would write it first: an ORM transaction for each step, same tables and rules."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.sessions import Sessions
from operis_api.ledger.holds import LEASE_SECONDS, HoldRequest
from operis_db.catalog import CatalogVersion
from operis_db.ledger import Entry, Grant, Hold, Posting, Wallet
from operis_db.people import Membership, Organization, User
from operis_db.usage import UsageRecord


async def place_and_settle_plainly(sessions: Sessions, request: HoldRequest, *, charge_nano: int) -> None:
    async with sessions.begin() as session:
        await place(session, request)
    async with sessions.begin() as session:
        await settle(session, request, charge_nano)


async def place(session: AsyncSession, request: HoldRequest) -> None:
    wallet = await session.get_one(Wallet, request.organization_id, with_for_update=True)
    organization = await session.get_one(Organization, request.organization_id)
    user = await session.get_one(User, request.user_id)
    await session.get_one(Membership, (request.organization_id, request.user_id))
    version = await session.scalar(select(CatalogVersion.version))
    assert (organization.status, user.status, version) == ("active", "active", request.catalog_version)
    assert wallet.available_nano >= request.quote_nano
    left = request.quote_nano
    grant_ids: list[UUID] = []
    amounts: list[int] = []
    for grant in await session.scalars(
        select(Grant)
        .where(Grant.organization_id == request.organization_id, ~Grant.closed)
        .order_by(Grant.priority, Grant.expires_at.nulls_last(), Grant.id)
    ):
        drawn = min(left, grant.remaining_nano - grant.held_nano)
        if drawn:
            grant.held_nano += drawn
            grant_ids.append(grant.id)
            amounts.append(drawn)
            left -= drawn
    wallet.available_nano -= request.quote_nano
    wallet.held_nano += request.quote_nano
    session.add(
        Hold(
            organization_id=request.organization_id,
            id=request.hold_id,
            created_at=request.created_at,
            lease_until=datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS),
            amount_nano=request.quote_nano,
            grant_ids=grant_ids,
            grant_amounts_nano=amounts,
            user_id=request.user_id,
            model_id=request.model_id,
            price_id=request.price_id,
            streamed=request.streamed,
            prompt_tokens=request.prompt_tokens,
        )
    )


async def settle(session: AsyncSession, request: HoldRequest, charge_nano: int) -> None:
    wallet = await session.get_one(Wallet, request.organization_id, with_for_update=True)
    hold = await session.get_one(Hold, (request.organization_id, request.hold_id))
    left = charge_nano
    burnt: list[int] = []
    for grant_id, held in zip(hold.grant_ids, hold.grant_amounts_nano, strict=True):
        grant = await session.get_one(Grant, (request.organization_id, grant_id))
        taken = min(left, held)
        grant.held_nano -= held
        grant.remaining_nano -= taken
        burnt.append(taken)
        left -= taken
    wallet.held_nano -= hold.amount_nano
    wallet.available_nano += hold.amount_nano - charge_nano
    wallet.sequence += 1
    session.add(Posting(organization_id=request.organization_id, id=request.hold_id, kind="charge"))
    session.add(
        UsageRecord(
            organization_id=request.organization_id,
            created_at=request.created_at,
            id=request.hold_id,
            settled_at=datetime.now(UTC),
            user_id=request.user_id,
            model_id=request.model_id,
            price_id=request.price_id,
            outcome="completed",
            http_status=200,
            streamed=False,
            estimated=False,
            **dict.fromkeys(
                (
                    "input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "reasoning", "audio_input",
                    "audio_output", "image", "per_request",
                ),
                1,
            ),
            hold_nano=hold.amount_nano,
            charge_nano=charge_nano,
            loss_nano=0,
            grant_ids=hold.grant_ids,
            grant_amounts_nano=burnt,
            latency_ms=1,
            attempts=[],
        )
    )  # fmt: skip
    await session.delete(hold)
    await session.flush()
    line = {"organization_id": request.organization_id, "posting_id": request.hold_id}
    balance = wallet.available_nano + wallet.held_nano
    await session.execute(
        insert(Entry).values(
            [
                {
                    **line, "account": "wallet", "amount_nano": -charge_nano, "sequence": wallet.sequence,
                    "balance_after_nano": balance,
                },
                {
                    **line, "account": "revenue", "amount_nano": charge_nano, "sequence": None,
                    "balance_after_nano": None,
                },
            ]
        )
    )  # fmt: skip
