"""Signing in with a provider, and the signed-in user's identities there.

No transaction spans a call of a provider: an attempt is used up, the provider is asked, then all is written.
"""

import secrets
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from litestar import Router, delete, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.accounts.addresses import check_domain
from operis_api.accounts.inviting import check_invited, use_invitation
from operis_api.accounts.registering import Applicant, check_open, register_user, verify_user
from operis_api.audit.recording import record_event
from operis_api.credentials.links import make_link
from operis_api.credentials.passwords import rehash
from operis_api.credentials.second_factors import list_methods
from operis_api.kit.naming import CHARACTERS_MAX
from operis_api.kit.origin import AnyRequest, Origin, origin_of
from operis_api.kit.sessions import Sessions
from operis_api.kit.tokens import TokenSigner
from operis_api.mail.addresses import check_address
from operis_api.mail.notifying import notify
from operis_api.mail.outbox import Outbox
from operis_api.oidc.attempts import begin, keep_attempt, keep_proof, read_proof, use_attempt
from operis_api.oidc.errors import MailUnproven
from operis_api.oidc.identities import find_identity, find_own, link_identity, list_identities
from operis_api.oidc.providers import Providers
from operis_api.oidc.schemas import (
    Departure,
    FinishProviderBody,
    IdentityView,
    ProveBody,
    ProviderAnswerBody,
    ProviderView,
)
from operis_api.oidc.tokens import Person
from operis_api.settings import IdentityProvider, Settings
from operis_api.signing_in.devices import attempt_of, recognize_device
from operis_api.signing_in.errors import InvalidCredentials
from operis_api.signing_in.refusing import note_refusal
from operis_api.signing_in.schemas import SignIn
from operis_api.signing_in.sessions import (
    check_credentials,
    check_may_sign_in,
    find_user,
    require_fresh,
    start_session,
)
from operis_api.throttling.policies import LINK, SIGN_UP
from operis_api.throttling.throttles import Throttles, Try, network_of
from operis_db.people import ProviderIdentity, User


@get("/", opt={"public": True}, operation_id="list_identity_providers")
async def list_providers(state: State) -> list[ProviderView]:
    """List the providers that one can sign in with here."""
    return [ProviderView(name=one.name, title=one.title or one.name) for one in _providers(state).configured]


@post("/{provider:str}/begin", opt={"public": True}, status_code=200, operation_id="begin_provider_sign_in")
async def begin_sign_in(request: AnyRequest, state: State, provider: FromPath[str]) -> Departure:
    """Begin signing in: send the browser to `url`, and keep `browser_token` where only it finds it."""
    await _take(request, state, Try(LINK, _network(request)))
    return await _begin(state, provider, None)


@post("/finish", opt={"public": True}, status_code=200, operation_id="finish_provider_sign_in")
async def finish_sign_in(request: AnyRequest, state: State, data: JSONBody[FinishProviderBody]) -> SignIn:
    """Sign in with what the provider sent back; who is new here signs up by it, under the rules for that.

    An account with this address is not taken over: its password links it (`prove_identity`).
    """
    await _take(request, state, Try(LINK, _network(request)))
    provider, person = await _find_out(state, data, user_id=None)
    async with _sessions(state)() as session:
        linked = await find_identity(session, provider.issuer, person.subject)
    if linked is not None:
        return await _sign_in_linked(request, state, linked, data.device_token)
    address = _proven_address(person)
    async with _sessions(state)() as session:
        known = await find_user(session, address)
    if known is not None:
        async with _sessions(state).begin() as session:
            token = await keep_proof(
                session,
                provider=provider.name,
                user_id=known.id,
                subject=person.subject,
                email=address,
                browser_token=data.browser_token,
            )
        return SignIn(password_required=True, link_token=token)
    return await _sign_up(request, state, provider, person, address, data)


