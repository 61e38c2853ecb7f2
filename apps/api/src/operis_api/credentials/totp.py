"""Time-based one-time codes: RFC 6238 with SHA-1, six digits, thirty seconds, as every authenticator app knows them."""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import quote, urlencode

STEP_SECONDS = 30
DIGITS = 6
SECRET_BYTES = 20
DRIFT_STEPS = 1
"""How far a clock may be off, in steps, to either side."""


def make_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def code_at(secret: bytes, step: int) -> str:
    """Return the code of one step (RFC 4226, section 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8), hashlib.sha1)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4]) & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def find_step(secret: bytes, code: str, *, now_seconds: float, after_step: int) -> int | None:
    """Return the step that the code is of, if it is near now and later than `after_step`: a code is good once."""
    current = int(now_seconds) // STEP_SECONDS
    found = None
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode(errors="replace")) and step > after_step:
            found = step
    return found


def show_secret(secret: bytes) -> str:
    return base64.b32encode(secret).decode().rstrip("=")


def enrolment_uri(secret: bytes, *, account: str, issuer: str = "Operis") -> str:
    """Return what a QR code says to an authenticator app."""
    query = urlencode({"secret": show_secret(secret), "issuer": issuer, "digits": DIGITS, "period": STEP_SECONDS})
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?{query}"
