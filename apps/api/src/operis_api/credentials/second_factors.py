"""A user's second factor: an authenticator, passkeys, or both, and recovery codes for when they are lost.

The authenticator's secret is sealed, recovery codes are hashed. Each code works once.
"""

import hashlib
import hmac
import re
import secrets
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.credentials.errors import InvalidCode, SecondFactorEnabled, SecondFactorMissing
from operis_api.credentials.passkeys import count_passkeys, remove_passkeys
from operis_api.credentials.totp import find_step, make_secret
from operis_api.kit.encryption import Vault
from operis_db.people import RecoveryCode, SecondFactor

Method = Literal["totp", "passkey", "recovery_code"]
RECOVERY_CODES = 10
_RECOVERY_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_RECOVERY_CHARACTERS = 10


class Safe(msgspec.Struct, frozen=True):
    """What second factors are kept with: the vault of the secrets, and the key that hashes recovery codes."""

    vault: Vault
    recovery_key: bytes


async def enrol(session: AsyncSession, safe: Safe, user_id: UUID) -> bytes:
    """Return a new secret that counts once a code of it is shown; raises `SecondFactorEnabled`."""
    found = await session.get(SecondFactor, user_id, with_for_update=True)
    if found is not None and found.confirmed_at is not None:
        raise SecondFactorEnabled("Turn it off first to use another device.")
    secret = make_secret()
    sealed = safe.vault.seal(secret, context=_context(user_id))
    if found is None:
        session.add(SecondFactor(user_id=user_id, secret_encrypted=sealed, last_step=0))
    else:
        found.secret_encrypted, found.last_step = sealed, 0
    return secret


async def confirm(session: AsyncSession, safe: Safe, user_id: UUID, code: str) -> list[str]:
    """Turn the second factor on and return its recovery codes, which are shown this once.

    Raises `SecondFactorMissing`, `SecondFactorEnabled` or `InvalidCode`.
    """
    found = await session.get(SecondFactor, user_id, with_for_update=True)
    if found is None:
        raise SecondFactorMissing("Ask for a secret first.")
    if found.confirmed_at is not None:
        raise SecondFactorEnabled("It is on already.")
    _use_step(safe, found, code)
    found.confirmed_at = datetime.now(UTC)
    return await replace_recovery_codes(session, safe, user_id)


async def check_code(
    session: AsyncSession, safe: Safe, user_id: UUID, code: str
) -> Literal["authenticator", "recovery"]:
    """Use a code up, of either kind, and say which it was; raises `SecondFactorMissing` or `InvalidCode`."""
    found = await session.get(SecondFactor, user_id, with_for_update=True)
    confirmed = found is not None and found.confirmed_at is not None
    if not confirmed and not await count_passkeys(session, user_id):
        raise SecondFactorMissing("There is no second factor.")
    plain = re.sub(r"[\s-]", "", code).lower()
    if found is not None and confirmed and plain.isdigit() and len(plain) < _RECOVERY_CHARACTERS:
        _use_step(safe, found, plain)
        return "authenticator"
    used = await session.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user_id,
            RecoveryCode.code_hash == _hash(safe, user_id, plain),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=func.now())
        .returning(RecoveryCode.user_id)
    )
    if used.first() is None:
        raise InvalidCode("Use the newest code, or a recovery code that was not used before.")
    return "recovery"


async def replace_recovery_codes(session: AsyncSession, safe: Safe, user_id: UUID) -> list[str]:
    """Return ten new recovery codes; the old ones are void."""
    codes = [_make_recovery_code() for _ in range(RECOVERY_CODES)]
    await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    session.add_all(RecoveryCode(user_id=user_id, code_hash=_hash(safe, user_id, code)) for code in codes)
    half = _RECOVERY_CHARACTERS // 2
    return [f"{code[:half]}-{code[half:]}" for code in codes]


async def remove(session: AsyncSession, user_id: UUID) -> bool:
    """Turn the authenticator off; tells whether there was one."""
    gone = await session.execute(
        delete(SecondFactor).where(SecondFactor.user_id == user_id).returning(SecondFactor.confirmed_at)
    )
    row = gone.first()
    await drop_idle_codes(session, user_id)
    return row is not None and row.confirmed_at is not None


async def remove_all(session: AsyncSession, user_id: UUID) -> bool:
    """Take every second factor away; tells whether there was any."""
    had_passkeys = await remove_passkeys(session, user_id)
    return await remove(session, user_id) or had_passkeys


async def drop_idle_codes(session: AsyncSession, user_id: UUID) -> None:
    """Delete the recovery codes of a user who has nothing left to recover."""
    if not await list_methods(session, user_id):
        await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


async def list_methods(session: AsyncSession, user_id: UUID) -> list[Method]:
    """Return by what the user shows a second factor; none: there is none, and none is asked for."""
    methods: list[Method] = []
    if await read_confirmed_at(session, user_id) is not None:
        methods.append("totp")
    if await count_passkeys(session, user_id):
        methods.append("passkey")
    return [*methods, "recovery_code"] if methods else []


async def read_confirmed_at(session: AsyncSession, user_id: UUID) -> datetime | None:
    """Return since when the user has an authenticator; None where there is none."""
    return await session.scalar(select(SecondFactor.confirmed_at).where(SecondFactor.user_id == user_id))


async def count_recovery_codes(session: AsyncSession, user_id: UUID) -> int:
    """Return how many are left."""
    left = select(func.count()).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    return await session.scalar(left) or 0


def _make_recovery_code() -> str:
    return "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(_RECOVERY_CHARACTERS))


def _use_step(safe: Safe, found: SecondFactor, code: str) -> None:
    secret = safe.vault.open(found.secret_encrypted, context=_context(found.user_id))
    now = datetime.now(UTC).timestamp()
    step = find_step(secret, code.strip(), now_seconds=now, after_step=found.last_step)
    if step is None:
        raise InvalidCode("Use the newest code of your authenticator; each works once.")
    found.last_step = step


def _hash(safe: Safe, user_id: UUID, code: str) -> bytes:
    return hmac.digest(safe.recovery_key, f"{user_id}/{code}".encode(errors="replace"), hashlib.sha256)


def _context(user_id: UUID) -> str:
    return f"second-factor/{user_id}"
