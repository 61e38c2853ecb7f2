"""What one running dashboard shares between its pages: settings, sessions, tickets and the way to the API."""

import asyncio
import os
import time
from collections.abc import Collection
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from weakref import WeakValueDictionary

import httpx
import msgspec

from operis_client import ApiError, AsyncOperis, OperisError
from operis_client.models import Departure, Me, SignIn, Tokens
from operis_dashboard.session import Place, Session, SessionStore, TicketOffice
from operis_dashboard.settings import Settings, read_session_key, read_settings

_TOKEN_SECONDS_LEFT_MIN = 30
"""An access token with less time left is refreshed before it is used."""


@dataclass(frozen=True)
class Browser:
    """Told to the API, so that its throttles and lists of sessions see people rather than this process."""

    address: str = ""
    agent: str = ""


_NO_BROWSER = Browser()
browser: ContextVar[Browser] = ContextVar("browser", default=_NO_BROWSER)
"""The one that the call under way is for."""


class SignedOutError(Exception):
    """There is no session any more, here or at the API. The viewer is sent to sign in."""


class OrganizationLostError(Exception):
    """The user is no longer in the organization that they were at work in; they are in their own now."""


class SecondFactorMissingError(Exception):
    """Operators need a second factor here, and this one has none: they are sent to enrol it."""


class SecondFactorAskedError(Exception):
    """The password was right, and a second factor is asked for."""

    def __init__(self, mfa_token: str, methods: Collection[str]) -> None:
        super().__init__("A second factor is asked for.")
        self.mfa_token = mfa_token
        self.methods = methods


@cache
def settings() -> Settings:
    return read_settings(os.environ)


@cache
def cookie_name() -> str:
    """Return the session cookie's name; by https browsers enforce the prefix: Secure, this host, every path."""
    return "__Host-operis_session" if settings().secure else "operis_session"


def device_cookie_name() -> str:
    """Return the name of the cookie that tells the API, at sign-in, that it knows this browser."""
    return cookie_name().replace("_session", "_device")


@cache
def sessions() -> SessionStore:
    store = SessionStore(settings().home / "dashboard" / "sessions", read_session_key(settings()))
    store.sweep()
    return store


tickets: TicketOffice[Session] = TicketOffice()
departures: TicketOffice[Departure] = TicketOffice()
_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
_http: list[httpx.AsyncClient] = []


async def _tell_browser(request: httpx.Request) -> None:
    for name, value in (("x-forwarded-for", browser.get().address), ("user-agent", browser.get().agent)):
        if told := "".join(sign for sign in value if " " <= sign <= "~"):
            request.headers[name] = told


def http() -> httpx.AsyncClient:
    """Return the process's one connection pool to the API, opened in the event loop that uses it."""
    if not _http:
        _http.append(
            httpx.AsyncClient(
                timeout=httpx.Timeout(30.0, connect=5.0),
                limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
                event_hooks={"request": [_tell_browser]},
                trust_env=False,  # the API is ours: never through a proxy meant for the internet
            )
        )
    return _http[0]


async def close_http() -> None:
    while _http:
        await _http.pop().aclose()


def anonymous() -> AsyncOperis:
    """Return a client without a token, for signing up and in."""
    return AsyncOperis(settings().api_url, http=http())


async def connect(session_id: str | None, *, renew: bool = False) -> AsyncOperis:
    """Return a client that acts as the session's user, its token good for at least 30 s.

    `renew` fetches a fresh token whatever the old one's age. Raises `SignedOutError` when the session has
    ended here or at the API.
    """
    session = sessions().find(session_id)
    if session is None or session_id is None:
        raise SignedOutError
    if renew or _is_stale(session):
        session = await _refresh(session_id, session)
    return AsyncOperis(
        settings().api_url, token=session.access_token, organization_id=session.organization_id or None, http=http()
    )


async def open_session(email: str, password: str, *, device_token: str | None = None) -> Session:
    """Sign in at the API and return the session to keep, or raise `SecondFactorAskedError`."""
    return await keep_session(await anonymous().login(email=email, password=password, device_token=device_token))


async def keep_session(answer: SignIn) -> Session:
    """Return the session to keep, or raise `SecondFactorAskedError`."""
    if answer.mfa_required:
        raise SecondFactorAskedError(answer.mfa_token, answer.mfa_methods)
    tokens = Tokens(
        access_token=answer.access_token,
        expires_in=answer.expires_in,
        refresh_token=answer.refresh_token,
        device_token=answer.device_token,
    )
    return await _begin(tokens)


