"""Signing up, proving an address, passwords, and the signed-in user."""

from datetime import UTC, datetime
from typing import Literal, cast

import msgspec
from litestar import Router, get, patch, post
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.access.permissions import permissions_of
from operis_api.accounts.addresses import check_domain
from operis_api.accounts.errors import EmailTaken
from operis_api.accounts.inviting import check_invited, use_invitation
from operis_api.accounts.readdressing import ask_for_address, confirm_address, undo_address
from operis_api.accounts.recovering import reset_password, send_reset, set_password
from operis_api.accounts.registering import (
    Applicant,
    check_applicant,
    check_open,
    register_again,
    register_user,
    send_verification,
    take_over,
    verify_address,
    verify_user,
)
from operis_api.accounts.schemas import (
    AddressBody,
    ChangePasswordBody,
    ImpersonatedBy,
    Me,
    Organization,
    RegisterBody,
    ResetPasswordBody,
    TokenBody,
    UpdateMeBody,
    User,
    UserRole,
)
from operis_api.audit.recording import State as Facts
from operis_api.audit.recording import record_event
from operis_api.credentials.links import read_link
from operis_api.credentials.passwords import hash_password
from operis_api.kit.ids import new_id
from operis_api.kit.moments import check_time_zone
from operis_api.kit.naming import clean_name
from operis_api.kit.origin import AnyRequest, origin_of
from operis_api.kit.pacing import paced
from operis_api.kit.sessions import Sessions
from operis_api.mail.addresses import check_address
from operis_api.mail.outbox import Outbox
from operis_api.settings import Settings
from operis_api.signing_in.devices import ADDRESS_CHARACTERS_MAX, tries_of_account
from operis_api.signing_in.sessions import check_credentials, find_user, require_fresh
from operis_api.throttling.policies import LINK, MAIL_ADDRESS, MAIL_NETWORK, PROOF, SIGN_UP
from operis_api.throttling.throttles import Throttles, Try, network_of
from operis_db import people

REGISTER_STEP_SECONDS = 0.25
MAIL_STEP_SECONDS = 0.1
"""How long answers take, in steps, that must not tell by their time whether an address is known."""


@post("/register", opt={"public": True}, operation_id="register")
async def register(request: AnyRequest, state: State, data: JSONBody[RegisterBody]) -> Me:
    """Sign up: creates the user with a personal organization and, once verified, its welcome grant.

    In production the answer is the same for an address that has an account; its owner is told by mail. An invitation
    proves the address; one to an organization is accepted with it.
    """
    settings = cast("Settings", state["settings"])
    check_open(settings.registration, invited=data.invitation is not None)
    await _take(request, state, Try(SIGN_UP, _network(request)))
    check_domain(data.email.strip(), settings.registration_domains)
    if data.invitation is not None:
        return await _register_invited(request, state, data, data.invitation)
    if not settings.production:
        return await _register(request, state, data)
    async with paced(REGISTER_STEP_SECONDS):
        try:
            return await _register(request, state, data)
        except EmailTaken:  # by somebody who signed up in this very moment
            return await _register(request, state, data)


async def _register(request: AnyRequest, state: State, data: RegisterBody) -> Me:
    applicant = await _check_applicant(state, data)
    settings, outbox = cast("Settings", state["settings"]), _outbox(state)
    async with _sessions(state).begin() as session:
        known = await find_user(session, applicant.email)
        if known is not None and settings.production:
            await register_again(session, outbox, known, applicant)
            event = "user.register_again"
            user, organization = known, None
        else:
            user, organization = await register_user(session, applicant)
            await send_verification(session, outbox, user)
            if not settings.production:
                await verify_user(session, user, claim_key=_claim_key(state))
            event = "user.register"
        record_event(
            session,
            origin_of(request, user.id if organization else None),
            action=event,
            target=("user", user.id),
            organization_id=organization.id if organization else None,
        )
    return _welcome(user, organization) if organization else _pretend(applicant)


