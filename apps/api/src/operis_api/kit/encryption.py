"""Secrets at rest: AES-256-GCM, bound to what they are for, with the key's version in front."""

import contextlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE_BYTES = 12


class Vault:
    """Seals secrets with one derived key, and opens them with that or an earlier one.

    `context` binds a secret to its row: swapped rows do not open.
    """

    def __init__(self, key: bytes, *earlier: bytes) -> None:
        self._cipher = AESGCM(key)
        self._earlier = [AESGCM(one) for one in earlier]

    def seal(self, secret: bytes, *, context: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret, context.encode())

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """Return the secret, or raise ValueError where the key, the context or a byte is another."""
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _VERSION:
            raise ValueError(f"sealed with key version {sealed[:1].hex()}, which this process does not know")
        for cipher in (self._cipher, *self._earlier):
            with contextlib.suppress(InvalidTag):
                return cipher.decrypt(nonce, body, context.encode())
        raise ValueError(f"the secret of {context} was sealed with another OPERIS_SECRET_KEY")
