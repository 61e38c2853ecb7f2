"""Passwords: argon2id in two threads of its own, so that sign-ins never make streams wait."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from operis_api.accounts.errors import WeakPassword

CHARACTERS_MIN = 8
CHARACTERS_MAX = 256
# OWASP's second recommendation for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
_DECOY = _hasher.hash("nobody's password")


async def hash_password(password: str) -> str:
    """Return the hash that is stored; raises `WeakPassword` outside 8 to 256 characters."""
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        raise WeakPassword(
            f"Use {CHARACTERS_MIN} to {CHARACTERS_MAX} characters.", field="password", minimum=CHARACTERS_MIN
        )
    if len(set(password)) < 4:
        raise WeakPassword("Use more than three different characters.", field="password")
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def verify_password(stored: str | None, password: str) -> bool:
    """Tell whether the password is right; for nobody (None) it takes as long and is wrong."""
    found = await asyncio.get_running_loop().run_in_executor(_threads, _verify, stored or _DECOY, password)
    return found and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password[: CHARACTERS_MAX + 1])
    except (VerificationError, InvalidHashError):
        return False
