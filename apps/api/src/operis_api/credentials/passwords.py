"""Passwords: argon2id in two threads of its own, so that sign-ins never make streams wait."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from operis_api.credentials.errors import WeakPassword

CHARACTERS_MIN = 8
CHARACTERS_MAX = 256
# OWASP's second recommendation for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
_ENDINGS = "0123456789!@#$%&*?._-"
_SEPARATORS = re.compile(r"[^\w]+|_")
# What leaked most often, from zxcvbn, and what of it is Vietnamese, a keyboard's or a product's.
_COMMON = frozenset(FREQUENCY_LISTS["passwords"]) | frozenset(
    """
    p@ssword p@ssw0rd pass word changeme administrator qwertyui qwerty1234 qwertz azerty zxcvbnm, 1q2w3e4r5t
    1qaz2wsx3edc qazwsxedc q1w2e3r4t5 aa123456 01234567 123454321 1234qwer 123qweasd matkhau matkhau123 anhyeuem
    emyeuanh taoladai khongbiet michael jennifer android facebook abcdefgh 0123456789 87654321 987654321 9876543210
    123123123 12341234
    """.split()  # noqa: SIM905  # words are read more easily than a list of them
)
"""Written small, without the digits and signs people put at the end."""
_DECOY = _hasher.hash("nobody's password")
CONTEXT = "operis"
_WORD_CHARACTERS_MIN = 4
_OWN_CHARACTERS_MIN = 5


async def hash_password(password: str, *, email: str, name: str, host: str) -> str:
    """Return the hash that is stored; raises `WeakPassword` for what is too short, or guessed first of this person.

    `host` is the platform's own: its words are nobody's secret either.
    """
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        raise WeakPassword(
            f"Use {CHARACTERS_MIN} to {CHARACTERS_MAX} characters.", field="password", minimum=CHARACTERS_MIN
        )
    if len(set(password)) < 4:
        raise WeakPassword("Use more than three different characters.", field="password")
    if _is_guessed_first(password.lower(), f"{email} {name} {CONTEXT} {host}".lower()):
        raise WeakPassword("This is among the first that are guessed; use a few words of your own.", field="password")
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


def _is_guessed_first(password: str, context: str) -> bool:
    """Tell whether it is a well-known password, or little more than words that anybody knows of its owner."""
    word = password.rstrip(_ENDINGS)
    if password in _COMMON or word in _COMMON:
        return True
    rest = password.replace(context.split(maxsplit=1)[0], "")
    for known in sorted(_SEPARATORS.split(context), key=len, reverse=True):
        if len(known) >= _WORD_CHARACTERS_MIN:
            rest = rest.replace(known, "")
    return rest != password and len(rest.strip(_ENDINGS)) < _OWN_CHARACTERS_MIN


async def verify_password(stored: str | None, password: str) -> bool:
    """Tell whether the password is right; for nobody (None) it takes as long and is wrong."""
    found = await asyncio.get_running_loop().run_in_executor(_threads, _verify, stored or _DECOY, password)
    return found and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password[: CHARACTERS_MAX + 1])
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """Tell whether a hash was made with other parameters than today's, and is to be made anew at the next sign-in."""
    return _hasher.check_needs_rehash(stored)


async def rehash(password: str) -> str:
    """Hash a password that was just verified with today's parameters."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)
