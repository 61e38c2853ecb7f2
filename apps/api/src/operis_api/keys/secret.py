"""The text of an API key: `sk-op-`, 32 random base62 characters, and 6 of checksum, so that a typo costs no query."""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Sequence

import msgspec

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "sk-op-"
RANDOM_CHARACTERS = 32
CHECKSUM_CHARACTERS = 6
SHOWN_CHARACTERS = 12


def new_secret() -> str:
    """Return a new key with 190 bits of randomness."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return body + checksum(body)


def checksum(body: str) -> str:
    """Return the CRC32 of `body`, prefix included, as six base62 digits."""
    left, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        left, digit = divmod(left, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def is_well_formed(secret: str) -> bool:
    if len(secret) != len(PREFIX) + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS or not secret.startswith(PREFIX):
        return False
    return secret.isascii() and checksum(secret[:-CHECKSUM_CHARACTERS]) == secret[-CHECKSUM_CHARACTERS:]


class Pepper(msgspec.Struct, frozen=True):
    """What hashes of secrets are keyed with. Its version tells which one a hash was made with, and no more."""

    key: bytes

    @property
    def version(self) -> str:
        return hmac.digest(self.key, b"version", hashlib.sha256).hex()[:8]

    def hash(self, secret: str) -> bytes:
        """Return what is stored of a secret: nobody can test guesses against it without the pepper."""
        return hmac.digest(self.key, secret.encode(), hashlib.sha256)


class Peppers:
    """The pepper in force, and those of earlier root secrets, whose hashes are still known by it."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.newest, *self._earlier = (Pepper(key) for key in keys)

    def hashes(self, secret: str) -> list[bytes]:
        """Return the secret's hash under each pepper, the newest first."""
        return [self.newest.hash(secret), *(pepper.hash(secret) for pepper in self._earlier)]