async def _register_invited(request: AnyRequest, state: State, data: RegisterBody, invitation: str) -> Me:
    async with _sessions(state)() as session:
        await check_invited(session, invitation, data.email.strip())
    applicant = await _check_applicant(state, data)
    async with _sessions(state).begin() as session:
        known = await find_user(session, applicant.email)
        if known is None:
            user, organization = await register_user(session, applicant)
        else:
            user = await session.get_one(people.User, known.id, with_for_update=True, populate_existing=True)
            await take_over(session, user, applicant)
            organization = await _personal(session, user)
        await verify_user(session, user, claim_key=_claim_key(state))
        joined = await use_invitation(session, invitation, user)
        origin = origin_of(request, user.id)
        record_event(
            session,
            origin,
            action="user.register",
            target=("user", user.id),
            organization_id=organization.id,
            after={"invited": True, "joined": str(joined.organization_id) if joined else None},
        )
        own = Organization(id=organization.id, name=organization.name, role="owner")
        organizations = [own]
        if joined is not None:
            shared = await session.get_one(people.Organization, joined.organization_id)
            organizations.append(Organization(id=shared.id, name=shared.name, role=joined.role))
        await session.flush()
        return _me(user, own, organizations)


async def _personal(session: AsyncSession, user: people.User) -> people.Organization:
    query = select(people.Organization).where(people.Organization.owner_id == user.id, people.Organization.personal)
    return (await session.scalars(query)).one()


async def _check_applicant(state: State, data: RegisterBody) -> Applicant:
    return await check_applicant(
        email=data.email, password=data.password, name=data.name, host=_host(state), locale=data.locale
    )


def _welcome(user: people.User, organization: people.Organization) -> Me:
    own = Organization(id=organization.id, name=organization.name, role="owner")
    return _me(user, own, [own])


def _pretend(applicant: Applicant) -> Me:
    """Answer what signing up with a new address answers: the ids are nobody's."""
    user = people.User(
        id=new_id(),
        email=applicant.email,
        name=applicant.name,
        role="user",
        status="active",
        locale=applicant.locale,
        time_zone="UTC",
        created_at=datetime.now(UTC),
    )
    return _welcome(user, people.Organization(id=new_id(), name=applicant.name))


@post("/verify-email", opt={"public": True}, status_code=204, operation_id="verify_email")
async def verify_email(request: AnyRequest, state: State, session: AsyncSession, data: JSONBody[TokenBody]) -> None:
    """Prove the address with the token that was mailed to it; the welcome grant follows."""
    await _take(request, state, Try(LINK, _network(request)))
    user = await verify_address(session, data.token, claim_key=_claim_key(state))
    record_event(session, origin_of(request, user.id), action="user.verify_email", target=("user", user.id))


@post("/verify-email/resend", opt={"public": True}, status_code=204, operation_id="resend_verification")
async def resend_verification(request: AnyRequest, state: State, data: JSONBody[AddressBody]) -> None:
    """Mail the link once more, where the address waits for it; the answer does not tell."""
    await _take_mail(request, state, data.email)
    async with paced(MAIL_STEP_SECONDS), _sessions(state).begin() as session:
        user = await find_user(session, check_address(data.email))
        if user is not None and user.email_verified_at is None and user.standing == "active":
            await send_verification(session, _outbox(state), user)
            record_event(session, origin_of(request), action="user.resend_verification", target=("user", user.id))


@post("/password/forgot", opt={"public": True}, status_code=204, operation_id="forgot_password")
async def forgot_password(request: AnyRequest, state: State, data: JSONBody[AddressBody]) -> None:
    """Mail a link to set a new password, where the address has an account; the answer does not tell."""
    await _take_mail(request, state, data.email)
    async with paced(MAIL_STEP_SECONDS), _sessions(state).begin() as session:
        user = await find_user(session, check_address(data.email))
        if user is not None and user.standing == "active":
            await send_reset(session, _outbox(state), user)
            record_event(session, origin_of(request), action="password.forget", target=("user", user.id))