@post("/prove", opt={"public": True}, status_code=200, operation_id="prove_identity")
async def prove(request: AnyRequest, state: State, data: JSONBody[ProveBody]) -> SignIn:
    """Link the identity to the account that has its address, by that account's password, and sign in."""
    sessions, throttles, origin = _sessions(state), _throttles(state), origin_of(request)
    await _take(request, state, Try(LINK, _network(request)))
    async with sessions() as session:
        waiting = await read_proof(session, data.link_token, data.browser_token)
        user = await session.get_one(User, waiting.user_id)
        device_id = await recognize_device(session, _signer(state), user.id, data.device_token)
    attempt = attempt_of(user.email, device_id, origin.address)
    await throttles.take(origin.address, *attempt.tries)
    try:
        await check_credentials(user, data.password)
    except InvalidCredentials:
        await note_refusal(sessions, origin, user, "session.refuse")
        raise
    await throttles.forgive(*attempt.forgiven)
    origin = origin_of(request, user.id)
    async with sessions.begin() as session:
        waiting = await read_proof(session, data.link_token, data.browser_token)
        locked = await check_may_sign_in(session, user.id)
        if waiting.email is None or locked.email.lower() != waiting.email.lower():
            raise MailUnproven("The account's address was changed meanwhile.")
        provider = _providers(state).find(waiting.provider)
        await link_identity(session, provider, user.id, subject=waiting.subject or "", email=waiting.email)
        await session.delete(waiting)
        _tell(session, state, locked, origin, provider, "identity_linked", "identity.link")
        return await _enter(session, state, locked, device_id, origin, noted=False)


@get("/", opt={"permission": "own"}, operation_id="list_identities")
async def list_own(identity: Identity, state: State, session: AsyncSession) -> list[IdentityView]:
    """List who the user is at the providers, oldest first."""
    titles = {one.name: one.title or one.name for one in _providers(state).configured}
    return [
        IdentityView(
            id=row.id,
            provider=row.provider,
            title=titles.get(row.provider, row.provider),
            email=row.email,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
        )
        for row in await list_identities(session, identity.user_id)
    ]


@post("/{provider:str}/begin", opt={"permission": "own"}, status_code=200, operation_id="begin_link")
async def begin_link(identity: Identity, state: State, provider: FromPath[str]) -> Departure:
    """Begin linking an identity; asks for a recent proof of who one is."""
    async with _sessions(state)() as session:
        await require_fresh(session, identity.session_id)
    return await _begin(state, provider, identity.user_id)


@post("/finish", opt={"permission": "own"}, status_code=204, operation_id="finish_link")
async def finish_link(identity: Identity, state: State, data: JSONBody[ProviderAnswerBody]) -> None:
    """Link the identity that the provider sent back with, whatever its mail address is."""
    async with _sessions(state)() as session:
        await require_fresh(session, identity.session_id)
    provider, person = await _find_out(state, data, user_id=identity.user_id)
    async with _sessions(state).begin() as session:
        user = await session.get_one(User, identity.user_id)
        await link_identity(session, provider, user.id, subject=person.subject, email=person.email)
        _tell(session, state, user, identity.origin, provider, "identity_linked", "identity.link")


@delete("/{identity_id:uuid}", opt={"permission": "own"}, operation_id="unlink_identity")
async def unlink(identity: Identity, state: State, session: AsyncSession, identity_id: FromPath[UUID]) -> None:
    """Unlink an identity: it signs in no more. Asks for a recent proof of who one is."""
    row = await find_own(session, identity.user_id, identity_id)
    await require_fresh(session, identity.session_id)
    await session.delete(row)
    user = await session.get_one(User, identity.user_id)
    notify(session, _outbox(state), user, "identity_unlinked", identity.origin, provider=row.provider)
    record_event(session, identity.origin, action="identity.unlink", target=("user", identity.user_id))


async def _begin(state: State, name: str, user_id: UUID | None) -> Departure:
    provider, begun = _providers(state).find(name), begin()
    url = await _providers(state).address_of(provider, state=begun.state, nonce=begun.nonce, verifier=begun.verifier)
    async with _sessions(state).begin() as session:
        purpose = "sign_in" if user_id is None else "link"
        keep_attempt(session, begun, provider=provider.name, purpose=purpose, user_id=user_id)
    return Departure(url=url, browser_token=begun.browser_token)


async def _find_out(state: State, data: ProviderAnswerBody, *, user_id: UUID | None) -> tuple[IdentityProvider, Person]:
    """Return the attempt's provider, and who came back from there."""
    purpose = "sign_in" if user_id is None else "link"
    attempt = await use_attempt(_sessions(state), data.state, data.browser_token, purpose=purpose, user_id=user_id)
    provider = _providers(state).find(attempt.provider)
    person = await _providers(state).find_out(
        provider, code=data.code, issuer=data.iss, nonce=attempt.nonce, verifier=attempt.verifier
    )
    return provider, person


