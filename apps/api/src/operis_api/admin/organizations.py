"""Every organization, for operators: found, opened with its members, suspended, and moved to another plan."""

from typing import Annotated, Literal, cast
from uuid import UUID

import msgspec
from litestar import Router, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.errors import OrganizationDeleted
from operis_api.admin.schemas import ChangePlanBody, OrganizationRow, ReasonBody
from operis_api.admin.wording import clean_reason
from operis_api.audit.recording import State, record_event
from operis_api.kit.errors import NotFound
from operis_api.kit.lists import After, Limit
from operis_api.kit.money import format_nano
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.ledger.wallets import Balance, read_balances
from operis_api.limits.fields import show_limits
from operis_api.organizations.members import list_members
from operis_api.organizations.schemas import MemberView
from operis_api.organizations.team_routes import show_member
from operis_db.people import ApiKey, Membership, Organization, Plan, Spending, User

EDITS = {"permission": "admin.organizations.edit"}


class _Row(msgspec.Struct, frozen=True):
    organization: Organization
    plan_name: str
    owner_email: str
    members: int
    keys: int
    spent_nano: int


@get("/", opt={"permission": "admin.organizations.view"}, operation_id="list_admin_organizations")
async def list_all(
    session: AsyncSession,
    search: Annotated[
        str | None, QueryParameter(max_length=200, description="Part of its name or of its owner's address.")
    ] = None,
    status: FromQuery[Literal["active", "suspended", "deleted"] | None] = None,
    personal: FromQuery[bool | None] = None,
    plan_id: FromQuery[UUID | None] = None,
    member_id: FromQuery[UUID | None] = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[OrganizationRow]:
    """List all organizations, newest first."""
    query = _rows().order_by(Organization.id.desc()).limit(limit + 1)
    equal = {Organization.status: status, Organization.personal: personal, Organization.plan_id: plan_id}
    query = query.where(*(column == value for column, value in equal.items() if value is not None))
    if member_id is not None:
        theirs = select(Membership.organization_id).where(Membership.user_id == member_id)
        query = query.where(Organization.id.in_(theirs))
    if after:
        query = query.where(Organization.id < decode_cursor(after, UUID))
    if search:
        said = search.strip()
        query = query.where(
            or_(Organization.name.icontains(said, autoescape=True), User.email.icontains(said, autoescape=True))
        )
    rows = [_Row(*row) for row in await session.execute(query)]
    balances = await read_balances(session, [row.organization.id for row in rows])
    return page(rows, limit=limit, position=lambda row: row.organization.id, item=lambda row: _show(row, balances))


@get("/{organization_id:uuid}", opt={"permission": "admin.organizations.view"}, operation_id="get_admin_organization")
async def get_one(session: AsyncSession, organization_id: FromPath[UUID]) -> OrganizationRow:
    """Return one organization with its plan, the sums of its wallet and its limits."""
    return await _read(session, organization_id)


@get(
    "/{organization_id:uuid}/members",
    opt={"permission": "admin.organizations.view"},
    operation_id="list_admin_members",
)
async def list_its_members(
    session: AsyncSession, organization_id: FromPath[UUID], limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[MemberView]:
    """List an organization's members with their roles, limits and how many keys they have there."""
    beyond = decode_cursor(after, UUID) if after else None
    rows = await list_members(session, organization_id, after=beyond, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.membership.user_id, item=show_member)


@post("/{organization_id:uuid}/suspend", opt=EDITS, status_code=200, operation_id="suspend_organization")
async def suspend(
    identity: Identity, session: AsyncSession, organization_id: FromPath[UUID], data: JSONBody[ReasonBody]
) -> OrganizationRow:
    """Suspend an organization: from the answer on none of its calls is admitted. Its people still sign in and read."""
    reason = clean_reason(data.reason)
    organization = await _lock(session, organization_id)
    before, organization.status, organization.suspended_reason = organization.status, "suspended", reason
    return await _recorded(
        session, identity, organization_id, "suspend", {"status": before}, {"status": "suspended"}, reason
    )


@post("/{organization_id:uuid}/unsuspend", opt=EDITS, status_code=200, operation_id="unsuspend_organization")
async def unsuspend(
    identity: Identity, session: AsyncSession, organization_id: FromPath[UUID], data: JSONBody[ReasonBody]
) -> OrganizationRow:
    """Lift the suspension: its keys work again."""
    reason = clean_reason(data.reason)
    organization = await _lock(session, organization_id)
    before, organization.status, organization.suspended_reason = organization.status, "active", None
    return await _recorded(
        session, identity, organization_id, "unsuspend", {"status": before}, {"status": "active"}, reason
    )


@put(
    "/{organization_id:uuid}/plan",
    opt={"permission": "admin.organizations.plan"},
    operation_id="change_organization_plan",
)
async def change_plan(
    identity: Identity, session: AsyncSession, organization_id: FromPath[UUID], data: JSONBody[ChangePlanBody]
) -> OrganizationRow:
    """Move an organization to another plan, whose limits and prices bind the next call; it gets no welcome grant."""
    reason = clean_reason(data.reason)
    organization = await _lock(session, organization_id)
    if await session.get(Plan, data.plan_id) is None:
        raise NotFound(f"There is no plan {data.plan_id}.")
    before, organization.plan_id = organization.plan_id, data.plan_id
    return await _recorded(
        session,
        identity,
        organization_id,
        "change_plan",
        {"plan_id": str(before)},
        {"plan_id": str(data.plan_id)},
        reason,
    )


async def _lock(session: AsyncSession, organization_id: UUID) -> Organization:
    organization = await session.get(Organization, organization_id, with_for_update={"key_share": True})
    if organization is None:
        raise NotFound(f"There is no organization {organization_id}.")
    if organization.status == "deleted":
        raise OrganizationDeleted("Nothing of it can be changed any more.")
    return organization


async def _recorded(
    session: AsyncSession,
    identity: Identity,
    organization_id: UUID,
    what: str,
    before: State,
    after: State,
    reason: str,
) -> OrganizationRow:
    record_event(
        session,
        identity.origin,
        action=f"organization.{what}",
        target=("organization", organization_id),
        organization_id=organization_id,
        before=before,
        after=after,
        reason=reason,
    )
    await session.flush()
    return await _read(session, organization_id)


async def _read(session: AsyncSession, organization_id: UUID) -> OrganizationRow:
    found = (await session.execute(_rows().where(Organization.id == organization_id))).first()
    if found is None:
        raise NotFound(f"There is no organization {organization_id}.")
    return _show(_Row(*found), await read_balances(session, [organization_id]))


def _rows():  # noqa: ANN202  # a typed SELECT says its type itself
    members = select(func.count()).where(Membership.organization_id == Organization.id).scalar_subquery()
    keys = (
        select(func.count())
        .where(ApiKey.organization_id == Organization.id, ApiKey.revoked_at.is_(None))
        .scalar_subquery()
    )
    spent = (
        select(func.coalesce(func.sum(Spending.spent_nano), 0))
        .where(Spending.organization_id == Organization.id, Spending.subject_id == Organization.id)
        .scalar_subquery()
    )
    return (
        select(Organization, Plan.name, User.email, members, keys, spent)
        .join(Plan, Plan.id == Organization.plan_id)
        .join(User, User.id == Organization.owner_id)
    )


def _show(row: _Row, balances: dict[UUID, Balance]) -> OrganizationRow:
    organization, balance = row.organization, balances[row.organization.id]
    return OrganizationRow(
        id=organization.id,
        name=organization.name,
        personal=organization.personal,
        status=cast("Literal['active', 'suspended', 'deleted']", organization.status),
        suspended_reason=organization.suspended_reason,
        plan_id=organization.plan_id,
        plan_name=row.plan_name,
        owner_id=organization.owner_id,
        owner_email=row.owner_email,
        members=row.members,
        keys=row.keys,
        timezone=organization.timezone,
        available=format_nano(balance.available_nano),
        held=format_nano(balance.held_nano),
        spent=format_nano(int(row.spent_nano)),
        created_at=organization.created_at,
        **msgspec.structs.asdict(show_limits(organization)),
    )


router = Router("/organizations", route_handlers=[list_all, get_one, list_its_members, suspend, unsuspend, change_plan])