@post("/password/reset", opt={"public": True}, status_code=204, operation_id="reset_password")
async def reset_forgotten_password(request: AnyRequest, state: State, data: JSONBody[ResetPasswordBody]) -> None:
    """Set a new password with the token that was mailed. All sessions end."""
    await _take(request, state, Try(LINK, _network(request)))
    async with _sessions(state)() as session:
        link = await read_link(session, data.token, purpose="reset_password")
        user = await session.get_one(people.User, link.user_id)
    hashed = await hash_password(data.new_password, email=user.email, name=user.name, host=_host(state))
    origin = origin_of(request, user.id)
    async with _sessions(state).begin() as session:
        await reset_password(
            session, _outbox(state), data.token, password_hash=hashed, origin=origin, claim_key=_claim_key(state)
        )
        record_event(session, origin, action="password.reset", target=("user", user.id))
    await _throttles(state).forgive(*tries_of_account(user.email, origin.address))


@post("/password/change", opt={"permission": "own"}, status_code=204, operation_id="change_password")
async def change_password(identity: Identity, state: State, data: JSONBody[ChangePasswordBody]) -> None:
    """Change the password, given the current one. All other sessions end."""
    one = Try(PROOF, str(identity.user_id))
    await _throttles(state).take(identity.origin.address, one)
    async with _sessions(state)() as session:
        user = await session.get_one(people.User, identity.user_id)
    await check_credentials(user, data.current_password)
    await _throttles(state).forgive(one)
    hashed = await hash_password(data.new_password, email=user.email, name=user.name, host=_host(state))
    async with _sessions(state).begin() as session:
        locked = await session.get_one(people.User, identity.user_id, with_for_update=True)
        await set_password(
            session,
            _outbox(state),
            locked,
            password_hash=hashed,
            origin=identity.origin,
            but_session=identity.session_id,
        )
        record_event(session, identity.origin, action="password.change", target=("user", identity.user_id))


@get("/me", opt={"permission": "own", "enrolling": True}, operation_id="get_me")
async def get_me(identity: Identity, session: AsyncSession) -> Me:
    """Return the signed-in user, the active organization, and all of the user's organizations."""
    return await _read_me(session, identity)


@patch("/me", opt={"permission": "own"}, operation_id="update_me")
async def update_me(identity: Identity, session: AsyncSession, data: JSONBody[UpdateMeBody]) -> Me:
    """Change the user's name, language or time zone."""
    user = await session.get_one(people.User, identity.user_id, with_for_update=True)
    before = _profile(user)
    if data.name is not UNSET:
        user.name = clean_name(data.name)
    if data.locale is not UNSET:
        user.locale = data.locale
    if data.time_zone is not UNSET:
        user.time_zone = check_time_zone("time_zone", data.time_zone)
    record_event(
        session,
        identity.origin,
        action="user.update",
        target=("user", user.id),
        before=before,
        after=_profile(user),
    )
    await session.flush()
    return await _read_me(session, identity)


def _profile(user: people.User) -> Facts:
    return {"name": user.name, "locale": user.locale, "time_zone": user.time_zone}


async def _read_me(session: AsyncSession, identity: Identity) -> Me:
    user = await session.get_one(people.User, identity.user_id)
    rows = await session.execute(
        select(people.Organization.id, people.Organization.name, people.Membership.role)
        .join(people.Membership, people.Membership.organization_id == people.Organization.id)
        .where(people.Membership.user_id == identity.user_id)
        .order_by(people.Organization.created_at, people.Organization.id)
        .limit(200)
    )
    organizations = [Organization(id=row.id, name=row.name, role=row.role) for row in rows]
    active = next(found for found in organizations if found.id == identity.organization_id)
    by = identity.impersonator
    me = _me(user, active, organizations)
    if by is None:
        return me
    return msgspec.structs.replace(
        me,
        permissions=[permission for permission in me.permissions if permission.endswith(".view")],
        impersonated_by=ImpersonatedBy(id=by.operator_id, email=by.email, name=by.name, expires_at=by.expires_at),
    )


