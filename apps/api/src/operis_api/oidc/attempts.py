"""Sign-ins under way at a provider: each is one browser's, good once, for ten minutes."""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.sessions import Sessions
from operis_api.oidc.errors import IdentityRefused
from operis_db.people import ProviderAttempt

Purpose = Literal["sign_in", "link", "prove"]
LIFE = timedelta(minutes=10)


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser keeps, and what goes through the provider."""

    state: str
    browser_token: str
    """Not known to who sends somebody else's browser a link: a foreign answer signs nobody in."""
    nonce: str
    verifier: str


def begin() -> Begun:
    return Begun(
        state=secrets.token_urlsafe(32),
        browser_token=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
    )


def keep_attempt(session: AsyncSession, begun: Begun, *, provider: str, purpose: Purpose, user_id: UUID | None) -> None:
    session.add(
        ProviderAttempt(
            token_hash=_hash(begun.state),
            browser_hash=_hash(begun.browser_token),
            provider=provider,
            purpose=purpose,
            user_id=user_id,
            nonce=begun.nonce,
            verifier=begun.verifier,
            expires_at=func.now() + LIFE,
        )
    )


async def use_attempt(
    sessions: Sessions, state: str, browser_token: str, *, purpose: Purpose, user_id: UUID | None
) -> ProviderAttempt:
    """Use an attempt up, whatever comes of it, and return it; raises `IdentityRefused`."""
    gone = delete(ProviderAttempt).where(
        ProviderAttempt.token_hash == _hash(state), ProviderAttempt.expires_at > func.now()
    )
    async with sessions.begin() as session:
        row = await session.scalar(gone.returning(ProviderAttempt))
    if row is None or (row.purpose, row.user_id) != (purpose, user_id):
        raise IdentityRefused("Begin anew: this sign-in was finished, has expired, or was for something else.")
    if not hmac.compare_digest(row.browser_hash, _hash(browser_token)):
        raise IdentityRefused("This sign-in was begun in another browser.")
    return row


async def keep_proof(
    session: AsyncSession, *, provider: str, user_id: UUID, subject: str, email: str, browser_token: str
) -> str:
    """Return a token with which the account's password links this identity."""
    token = secrets.token_urlsafe(32)
    session.add(
        ProviderAttempt(
            token_hash=_hash(token),
            browser_hash=_hash(browser_token),
            provider=provider,
            purpose="prove",
            user_id=user_id,
            subject=subject,
            email=email,
            nonce="",
            verifier="",
            expires_at=func.now() + LIFE,
        )
    )
    await session.flush()
    return token


async def read_proof(session: AsyncSession, token: str, browser_token: str) -> ProviderAttempt:
    """Return what waits for a password, without using it, locked; raises `IdentityRefused`."""
    query = select(ProviderAttempt).where(
        ProviderAttempt.token_hash == _hash(token),
        ProviderAttempt.purpose == "prove",
        ProviderAttempt.expires_at > func.now(),
    )
    row = await session.scalar(query.with_for_update())
    if row is None or not hmac.compare_digest(row.browser_hash, _hash(browser_token)):
        raise IdentityRefused("Begin anew: this sign-in was finished, has expired, or was begun in another browser.")
    return row


async def forget_attempts(session: AsyncSession) -> None:
    """Delete what has expired."""
    await session.execute(delete(ProviderAttempt).where(ProviderAttempt.expires_at <= func.now()))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
