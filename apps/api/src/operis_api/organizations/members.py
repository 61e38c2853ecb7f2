"""Members of an organization: their roles, their limits, and their end. Each change locks the organization first."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.permissions import OF_ORGANIZATIONS
from operis_api.keys.changing import revoke_keys
from operis_api.kit.errors import NotFound
from operis_api.organizations.errors import OwnerStays, TooManyMembers
from operis_api.organizations.owning import UNANSWERED, lock_organization
from operis_db.people import ApiKey, Invitation, Membership, User

MEMBERS_MAX = 500
"""With those who are invited."""


class Member(msgspec.Struct, frozen=True):
    membership: Membership
    email: str
    name: str
    status: str
    keys: int


async def list_members(
    session: AsyncSession, organization_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[Member]:
    """Return the members in the order of their ids, one more than `limit`."""
    query = _members(organization_id).order_by(Membership.user_id).limit(limit + 1)
    if after is not None:
        query = query.where(Membership.user_id > after)
    return [Member(*row) for row in await session.execute(query)]


async def read_member(session: AsyncSession, organization_id: UUID, user_id: UUID) -> Member:
    row = (await session.execute(_members(organization_id).where(Membership.user_id == user_id))).first()
    if row is None:
        raise NotFound(f"There is no member {user_id} in this organization.")
    return Member(*row)


async def lock_member(session: AsyncSession, organization_id: UUID, user_id: UUID) -> Membership:
    """Return a membership, with its organization locked before it."""
    await lock_organization(session, organization_id)
    membership = await session.get(Membership, (organization_id, user_id), with_for_update=True)
    if membership is None:
        raise NotFound(f"There is no member {user_id} in this organization.")
    return membership


async def change_role(session: AsyncSession, membership: Membership, role: str) -> None:
    """Give a member another role; keys of one who may have none any more are revoked. Raises `OwnerStays`."""
    if "owner" in {role, membership.role}:
        raise OwnerStays("Hand the organization on instead: that changes both roles at once.")
    membership.role = role
    if role not in OF_ORGANIZATIONS["keys.edit"]:
        await revoke_keys(session, membership.organization_id, of=membership.user_id)


async def remove_member(session: AsyncSession, membership: Membership) -> None:
    """End a membership and the keys that only this member may use; raises `OwnerStays`."""
    if membership.role == "owner":
        raise OwnerStays("Hand the organization on first.")
    await revoke_keys(session, membership.organization_id, of=membership.user_id)
    await session.delete(membership)


async def refuse_full(session: AsyncSession, organization_id: UUID) -> None:
    """Raise `TooManyMembers` where members and unanswered invitations are as many as may be."""
    members = select(func.count()).where(Membership.organization_id == organization_id).scalar_subquery()
    invited = select(func.count()).where(Invitation.organization_id == organization_id, UNANSWERED).scalar_subquery()
    if (await session.scalar(select(members + invited)) or 0) >= MEMBERS_MAX:
        raise TooManyMembers(f"With those invited it may have {MEMBERS_MAX}.", limit=MEMBERS_MAX)


def _members(organization_id: UUID):  # noqa: ANN202  # a typed SELECT says its type itself
    keys = (
        select(func.count())
        .where(
            ApiKey.organization_id == Membership.organization_id,
            ApiKey.user_id == Membership.user_id,
            ApiKey.revoked_at.is_(None),
        )
        .correlate(Membership)
        .scalar_subquery()
    )
    return (
        select(Membership, User.email, User.name, User.standing, keys)
        .join(User, User.id == Membership.user_id)
        .where(Membership.organization_id == organization_id)
    )
