"""Who is signed in, kept on the server: the browser holds a random id in a cookie, never an API token.

Each session is one file below the store's folder, named by the id's hash and encrypted, so that a restart
signs nobody out and a copied folder gives nothing away.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.requests import cookie_parser

SESSION_SECONDS_MAX = 30 * 24 * 3600
TICKET_SECONDS_MAX = 30
_TICKETS_MAX = 10_000
_NONCE_BYTES = 12


@dataclass(frozen=True)
class Place:
    """An organization the user is in, and their role there."""

    id: str
    name: str
    role: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    access_expires_at: float
    refresh_token: str
    user_id: str
    email: str
    name: str
    organization: str
    organization_id: str
    """The one at work in: every call names it."""
    organizations: tuple[Place, ...]
    admin: bool
    permissions: tuple[str, ...]
    """For what is shown, as of the last refresh. What is allowed, the API decides on every call."""
    time_zone: str
    """The zone that the user chose; UTC: none."""
    signed_in_at: float
    device_token: str = ""
    """Until the browser has it: it tells the API, at the next sign-in, that the device is known."""


class SessionStore:
    """Sessions by id. Every look-up reads the disk, so all processes of a machine see a sign-out at once."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder = folder
        self._cipher = AESGCM(key)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def add(self, session: Session) -> str:
        """Keep a session and return its new id, the only copy of which goes to the browser."""
        session_id = secrets.token_urlsafe(32)
        self.save(session_id, session)
        return session_id

    def save(self, session_id: str, session: Session) -> None:
        path = self._path(session_id)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, msgspec.json.encode(session), path.name.encode())
        draft = path.with_suffix(f".{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_bytes(sealed)
        draft.replace(path)

    def find(self, session_id: str | None) -> Session | None:
        """Return a live session; None for an unknown, ended, aged or tampered one."""
        if not session_id:
            return None
        path = self._path(session_id)
        try:
            sealed = path.read_bytes()
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], path.name.encode())
            session = msgspec.json.decode(plain, type=Session)
        except (OSError, ValueError, InvalidTag, msgspec.MsgspecError):
            return None
        if time.time() - session.signed_in_at > SESSION_SECONDS_MAX:
            self.end(session_id)
            return None
        return session

    def end(self, session_id: str) -> None:
        self._path(session_id).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what nobody has used for the longest time a session can live."""
        oldest = time.time() - SESSION_SECONDS_MAX
        for path in self._folder.iterdir():
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _path(self, session_id: str) -> Path:
        return self._folder / hashlib.sha256(session_id.encode()).hexdigest()


Kept = TypeVar("Kept")


class TicketOffice(Generic[Kept]):
    """One-time tickets: a handler cannot set a cookie, the POST that follows with what it kept here can."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, tuple[float, Kept, str]] = {}

    def issue(self, kept: Kept, next_path: str) -> str:
        now = self._clock()
        self._open = {ticket: entry for ticket, entry in self._open.items() if entry[0] > now}
        if len(self._open) >= _TICKETS_MAX:
            raise OverflowError("Too many sign-ins at once; try again in half a minute.")
        ticket = secrets.token_urlsafe(32)
        self._open[ticket] = (now + TICKET_SECONDS_MAX, kept, next_path)
        return ticket

    def redeem(self, ticket: str) -> tuple[Kept, str] | None:
        """Return what was kept and where to go; None for a ticket that is unknown, used or older than 30 s."""
        entry = self._open.pop(ticket, None)
        if entry is None or entry[0] <= self._clock():
            return None
        return entry[1], entry[2]


def read_cookie(header: str | None, name: str) -> str | None:
    """Return a cookie's value from a Cookie header, whatever other programs of the host have put beside it."""
    return cookie_parser(header or "").get(name)


def fingerprint(session_id: str | None) -> str:
    """Return what page state remembers of a session id: enough to see that it changed, useless as an id."""
    return hashlib.sha256(session_id.encode()).hexdigest()[:32] if session_id else ""


def binding(session_id: str | None, session: Session | None) -> str:
    """Return what page state belongs to: a session at work in one organization; empty for visitors."""
    return fingerprint(f"{session_id}/{session.organization_id}") if session_id and session else ""


def safe_path(path: str | None) -> str:
    """Return a path of this site to go to after signing in, or `/` for anything that could lead elsewhere."""
    if not path or not path.startswith("/") or path[1:2] in {"/", "\\"} or not path.isprintable():
        return "/"
    return path if not path.startswith(("/login", "/register", "/_auth")) else "/"
