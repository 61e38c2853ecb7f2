"""ID tokens: which signatures and claims are believed. Pure but for the clock.

Keys are the provider's public ones alone, and each algorithm goes with one kind of key: neither `none` nor a public
key used as a shared secret gets through.
"""

from collections.abc import Sequence
from typing import cast

import jwt
import msgspec
from jwt import PyJWK

from operis_api.oidc.errors import IdentityRefused
from operis_api.settings import IdentityProvider

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_KINDS = {"RSA", "EC", "OKP"}
LEEWAY_SECONDS = 30
SUBJECT_CHARACTERS_MAX, EMAIL_CHARACTERS_MAX = 255, 320


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is, as their provider says."""

    subject: str
    email: str | None
    email_verified: bool
    name: str | None


class UnknownKey(Exception):
    """The token names a key that is not among those known; the provider may have new ones."""


def read_id_token(token: str, provider: IdentityProvider, keys: Sequence[dict[str, object]], *, nonce: str) -> Person:
    """Return whom a token is about, or raise `UnknownKey` or `IdentityRefused`."""
    try:
        header = cast("dict[str, object]", jwt.get_unverified_header(token))
        key = _find_key(keys, header.get("kid"))
        algorithm = str(header.get("alg"))
        if algorithm not in ALGORITHMS or key.get("alg", algorithm) != algorithm:
            raise IdentityRefused("Its token is signed in a way that is not believed.")
        claims = cast(
            "dict[str, object]",
            jwt.decode(  # pyright: ignore[reportUnknownMemberType]
                token,
                PyJWK.from_dict(key, algorithm),
                algorithms=[algorithm],
                audience=provider.client_id,
                issuer=provider.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
            ),
        )
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise IdentityRefused("Its token does not hold.") from error
    if claims["nonce"] != nonce:
        raise IdentityRefused("Its token was made for another sign-in.")
    several = isinstance(claims["aud"], list) and len(cast("list[object]", claims["aud"])) > 1
    if claims.get("azp", None if several else provider.client_id) != provider.client_id:
        raise IdentityRefused("Its token was made for another client.")
    return _person(claims)


def _find_key(keys: Sequence[dict[str, object]], identifier: object) -> dict[str, object]:
    usable = [key for key in keys if key.get("kty") in _KINDS and key.get("use", "sig") == "sig"]
    found = [key for key in usable if key.get("kid") == identifier] if identifier is not None else usable
    if len(found) != 1:
        raise UnknownKey
    return found[0]


def _person(claims: dict[str, object]) -> Person:
    subject, email, name = claims["sub"], claims.get("email"), claims.get("name")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX or not subject.isprintable():
        raise IdentityRefused("Its token names nobody.")
    return Person(
        subject=subject,
        email=email if isinstance(email, str) and len(email) <= EMAIL_CHARACTERS_MAX and email.isprintable() else None,
        # Some providers write the claim as a text; only what plainly says yes is believed.
        email_verified=claims.get("email_verified") in (True, "true"),
        name=name if isinstance(name, str) else None,
    )