def _proven_address(person: Person) -> str:
    if not person.email or not person.email_verified:
        raise MailUnproven("Prove your address there, or sign up with a password.")
    return check_address(person.email)


async def _sign_in_linked(
    request: AnyRequest, state: State, linked: ProviderIdentity, device_token: str | None
) -> SignIn:
    origin = origin_of(request, linked.user_id)
    async with _sessions(state).begin() as session:
        device_id = await recognize_device(session, _signer(state), linked.user_id, device_token)
        row = await find_own(session, linked.user_id, linked.id)
        user = await check_may_sign_in(session, linked.user_id)
        row.last_used_at = datetime.now(UTC)
        return await _enter(session, state, user, device_id, origin, noted=True)


async def _sign_up(
    request: AnyRequest,
    state: State,
    provider: IdentityProvider,
    person: Person,
    address: str,
    data: FinishProviderBody,
) -> SignIn:
    """Make an account as `register` does; its password is nobody's until one is set by mail."""
    settings = cast("Settings", state["settings"])
    check_open(settings.registration, invited=data.invitation is not None)
    await _take(request, state, Try(SIGN_UP, _network(request)))
    check_domain(address, settings.registration_domains)
    if data.invitation is not None:
        async with _sessions(state)() as session:
            await check_invited(session, data.invitation, address)
    applicant = Applicant(
        email=address,
        name=_name_of(person, address),
        password_hash=await rehash(secrets.token_urlsafe(48)),
        locale=data.locale,
    )
    async with _sessions(state).begin() as session:
        user, organization = await register_user(session, applicant)
        await verify_user(session, user, claim_key=cast("bytes", state["claim_key"]))
        if data.invitation is not None:
            await use_invitation(session, data.invitation, user)
        await link_identity(session, provider, user.id, subject=person.subject, email=address)
        origin = origin_of(request, user.id)
        record_event(
            session,
            origin,
            action="user.register",
            target=("user", user.id),
            organization_id=organization.id,
            after={"provider": provider.name},
        )
        return await _enter(session, state, user, None, origin, noted=True)


async def _enter(
    session: AsyncSession, state: State, user: User, device_id: UUID | None, origin: Origin, *, noted: bool
) -> SignIn:
    """Start a session, or ask for the second factor: a provider does not stand for that."""
    if methods := await list_methods(session, user.id):
        token = await make_link(session, user_id=user.id, purpose="second_factor", address=user.email)
        return SignIn(mfa_required=True, mfa_token=token, mfa_methods=methods)
    tokens = await start_session(session, _signer(state), _outbox(state), user, device_id=device_id, origin=origin)
    if noted:
        record_event(session, origin, action="session.start", target=("user", user.id), after={"by": "provider"})
    return SignIn(
        access_token=tokens.access_token,
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
        device_token=tokens.device_token,
        token_type=tokens.token_type,
    )


def _tell(
    session: AsyncSession,
    state: State,
    user: User,
    origin: Origin,
    provider: IdentityProvider,
    template: str,
    action: str,
) -> None:
    """Write the change into the log, and to the user."""
    notify(session, _outbox(state), user, template, origin, provider=provider.title or provider.name)
    record_event(session, origin, action=action, target=("user", user.id), after={"provider": provider.name})


def _name_of(person: Person, address: str) -> str:
    """Return the name that the provider knows, as far as it can be one here."""
    shown = " ".join("".join(sign if sign.isprintable() else " " for sign in person.name or "").split())
    return shown[:CHARACTERS_MAX].strip() or address.partition("@")[0]


async def _take(request: AnyRequest, state: State, *tries: Try) -> None:
    await _throttles(state).take(origin_of(request).address, *tries)


def _network(request: AnyRequest) -> str:
    return network_of(origin_of(request).address)


def _providers(state: State) -> Providers:
    return cast("Providers", state["providers"])


def _signer(state: State) -> TokenSigner:
    return cast("TokenSigner", state["signer"])


def _sessions(state: State) -> Sessions:
    return cast("Sessions", state["sessions"])


def _throttles(state: State) -> Throttles:
    return cast("Throttles", state["throttles"])


def _outbox(state: State) -> Outbox:
    return cast("Outbox", state["outbox"])


sign_in_router = Router(
    "/auth/providers", route_handlers=[list_providers, begin_sign_in, finish_sign_in, prove], tags=["sign-in"]
)
router = Router("/me/identities", route_handlers=[list_own, begin_link, finish_link, unlink], tags=["me"])
