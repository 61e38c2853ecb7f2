"""Signing up: a user with a personal organization, its wallet, and after verification the plan's welcome grant."""

from datetime import UTC, datetime
from typing import Literal

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.accounts.addresses import hash_person, is_disposable
from operis_api.accounts.errors import EmailTaken, RegistrationClosed
from operis_api.credentials.errors import LinkRefused
from operis_api.credentials.links import LIVES, make_link, use_link, void_links
from operis_api.credentials.passwords import hash_password
from operis_api.credentials.second_factors import remove_all
from operis_api.kit.ids import new_id
from operis_api.kit.naming import clean_name
from operis_api.ledger.postings import Movement, credit_wallet
from operis_api.ledger.wallets import open_wallet
from operis_api.mail.addresses import check_address
from operis_api.mail.outbox import Outbox
from operis_api.signing_in.sessions import end_all_sessions
from operis_db.people import Membership, Organization, Plan, User, WelcomeClaim

CLAIM_KEY = "welcome-claim"
"""The purpose of the derived key that hashes the mailboxes that got a welcome grant."""


class Applicant(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who wants to sign up, checked."""

    email: str
    name: str
    password_hash: str
    locale: str = "en"


def check_open(registration: Literal["open", "invite", "closed"], *, invited: bool) -> None:
    """Raise `RegistrationClosed` where nobody may sign up, or only who is invited."""
    if registration == "closed" or (registration == "invite" and not invited):
        raise RegistrationClosed(
            "Sign-up is by invitation here: use the link of yours, or ask the operator for one."
            if registration == "invite"
            else "Ask the operator for an account."
        )


async def check_applicant(*, email: str, password: str, name: str, host: str, locale: str = "en") -> Applicant:
    """Return the applicant, or raise `InvalidEmail`, `InvalidField` or `WeakPassword`; hold no connection meanwhile."""
    address, shown = check_address(email), clean_name(name)
    hashed = await hash_password(password, email=address, name=shown, host=host)
    return Applicant(email=address, name=shown, password_hash=hashed, locale=locale)


async def register_user(
    session: AsyncSession, applicant: Applicant, *, role: str = "user"
) -> tuple[User, Organization]:
    """Create user and organization; the welcome grant follows with `verify_user`. Raises `EmailTaken`."""
    user = User(
        id=new_id(),
        email=applicant.email,
        name=applicant.name,
        password_hash=applicant.password_hash,
        role=role,
        status="active",
        locale=applicant.locale,
        time_zone="UTC",
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
        name=user.name,
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
    return user, organization


async def register_again(session: AsyncSession, outbox: Outbox, user: User, applicant: Applicant) -> None:
    """Tell the address's owner that somebody signed up with it once more.

    Where it was never verified the newest applicant counts: older links are void, and an older password with them.
    The work of a first sign-up is done as well and taken back, so that the time it takes does not tell.
    """
    nobody = msgspec.structs.replace(applicant, email=f"{new_id()}@taken.invalid")
    async with session.begin_nested() as first:
        await register_user(session, nobody)
        await first.rollback()
    if user.email_verified_at is None:
        user.name, user.password_hash, user.locale = applicant.name, applicant.password_hash, applicant.locale
        await send_verification(session, outbox, user)
    else:
        outbox.put(
            session,
            to=user.email,
            user_id=user.id,
            template="already_registered",
            locale=user.locale,
            name=user.name,
            link=outbox.link("/login"),
        )


async def take_over(session: AsyncSession, user: User, applicant: Applicant) -> None:
    """Let the newest applicant count, who proves the address that nobody proved before; raises `EmailTaken`.

    Nothing stays of whoever signed up before.
    """
    if user.email_verified_at is not None:
        raise EmailTaken("Sign in, then accept the invitation.", field="email")
    user.name, user.password_hash, user.locale = applicant.name, applicant.password_hash, applicant.locale
    await end_all_sessions(session, user.id, "taken_over")
    await remove_all(session, user.id)
    await void_links(session, user.id, "reset_password", "confirm_address", "second_factor")


async def send_verification(session: AsyncSession, outbox: Outbox, user: User) -> None:
    token = await make_link(session, user_id=user.id, purpose="verify_email", address=user.email)
    outbox.put(
        session,
        to=user.email,
        user_id=user.id,
        template="verify_email",
        locale=user.locale,
        hours=str(LIVES["verify_email"].days * 24),
        link=outbox.link("/verify-email", token),
    )


async def verify_address(session: AsyncSession, token: str, *, claim_key: bytes) -> User:
    """Use the link that was mailed at sign-up up; raises `LinkRefused` where the address is another by now."""
    link = await use_link(session, token, purpose="verify_email")
    user = await session.get_one(User, link.user_id, with_for_update=True)
    if user.email.lower() != link.address.lower():
        raise LinkRefused("The address was changed since; ask for a new link.")
    await verify_user(session, user, claim_key=claim_key)
    return user


async def verify_user(session: AsyncSession, user: User, *, claim_key: bytes) -> None:
    """Mark the address as verified, once, and give the personal organization its welcome grant.

    There is one grant for each mailbox, however its address is spelled, and none for a disposable one.
    """
    if user.email_verified_at is not None:
        return
    user.email_verified_at = datetime.now(UTC)
    await void_links(session, user.id, "verify_email")
    found = await session.execute(
        select(Organization.id, Plan.welcome_grant_nano)
        .join(Plan, Plan.id == Organization.plan_id)
        .where(Organization.owner_id == user.id, Organization.personal)
    )
    organization_id, amount_nano = found.tuples().one()
    if amount_nano > 0 and not is_disposable(user.email) and await _claim_welcome(session, user.email, claim_key):
        movement = Movement(kind="welcome", account="promotions", reason="Welcome grant", actor_id=None)
        await credit_wallet(session, organization_id, movement, amount_nano=amount_nano, source="bonus")


async def _claim_welcome(session: AsyncSession, address: str, key: bytes) -> bool:
    """Tell whether this mailbox is the first to ask."""
    claim = insert(WelcomeClaim).values(address_hash=hash_person(address, key)).on_conflict_do_nothing()
    return await session.scalar(claim.returning(WelcomeClaim.created_at)) is not None
