"""Signed tokens: one fixed algorithm, every claim required and checked, one type each."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import jwt
import msgspec

from operis_api.kit.errors import DomainError

ALGORITHM = "HS256"
ISSUER = "operis"
AUDIENCE = "operis-api"
ACCESS_SECONDS = 600
_REFRESH_PREFIX = "op-rt-"
_DEVICE_PREFIX = "op-dt-"


class Unauthenticated(DomainError):
    status, code, title = 401, "unauthenticated", "Sign in, or send a credential that is valid."


class AccessToken(msgspec.Struct, frozen=True):
    user_id: UUID
    session_id: UUID


class ImpersonationToken(msgspec.Struct, frozen=True):
    """Names both: the operator, and as whom they read."""

    impersonation_id: UUID
    operator_id: UUID
    user_id: UUID


class TokenSigner:
    """Issues and reads access, impersonation and refresh tokens with two derived keys."""

    def __init__(self, access_key: bytes, refresh_key: bytes) -> None:
        self._access_key = access_key
        self._refresh_key = refresh_key

    def issue_access(self, token: AccessToken) -> str:
        ends_at = datetime.now(UTC) + timedelta(seconds=ACCESS_SECONDS)
        return self._sign("access", ends_at, sub=str(token.user_id), sid=str(token.session_id))

    def issue_impersonation(self, token: ImpersonationToken, *, ends_at: datetime) -> str:
        act = {"sub": str(token.operator_id)}  # RFC 8693, section 4.1: who acts, apart from as whom
        return self._sign("impersonation", ends_at, sub=str(token.user_id), act=act, imp=str(token.impersonation_id))

    def read_access(self, text: str) -> AccessToken:
        """Return whom an access token is for, or raise `Unauthenticated`; its session may have ended."""
        token = self.read_bearer(text)
        if not isinstance(token, AccessToken):
            raise Unauthenticated("This token is not an access token.")
        return token

    def read_bearer(self, text: str) -> AccessToken | ImpersonationToken:
        """Return what an access or an impersonation token says, or raise `Unauthenticated`."""
        try:
            claims = cast(
                "dict[str, object]",
                jwt.decode(  # pyright: ignore[reportUnknownMemberType]
                    text,
                    self._access_key,
                    algorithms=[ALGORITHM],
                    issuer=ISSUER,
                    audience=AUDIENCE,
                    options={"require": ["iss", "aud", "sub", "typ", "exp"]},
                ),
            )
            if claims["typ"] == "access":
                return AccessToken(user_id=UUID(str(claims["sub"])), session_id=UUID(str(claims["sid"])))
            if claims["typ"] == "impersonation":
                return ImpersonationToken(
                    impersonation_id=UUID(str(claims["imp"])),
                    operator_id=UUID(str(cast("dict[str, object]", claims["act"])["sub"])),
                    user_id=UUID(str(claims["sub"])),
                )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The access token has expired; refresh it.") from None
        except (jwt.InvalidTokenError, ValueError, KeyError, TypeError):
            raise Unauthenticated("The access token is not valid.") from None
        raise Unauthenticated("This token is not an access token.")

    def _sign(self, kind: str, ends_at: datetime, **claims: object) -> str:
        common = {"iss": ISSUER, "aud": AUDIENCE, "typ": kind, "iat": datetime.now(UTC), "exp": ends_at}
        return jwt.encode({**common, **claims}, self._access_key, algorithm=ALGORITHM)

    def issue_refresh(self, session_id: UUID, generation: int) -> str:
        """Return the session's refresh token of that number: always the same text, which only this key can make."""
        return f"{_REFRESH_PREFIX}{session_id.hex}.{generation}.{self._mac(session_id, generation)}"

    def read_refresh(self, text: str) -> tuple[UUID, int]:
        """Return session and generation of a refresh token that this key made, or raise `Unauthenticated`."""
        parts = text.removeprefix(_REFRESH_PREFIX).split(".")
        try:
            session_id, generation = UUID(hex=parts[0]), int(parts[1])
            genuine = len(parts) == 3 and hmac.compare_digest(parts[2], self._mac(session_id, generation))
        except (ValueError, IndexError, TypeError):
            genuine = False
            session_id, generation = UUID(int=0), 0
        if not genuine or not text.startswith(_REFRESH_PREFIX):
            raise Unauthenticated("The refresh token is not valid.")
        return session_id, generation

    def issue_device(self, user_id: UUID, device_id: UUID) -> str:
        """Return what a device shows at the next sign-in of that user. It opens nothing."""
        return f"{_DEVICE_PREFIX}{user_id.hex}.{device_id.hex}.{self._device_mac(user_id, device_id)}"

    def read_device(self, text: str) -> tuple[UUID, UUID] | None:
        """Return user and device of a device token that this key made; None for anything else."""
        parts = text.removeprefix(_DEVICE_PREFIX).split(".")
        try:
            user_id, device_id = UUID(hex=parts[0]), UUID(hex=parts[1])
            genuine = len(parts) == 3 and hmac.compare_digest(parts[2], self._device_mac(user_id, device_id))
        except (ValueError, IndexError, TypeError):
            return None
        return (user_id, device_id) if genuine and text.startswith(_DEVICE_PREFIX) else None

    def _device_mac(self, user_id: UUID, device_id: UUID) -> str:
        return hmac.digest(self._refresh_key, f"device/{user_id}/{device_id}".encode(), hashlib.sha256).hex()

    def _mac(self, session_id: UUID, generation: int) -> str:
        return hmac.digest(self._refresh_key, f"{session_id}.{generation}".encode(), hashlib.sha256).hex()