async def finish_session(mfa_token: str, code: str, *, device_token: str | None = None) -> Session:
    """Sign in with the second factor that was asked for."""
    return await _begin(
        await anonymous().verify_second_factor(mfa_token=mfa_token, code=code, device_token=device_token)
    )


async def open_session_by_passkey(
    credential: dict[str, object], *, mfa_token: str | None, device_token: str | None = None
) -> Session:
    """Sign in with a passkey: alone, or as the second factor that was asked for."""
    return await _begin(
        await anonymous().finish_passkey_sign_in(credential=credential, mfa_token=mfa_token, device_token=device_token)
    )


async def enter_organization(session_id: str, organization_id: str) -> None:
    """Put the session to work in another organization; raises `ApiError` if the user is not in it."""
    operis = await connect(session_id)
    await _note_person(session_id, operis.for_organization(organization_id))


async def reread_session(session_id: str) -> None:
    """Take over what has changed about the user and their organizations; from one that was lost, go to their own."""
    operis = await connect(session_id)
    try:
        await _note_person(session_id, operis)
    except ApiError as error:
        if error.status != 404:
            raise
        operis.organization_id = None
        await _note_person(session_id, operis)


async def _begin(tokens: Tokens) -> Session:
    operis = anonymous()
    operis.token = tokens.access_token
    now = time.time()
    session = Session(
        access_token=tokens.access_token,
        access_expires_at=now + tokens.expires_in,
        refresh_token=tokens.refresh_token,
        user_id="",
        email="",
        name="",
        organization="",
        organization_id="",
        organizations=(),
        admin=False,
        permissions=(),
        time_zone="",
        signed_in_at=now,
        device_token=tokens.device_token,
    )
    return _with_person(session, await operis.get_me())


async def _note_person(session_id: str, operis: AsyncOperis) -> None:
    me = await operis.get_me()
    session = sessions().find(session_id)
    if session is None:
        raise SignedOutError
    sessions().save(session_id, _with_person(session, me))


def _with_person(session: Session, me: Me) -> Session:
    return msgspec.structs.replace(
        session,
        user_id=me.user.id,
        email=me.user.email,
        name=me.user.name,
        organization=me.organization.name,
        organization_id=me.organization.id,
        organizations=tuple(Place(found.id, found.name, found.role) for found in me.organizations),
        admin=me.user.role != "user",
        permissions=tuple(me.permissions),
        time_zone=me.user.time_zone,
    )


def _is_stale(session: Session) -> bool:
    return session.access_expires_at - time.time() < _TOKEN_SECONDS_LEFT_MIN


async def _refresh(session_id: str, seen: Session) -> Session:
    """Refresh once for all tabs: refresh tokens are used up, and a second use would end the session."""
    lock = _locks.setdefault(session_id, asyncio.Lock())
    async with lock:
        session = sessions().find(session_id)
        if session is None:
            raise SignedOutError
        if session.refresh_token != seen.refresh_token:
            return session
        operis = anonymous()
        try:
            tokens = await operis.refresh(refresh_token=session.refresh_token)
        except ApiError as error:
            if error.status in {400, 401, 403}:
                sessions().end(session_id)
                raise SignedOutError from error
            raise
        session = msgspec.structs.replace(
            session,
            access_token=tokens.access_token,
            access_expires_at=time.time() + tokens.expires_in,
            refresh_token=tokens.refresh_token,
        )
        _save_unless_signed_out(session_id, session)  # at once: the old refresh token is used up
        operis.token = tokens.access_token
        session = await _reread_person(operis, session)
        _save_unless_signed_out(session_id, session)
        return session


def _save_unless_signed_out(session_id: str, session: Session) -> None:
    """Keep the session, unless its owner signed out while we asked the API: that must not bring it back."""
    if sessions().find(session_id) is None:
        raise SignedOutError
    sessions().save(session_id, session)


async def _reread_person(operis: AsyncOperis, session: Session) -> Session:
    """Take over a new name or role, so that what is shown is at most one token old."""
    try:
        return _with_person(session, await operis.for_organization(session.organization_id).get_me())
    except OperisError:
        return session