def _me(user: people.User, active: Organization, organizations: list[Organization]) -> Me:
    return Me(
        user=_user(user),
        organization=active,
        organizations=organizations,
        permissions=permissions_of(organization_role=active.role, operator_role=user.role),
    )


def _user(row: people.User) -> User:
    return User(
        id=row.id,
        email=row.email,
        email_verified=row.email_verified_at is not None,
        name=row.name,
        role=cast("UserRole", row.role),
        status=cast("Literal['active', 'suspended']", row.standing),
        locale=cast("Literal['en', 'vi']", row.locale),
        time_zone=row.time_zone,
        created_at=row.created_at,
    )


async def _take(request: AnyRequest, state: State, *tries: Try) -> None:
    await _throttles(state).take(origin_of(request).address, *tries)


async def _take_mail(request: AnyRequest, state: State, email: str) -> None:
    """Count a mail that somebody asks for: to this address, and from this network."""
    to = email.strip().lower()[:ADDRESS_CHARACTERS_MAX]
    await _take(request, state, Try(MAIL_ADDRESS, to), Try(MAIL_NETWORK, _network(request)))


def _network(request: AnyRequest) -> str:
    return network_of(origin_of(request).address)


def _throttles(state: State) -> Throttles:
    return cast("Throttles", state["throttles"])


def _sessions(state: State) -> Sessions:
    return cast("Sessions", state["sessions"])


def _outbox(state: State) -> Outbox:
    return cast("Outbox", state["outbox"])


def _host(state: State) -> str:
    return cast("Settings", state["settings"]).dashboard_host


def _claim_key(state: State) -> bytes:
    return cast("bytes", state["claim_key"])


@post("/me/address", opt={"permission": "own"}, status_code=204, operation_id="change_address")
async def change_address(identity: Identity, state: State, data: JSONBody[AddressBody]) -> None:
    """Ask for another address: a link goes there. Asks for a recent proof of who one is."""
    address = check_address(data.email)
    await _throttles(state).take(
        identity.origin.address, Try(MAIL_ADDRESS, address.lower()), Try(MAIL_ADDRESS, str(identity.user_id))
    )
    async with paced(MAIL_STEP_SECONDS), _sessions(state).begin() as session:
        await require_fresh(session, identity.session_id)
        user = await session.get_one(people.User, identity.user_id, with_for_update=True)
        await ask_for_address(session, _outbox(state), user, address)
        record_event(session, identity.origin, action="user.ask_for_address", target=("user", user.id))


@post("/address/confirm", opt={"public": True}, status_code=204, operation_id="confirm_address")
async def confirm_new_address(request: AnyRequest, state: State, data: JSONBody[TokenBody]) -> None:
    """Make the address that the token was mailed to the account's. The old one is told, and can undo it for a week."""
    await _take(request, state, Try(LINK, _network(request)))
    origin = origin_of(request)
    async with _sessions(state).begin() as session:
        user = await confirm_address(session, _outbox(state), data.token, origin=origin)
        record_event(session, origin_of(request, user.id), action="user.change_address", target=("user", user.id))


@post("/address/undo", opt={"public": True}, status_code=204, operation_id="undo_address")
async def undo_new_address(request: AnyRequest, state: State, data: JSONBody[TokenBody]) -> None:
    """Give the account its old address back: ends all sessions, and mails a link to set a new password."""
    await _take(request, state, Try(LINK, _network(request)))
    async with _sessions(state).begin() as session:
        user = await undo_address(session, _outbox(state), data.token)
        record_event(session, origin_of(request, user.id), action="user.undo_address", target=("user", user.id))


auth_router = Router(
    "/auth",
    route_handlers=[
        register,
        verify_email,
        resend_verification,
        forgot_password,
        reset_forgotten_password,
        change_password,
        confirm_new_address,
        undo_new_address,
    ],
    tags=["sign-in"],
)
me_router = Router("/", route_handlers=[get_me, update_me, change_address], tags=["me"])
