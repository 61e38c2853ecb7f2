"""The text of an API key: `sk-op-`, 32 random base62 characters, and 6 of checksum, so that a typo costs no query."""

import hashlib
import hmac
import secrets
import zlib

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


def hash_secret(secret: str, pepper: bytes) -> bytes:
    """Return what is stored of a key: a hash that nobody can test guesses against without the pepper."""
    return hmac.digest(pepper, secret.encode(), hashlib.sha256)
