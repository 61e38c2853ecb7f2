"""An OpenID Connect provider over real HTTP: discovery, codes, PKCE, signed tokens, and what a test lies with it."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.factories import Account

SHARED = b"a key that is published, though no public one"
CLIENT_ID, CLIENT_SECRET = "operis & co", "a secret: of/ours"


@dataclass
class Script:
    """How it behaves in one test."""

    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    """Instead of, or beside, the honest ones; None leaves one out."""
    header: dict[str, Any] = field(default_factory=dict[str, Any])
    sign_with: Any = None
    algorithm: str = "RS256"
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    status: int = 200
    body: bytes | None = None
    """Instead of tokens."""


@dataclass
class Granted:
    challenge: str
    nonce: str
    redirect_uri: str
    claims: dict[str, Any]


class IdentityProvider:
    """One running provider."""

    def __init__(self) -> None:
        self.issuer = ""
        self.script = Script()
        self.asked: list[str] = []
        self.codes: dict[str, Granted] = {}
        self.person: dict[str, Any] = {}
        """Who sits in front of a browser that is sent here; nobody: they decline."""
        self.rotate()

    def rotate(self) -> None:
        """Sign with a new key from now on; the old one is published no more."""
        self.kid = secrets.token_hex(4)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def consent(self, url: str, **claims: Any) -> dict[str, str]:
        """Let somebody sign in at the address that they were sent to; returns the query they come back with."""
        parts = urlsplit(url)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert url.startswith(f"{self.issuer}/authorize?"), url
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = Granted(asked["code_challenge"], asked["nonce"], asked["redirect_uri"], claims)
        return {"state": asked["state"], "code": code}

    async def authorize(self, request: web.Request) -> web.Response:
        """Send the browser back, as whoever sits in front of it."""
        state, address = request.query["state"], request.query["redirect_uri"]
        declined = {"state": state, "error": "access_denied"}
        back = self.consent(f"{self.issuer}{request.path_qs}", **self.person) if self.person else declined
        raise web.HTTPFound(f"{address}?{urlencode(back)}")

    async def discover(self, request: web.Request) -> web.Response:
        self.asked.append("discovery")
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                **self.script.metadata,
            }
        )

    async def keys(self, request: web.Request) -> web.Response:
        self.asked.append("keys")
        key = {**json.loads(RSAAlgorithm.to_jwk(self.key.public_key())), "kid": self.kid, "use": "sig"}
        shared = {"kty": "oct", "k": base64.urlsafe_b64encode(SHARED).decode().rstrip("="), "kid": "shared"}
        return web.json_response({"keys": [{**key, "kid": "old", "use": "enc"}, shared, key]})

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append("token")
        if self.script.status != 200 or self.script.body is not None:
            return web.Response(status=self.script.status, body=self.script.body or b"", headers={"location": "/keys"})
        form = await request.post()
        granted = self.codes.pop(str(form["code"]), None)
        pair = f"{quote(CLIENT_ID, safe='')}:{quote(CLIENT_SECRET, safe='')}".encode()
        known = request.headers.get("authorization") == "Basic " + base64.b64encode(pair).decode()
        proof = base64.urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest()).decode()
        if granted is None or not known or proof.rstrip("=") != granted.challenge:
            return web.json_response({"error": "invalid_grant"}, status=400)
        assert form["redirect_uri"] == granted.redirect_uri
        return web.json_response({"access_token": "x", "token_type": "Bearer", "id_token": self._sign(granted)})

    def _sign(self, granted: Granted) -> str:
        now = int(time.time())
        honest = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": granted.nonce}
        claims = {**honest, "email_verified": True, **granted.claims, **self.script.claims}
        header = {"kid": self.kid, **self.script.header}
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            "" if self.script.algorithm == "none" else self.script.sign_with or self.key,
            algorithm=self.script.algorithm,
            headers=header,
        )


@asynccontextmanager
async def run_identity_provider() -> AsyncGenerator[IdentityProvider]:
    provider = IdentityProvider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.discover)
    app.router.add_get("/authorize", provider.authorize)
    app.router.add_get("/keys", provider.keys)
    app.router.add_post("/token", provider.token)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()


async def link(account: Account, provider: IdentityProvider, name: str, **claims: Any) -> None:
    """Link somebody at the provider to the account, as a signed-in user does."""
    departure = await account.client.begin_link(name)
    await account.client.finish_link(**provider.consent(departure.url, **claims), browser_token=departure.browser_token)


def setting_of(**providers: IdentityProvider) -> str:
    """Return OPERIS_IDENTITY_PROVIDERS with these."""
    return json.dumps(
        [
            {
                "name": name,
                "title": name.title(),
                "issuer": one.issuer,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
            }
            for name, one in providers.items()
        ]
    )
