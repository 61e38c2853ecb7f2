"""Users and their wallets, for operators."""

from datetime import UTC, datetime
from typing import Annotated, cast
from uuid import UUID

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity, has_second_factor
from operis_api.access.suspending import lift, suspend
from operis_api.accounts.registering import verify_user
from operis_api.accounts.schemas import Locale, UserRole
from operis_api.admin.errors import NotYourself
from operis_api.admin.operators import lock_subject, refuse_last
from operis_api.admin.schemas import AdjustBody, Adjustment, UpdateUserBody, UserRow, UserStatus
from operis_api.admin.wording import clean_reason
from operis_api.audit.recording import State as Facts
from operis_api.audit.recording import record_event
from operis_api.kit.encryption import Vault
from operis_api.kit.errors import InvalidField, NotFound
from operis_api.kit.idempotency import IdempotencyKey, Replay, read_body
from operis_api.kit.lists import After, Limit
from operis_api.kit.moments import check_moment
from operis_api.kit.money import format_nano, parse_nano
from operis_api.kit.naming import clean_name
from operis_api.kit.origin import AnyRequest
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.ledger.corrections import adjust_wallet
from operis_api.ledger.routes import show_wallet
from operis_api.ledger.schemas import Wallet
from operis_api.ledger.wallets import Balance, read_balances
from operis_api.signing_in.sessions import end_all_sessions
from operis_db.people import ApiKey, Organization, Session, Spending, User


class _Row(msgspec.Struct, frozen=True):
    user: User
    organization_id: UUID
    organization_name: str
    spent_nano: int
    keys: int
    last_seen_at: datetime | None
    second_factor: bool


