"""The organizations of the signed-in user. The one in the path is the one the request is about."""

from typing import Literal, cast
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.access.permissions import OF_ORGANIZATIONS
from operis_api.audit.recording import record_event
from operis_api.kit.errors import InvalidField
from operis_api.kit.lists import After, Limit
from operis_api.kit.naming import clean_name
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.limits.fields import limit_facts, set_limits, show_limits
from operis_api.organizations import auditing, team_routes
from operis_api.organizations.members import lock_member, remove_member
from operis_api.organizations.owning import (
    check_timezone,
    create_organization,
    delete_organization,
    hand_on,
    lock_organization,
)
from operis_api.organizations.schemas import (
    CreateOrganizationBody,
    OrganizationView,
    Role,
    TransferBody,
    UpdateOrganizationBody,
)
from operis_db.people import Membership, Organization


@get("/", opt={"permission": "own"}, operation_id="list_organizations")
async def list_all(
    identity: Identity, session: AsyncSession, limit: Limit = LIMIT_DEFAULT, after: After = None
) -> Page[OrganizationView]:
    """List the organizations the user is in, the oldest first, with the user's role in each."""
    query = _seen_by(identity.user_id).order_by(Organization.id).limit(limit + 1)
    if after:
        query = query.where(Organization.id > decode_cursor(after, UUID))
    rows = [row.tuple() for row in await session.execute(query)]
    return page(rows, limit=limit, position=lambda row: row[0].id, item=_show)


@post("/", opt={"permission": "own"}, operation_id="create_organization")
async def create(identity: Identity, session: AsyncSession, data: JSONBody[CreateOrganizationBody]) -> OrganizationView:
    """Make a shared organization, with the user as its owner and an empty wallet."""
    organization = await create_organization(session, owner_id=identity.user_id, name=data.name)
    record_event(
        session,
        identity.origin,
        action="organization.create",
        target=("organization", organization.id),
        organization_id=organization.id,
        after={"name": organization.name},
    )
    return await _read(session, organization.id, identity.user_id)


@get("/{organization_id:uuid}", opt={"permission": "organization.view"}, operation_id="get_organization")
async def get_one(identity: Identity, session: AsyncSession, organization_id: FromPath[UUID]) -> OrganizationView:
    """Return one organization."""
    return await _read(session, organization_id, identity.user_id)


@patch("/{organization_id:uuid}", opt={"permission": "organization.edit"}, operation_id="update_organization")
async def update(
    identity: Identity, session: AsyncSession, organization_id: FromPath[UUID], data: JSONBody[UpdateOrganizationBody]
) -> OrganizationView:
    """Change the name, the time zone in which budgets' days, weeks and months begin, or what all its calls may use."""
    if all(member is UNSET for member in msgspec.structs.astuple(data)):
        raise InvalidField("name", "send name, timezone or a limit.")
    organization = await lock_organization(session, organization_id)
    before = _facts(organization)
    if data.name is not UNSET:
        organization.name = clean_name(data.name)
    if data.timezone is not UNSET:
        organization.timezone = await check_timezone(session, data.timezone)
    set_limits(organization, data)
    record_event(
        session,
        identity.origin,
        action="organization.update",
        target=("organization", organization_id),
        organization_id=organization_id,
        before=before,
        after=_facts(organization),
    )
    await session.flush()
    return await _read(session, organization_id, identity.user_id)


@delete("/{organization_id:uuid}", opt={"permission": "organization.delete"}, operation_id="delete_organization")
async def delete_one(identity: Identity, session: AsyncSession, organization_id: FromPath[UUID]) -> None:
    """Delete a shared organization for good. Its keys end with it; its ledger stays."""
    await delete_organization(session, organization_id)
    record_event(
        session,
        identity.origin,
        action="organization.delete",
        target=("organization", organization_id),
        organization_id=organization_id,
    )


@post(
    "/{organization_id:uuid}/leave",
    opt={"permission": "organization.leave"},
    status_code=204,
    operation_id="leave_organization",
)
async def leave(identity: Identity, session: AsyncSession, organization_id: FromPath[UUID]) -> None:
    """Leave an organization; one's keys there end. Its owner hands it on first."""
    membership = await lock_member(session, organization_id, identity.user_id)
    role = membership.role
    await remove_member(session, membership)
    record_event(
        session,
        identity.origin,
        action="member.leave",
        target=("user", identity.user_id),
        organization_id=organization_id,
        before={"role": role},
    )


@post(
    "/{organization_id:uuid}/transfer",
    opt={"permission": "organization.transfer"},
    status_code=200,
    operation_id="transfer_organization",
)
async def transfer(
    identity: Identity, session: AsyncSession, organization_id: FromPath[UUID], data: JSONBody[TransferBody]
) -> OrganizationView:
    """Make another member the owner; the one who was becomes an admin."""
    await hand_on(session, organization_id, to=data.user_id)
    record_event(
        session,
        identity.origin,
        action="organization.transfer",
        target=("organization", organization_id),
        organization_id=organization_id,
        before={"owner_id": str(identity.user_id)},
        after={"owner_id": str(data.user_id)},
    )
    await session.flush()
    return await _read(session, organization_id, identity.user_id)


def _facts(organization: Organization) -> dict[str, str | int | bool | None]:
    return {"name": organization.name, "timezone": organization.timezone, **limit_facts(organization)}


async def _read(session: AsyncSession, organization_id: UUID, user_id: UUID) -> OrganizationView:
    return _show((await session.execute(_seen_by(user_id).where(Organization.id == organization_id))).one().tuple())


def _seen_by(user_id: UUID):  # noqa: ANN202  # a typed SELECT says its type itself
    members = (
        select(func.count()).where(Membership.organization_id == Organization.id).correlate(Organization)
    ).scalar_subquery()
    return (
        select(Organization, Membership.role, members)
        .join(Membership, Membership.organization_id == Organization.id)
        .where(Membership.user_id == user_id)
        .execution_options(populate_existing=True)
    )


def _show(row: tuple[Organization, str, int]) -> OrganizationView:
    organization, role, members = row
    return OrganizationView(
        id=organization.id,
        name=organization.name,
        personal=organization.personal,
        status=cast("Literal['active', 'suspended', 'deleted']", organization.status),
        timezone=organization.timezone,
        role=cast("Role", role),
        permissions=[permission for permission, roles in OF_ORGANIZATIONS.items() if role in roles],
        members=members,
        created_at=organization.created_at,
        **msgspec.structs.asdict(show_limits(organization)),
    )


router = Router(
    "/organizations",
    route_handlers=[
        list_all,
        create,
        get_one,
        update,
        delete_one,
        leave,
        transfer,
        *team_routes.handlers,
        auditing.list_audit,
    ],
    tags=["organizations"],
)
