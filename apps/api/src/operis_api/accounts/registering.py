"""Signing up: a user with a personal organization, its wallet, and the plan's welcome grant."""

import re
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.accounts.errors import EmailTaken, InvalidEmail
from operis_api.accounts.passwords import hash_password
from operis_api.kit.errors import InvalidField
from operis_api.kit.ids import new_id
from operis_api.ledger.postings import Movement, credit_wallet
from operis_api.ledger.wallets import open_wallet
from operis_db.people import Membership, Organization, Plan, User

NAME_CHARACTERS_MAX = 120
# Deliberately loose: one @, something on both sides, no spaces or controls. Whether mail arrives is what counts.
_EMAIL = re.compile(r"[^\s@\x00-\x1f<>\"(),:;\[\]\\]{1,64}@[^\s@\x00-\x1f<>\"(),:;\[\]\\]{1,190}", re.ASCII)


async def register_user(
    session: AsyncSession, *, email: str, password: str, name: str, role: str = "user", verified: bool
) -> tuple[User, Organization]:
    """Create user and organization; the welcome grant follows once the address is `verified`.

    Raises `InvalidEmail`, `WeakPassword`, `InvalidField` or `EmailTaken`.
    """
    address = email.strip()
    if not _EMAIL.fullmatch(address):
        raise InvalidEmail("Write an address like ada@example.com.", field="email")
    shown = clean_name(name)
    user = User(
        id=new_id(),
        email=address,
        name=shown,
        password_hash=await hash_password(password, email=address),
        role=role,
        status="active",
        created_at=datetime.now(UTC),
    )
    session.add(user)
    try:
        await session.flush()
    except IntegrityError:
        raise EmailTaken("Sign in, or use another address.", field="email") from None
    plan = (await session.scalars(select(Plan).where(Plan.is_default))).one()
    organization = Organization(
        id=new_id(),
        name=shown,
        plan_id=plan.id,
        owner_id=user.id,
        personal=True,
        status="active",
        created_at=datetime.now(UTC),
    )
    session.add(organization)
    await session.flush()
    session.add(Membership(organization_id=organization.id, user_id=user.id, role="owner"))
    await open_wallet(session, organization.id)
    if verified:
        await verify_user(session, user)
    return user, organization


async def verify_user(session: AsyncSession, user: User) -> None:
    """Mark the address as verified, once, and give the personal organization its welcome grant."""
    if user.email_verified_at is not None:
        return
    user.email_verified_at = datetime.now(UTC)
    found = await session.execute(
        select(Organization.id, Plan.welcome_grant_nano)
        .join(Plan, Plan.id == Organization.plan_id)
        .where(Organization.owner_id == user.id, Organization.personal)
    )
    organization_id, amount_nano = found.tuples().one()
    if amount_nano > 0:
        movement = Movement(kind="welcome", account="promotions", reason="Welcome grant", actor_id=None)
        await credit_wallet(session, organization_id, movement, amount_nano=amount_nano, source="bonus")


async def count_users(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(User)) or 0


def clean_name(name: str) -> str:
    shown = " ".join(name.split())
    if not 0 < len(shown) <= NAME_CHARACTERS_MAX or not shown.isprintable():
        raise InvalidField("name", f"use 1 to {NAME_CHARACTERS_MAX} printable characters.")
    return shown