@get("/users", opt={"permission": "admin.users.view"}, operation_id="list_users")
async def list_users(
    session: AsyncSession,
    search: Annotated[str | None, QueryParameter(max_length=200, description="Part of a name or address.")] = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[UserRow]:
    """List users, newest first, with their personal organization's wallet."""
    query = _rows().order_by(User.id.desc()).limit(limit + 1)
    if after:
        query = query.where(User.id < decode_cursor(after, UUID))
    if search:
        pattern = "%" + search.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        query = query.where(or_(User.email.ilike(pattern), User.name.ilike(pattern)))
    rows = [_Row(*row) for row in await session.execute(query)]
    balances = await read_balances(session, [row.organization_id for row in rows])
    return page(rows, limit=limit, position=lambda row: row.user.id, item=lambda row: _user_row(row, balances))


@get("/users/{user_id:uuid}", opt={"permission": "admin.users.view"}, operation_id="get_user")
async def get_user(session: AsyncSession, user_id: FromPath[UUID]) -> UserRow:
    """Return one user."""
    return await _read_user(session, user_id)


@patch("/users/{user_id:uuid}", opt={"permission": "admin.users.edit"}, operation_id="update_user")
async def update_user(
    identity: Identity, state: State, session: AsyncSession, user_id: FromPath[UUID], data: JSONBody[UpdateUserBody]
) -> UserRow:
    """Suspend a user, for good or until a moment, lift that, correct name and language, or verify the address.

    From the answer on it is in force everywhere.
    """
    reason = clean_reason(data.reason)
    if all(value is UNSET for value in (data.status, data.email_verified, data.name, data.locale)):
        raise InvalidField("status", "send status, email_verified, name or locale.")
    until = _check_end(data)
    user = await lock_subject(session, identity, user_id)
    before = _facts(user)
    if data.status is not UNSET:
        if user_id == identity.user_id:
            raise NotYourself("Ask another administrator to suspend you.")
        if data.status == "suspended":
            suspend(user, reason=reason, until=until)
            await end_all_sessions(session, user_id, "suspended")
            await refuse_last(session)
        else:
            lift(user)
    if data.name is not UNSET:
        user.name = clean_name(data.name)
    if data.locale is not UNSET:
        user.locale = data.locale
    if data.email_verified is not UNSET:
        await verify_user(session, user, claim_key=cast("bytes", state["claim_key"]))
    record_event(
        session,
        identity.origin,
        action="user.update",
        target=("user", user_id),
        before=before,
        after=_facts(user),
        reason=reason,
    )
    await session.flush()
    return await _read_user(session, user_id)


def _check_end(data: UpdateUserBody) -> datetime | None:
    """Return when the suspension is to end; raises `InvalidField` where that is past, or nobody is suspended."""
    if data.suspended_until is None:
        return None
    end = check_moment("suspended_until", data.suspended_until)
    if data.status != "suspended" or end <= datetime.now(UTC):
        raise InvalidField("suspended_until", "send a moment to come, together with status suspended.")
    return end


def _facts(user: User) -> Facts:
    end = user.suspended_until
    return {
        "status": user.standing,
        "suspended_until": None if end is None else end.isoformat(),
        "email_verified": user.email_verified_at is not None,
        "name": user.name,
        "locale": user.locale,
    }


@get(
    "/wallets/{organization_id:uuid}", opt={"permission": "admin.wallets.view"}, operation_id="get_organization_wallet"
)
async def get_organization_wallet(session: AsyncSession, organization_id: FromPath[UUID]) -> Wallet:
    """Return an organization's wallet with its grants."""
    return await show_wallet(session, organization_id)


@post(
    "/wallets/{organization_id:uuid}/adjust",
    opt={"permission": "admin.wallets.adjust"},
    status_code=201,
    operation_id="adjust_wallet",
)
async def adjust(
    request: AnyRequest,
    identity: Identity,
    state: State,
    session: AsyncSession,
    organization_id: FromPath[UUID],
    data: JSONBody[AdjustBody],
    idempotency_key: IdempotencyKey = None,
) -> Response[Adjustment]:
    """Credit (positive) or debit (negative) a wallet, with a reason."""
    replay = Replay(
        session,
        cast("Vault", state["vault"]),
        user_id=identity.user_id,
        operation="adjust_wallet",
        key=idempotency_key,
    )
    if kept := await replay.answer(await read_body(request)):
        return cast("Response[Adjustment]", kept)
    amount_nano, reason = parse_nano("amount", data.amount), clean_reason(data.reason)
    if amount_nano == 0:
        raise InvalidField("amount", "zero moves nothing.")
    posting_id = await adjust_wallet(
        session, organization_id, amount_nano=amount_nano, reason=reason, actor_id=identity.user_id
    )
    record_event(
        session,
        identity.origin,
        action="wallet.adjust",
        target=("wallet", organization_id),
        organization_id=organization_id,
        after={"amount": format_nano(amount_nano), "posting_id": str(posting_id)},
        reason=reason,
    )
    await session.flush()
    answer = Adjustment(
        posting_id=posting_id,
        amount=format_nano(amount_nano),
        wallet=await show_wallet(session, organization_id),
    )
    return cast("Response[Adjustment]", replay.keep(201, answer))


async def _read_user(session: AsyncSession, user_id: UUID) -> UserRow:
    found = (await session.execute(_rows().where(User.id == user_id))).first()
    if found is None:
        raise NotFound(f"There is no user {user_id}.")
    row = _Row(*found)
    return _user_row(row, await read_balances(session, [row.organization_id]))


def _rows():  # noqa: ANN202  # a typed SELECT says its type itself
    """Select users with the personal organization."""
    spent = (
        select(func.coalesce(func.sum(Spending.spent_nano), 0))
        .where(Spending.organization_id == Organization.id, Spending.subject_id == Organization.id)
        .scalar_subquery()
    )
    keys = (
        select(func.count())
        .where(ApiKey.organization_id == Organization.id, ApiKey.revoked_at.is_(None))
        .scalar_subquery()
    )
    seen = select(func.max(Session.rotated_at)).where(Session.user_id == User.id).scalar_subquery()
    return (
        select(User, Organization.id, Organization.name, spent, keys, seen, has_second_factor())
        .select_from(User)
        .join(Organization, (Organization.owner_id == User.id) & Organization.personal)
    )


def _user_row(row: _Row, balances: dict[UUID, Balance]) -> UserRow:
    user, balance = row.user, balances[row.organization_id]
    suspended = user.standing == "suspended"
    return UserRow(
        id=user.id,
        email=user.email,
        name=user.name,
        role=cast("UserRole", user.role),
        status=cast("UserStatus", user.standing),
        suspended_until=user.suspended_until if suspended else None,
        suspended_reason=user.suspended_reason if suspended else None,
        erase_at=user.erase_at if user.status == "erasing" else None,
        locale=cast("Locale", user.locale),
        email_verified=user.email_verified_at is not None,
        second_factor=row.second_factor,
        organization_id=row.organization_id,
        organization_name=row.organization_name,
        available=format_nano(balance.available_nano),
        held=format_nano(balance.held_nano),
        spent=format_nano(int(row.spent_nano)),
        keys=row.keys,
        created_at=user.created_at,
        last_seen_at=row.last_seen_at,
    )


router = Router(
    "/",
    route_handlers=[list_users, get_user, update_user, get_organization_wallet, adjust],
)
