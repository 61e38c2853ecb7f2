"""Making, handing on and ending organizations. Whoever changes a team locks its organization's row first."""

from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import ForUpdateArg

from operis_api.keys.changing import revoke_keys
from operis_api.kit.errors import InvalidField, NotFound
from operis_api.kit.ids import new_id
from operis_api.kit.moments import check_time_zone
from operis_api.kit.money import format_nano
from operis_api.kit.naming import clean_name
from operis_api.ledger.wallets import lock_balance, open_wallet
from operis_api.organizations.errors import CallsRunning, CreditsLeft, PersonalOrganization, TooManyOrganizations
from operis_db.people import Invitation, Membership, Organization, Plan, User

OWNED_MAX = 20
"""Shared organizations of one owner."""
_LOCK = ForUpdateArg(key_share=True)
"""Rows that only point at the locked one need not wait."""
UNANSWERED = Invitation.accepted_at.is_(None) & Invitation.revoked_at.is_(None)


async def create_organization(session: AsyncSession, *, owner_id: UUID, name: str) -> Organization:
    """Make a shared organization with an empty wallet on the default plan; raises `TooManyOrganizations`.

    Its wallet gets no welcome grant: that is one for each user.
    """
    await session.get_one(User, owner_id, with_for_update=_LOCK)  # so that two at once are counted one after the other
    await refuse_one_more(session, owner_id)
    plan_id = (await session.scalars(select(Plan.id).where(Plan.is_default))).one()
    organization = Organization(
        id=new_id(), name=clean_name(name), plan_id=plan_id, owner_id=owner_id, personal=False, status="active"
    )
    session.add(organization)
    await session.flush()
    session.add(Membership(organization_id=organization.id, user_id=owner_id, role="owner"))
    await open_wallet(session, organization.id)
    await session.refresh(organization)
    return organization


async def hand_on(session: AsyncSession, organization_id: UUID, *, to: UUID) -> None:
    """Make a member the owner, and the owner an admin; raises `PersonalOrganization`, `NotFound` or `InvalidField`."""
    organization = await lock_organization(session, organization_id)
    refuse_personal(organization)
    if to == organization.owner_id:
        raise InvalidField("user_id", "this is the owner already.")
    heir = await session.get(Membership, (organization_id, to), with_for_update=True)
    user = await session.get(User, to, with_for_update=_LOCK)
    if heir is None or user is None or user.standing != "active":
        raise NotFound("There is no active member by that id.")
    await refuse_one_more(session, to)
    owner = await session.get_one(Membership, (organization_id, organization.owner_id), with_for_update=True)
    owner.role = "admin"
    await session.flush()  # before the next owner: the database lets there be one only
    heir.role = "owner"
    organization.owner_id = to


async def delete_organization(session: AsyncSession, organization_id: UUID) -> None:
    """End a shared organization: its keys are revoked, its members leave, its ledger stays.

    Raises `CallsRunning` while a hold is open and `CreditsLeft` while there is money that was paid, refunded or given
    by hand. Free credits and bonuses are forfeited; they expire where they are.
    """
    balance = await lock_balance(session, organization_id)  # first, as every call does: none is admitted after it
    organization = await lock_organization(session, organization_id)
    refuse_personal(organization)
    if balance.held_nano > 0 or balance.open_holds > 0:
        raise CallsRunning("Wait until they have ended.", retry_after_seconds=5)
    if balance.owned_nano > 0:
        raise CreditsLeft("Spend them, or ask the operator to pay them out.", credits=format_nano(balance.owned_nano))
    await revoke_keys(session, organization_id)
    invited = update(Invitation).where(Invitation.organization_id == organization_id, UNANSWERED)
    await session.execute(invited.values(revoked_at=func.now()))
    await session.execute(delete(Membership).where(Membership.organization_id == organization_id))
    organization.status = "deleted"


async def lock_organization(session: AsyncSession, organization_id: UUID) -> Organization:
    """Return the organization, its row locked; one that is deleted is not found."""
    organization = await session.get(Organization, organization_id, with_for_update=_LOCK, populate_existing=True)
    if organization is None or organization.status == "deleted":
        raise NotFound(f"There is no organization {organization_id}.")
    return organization


async def check_timezone(session: AsyncSession, name: str) -> str:
    """Return the zone's name, or raise `InvalidField` where we or the database, which counts in it, do not know it."""
    check_time_zone("timezone", name)
    known = text("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = :name)")
    if not await session.scalar(known, {"name": name}):
        raise InvalidField("timezone", "name a zone like Europe/Berlin.")
    return name


def refuse_personal(organization: Organization) -> None:
    if organization.personal:
        raise PersonalOrganization("Make a shared organization to work with others.")


async def refuse_one_more(session: AsyncSession, owner_id: UUID) -> None:
    """Raise `TooManyOrganizations` where the user owns as many shared ones as may be."""
    owned = await session.scalar(
        select(func.count()).where(
            Organization.owner_id == owner_id, ~Organization.personal, Organization.status != "deleted"
        )
    )
    if (owned or 0) >= OWNED_MAX:
        raise TooManyOrganizations(f"One user may own {OWNED_MAX} shared ones.", limit=OWNED_MAX)
