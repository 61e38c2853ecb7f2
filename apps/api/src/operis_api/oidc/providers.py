"""Speaking with identity providers: discovery, codes for tokens, and keys that change. Bounded, without redirects.

An address is called only where the operator allows it (`kit/network.py`), also one that a provider's document names.
"""

import base64
import contextlib
import hashlib
import time
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec

from operis_api.kit.errors import InvalidField, NotFound
from operis_api.kit.network import GuardedResolver, Network, check_url
from operis_api.oidc.errors import IdentityRefused, ProviderFailed
from operis_api.oidc.tokens import Person, UnknownKey, read_id_token
from operis_api.settings import IdentityProvider

Answer = TypeVar("Answer")
ANSWER_BYTES_MAX = 512 * 1024
TIMEOUT_SECONDS = 10
KEPT_SECONDS = 3600
FRESH_SECONDS = 5
"""How long new keys are not asked for again, whatever key a token names."""


class Metadata(msgspec.Struct, frozen=True):
    """What is used of a provider's discovery document."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, object]]


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class Providers:
    """The configured providers, and one connection pool to them."""

    def __init__(
        self,
        configured: tuple[IdentityProvider, ...],
        *,
        networks: tuple[Network, ...],
        redirect_uri: str,
        https_only: bool,
    ) -> None:
        self.configured = configured
        self._networks = networks
        self._redirect_uri = redirect_uri
        self._https_only = https_only
        self._metadata: dict[str, tuple[float, Metadata]] = {}
        self._keys: dict[str, tuple[float, list[dict[str, object]]]] = {}
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=20, resolver=GuardedResolver(networks)),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        await self._http.close()

    def find(self, name: str) -> IdentityProvider:
        """Return the provider by that name, or raise `NotFound`."""
        found = next((one for one in self.configured if one.name == name), None)
        if found is None:
            raise NotFound(f"There is no provider {name[:40]} here.")
        return found

    async def address_of(self, provider: IdentityProvider, *, state: str, nonce: str, verifier: str) -> str:
        """Return where a browser is sent to sign in."""
        metadata = await self._discover(provider)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": "openid email profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        separator = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
        return metadata.authorization_endpoint + separator + urlencode(asked)

    async def find_out(
        self, provider: IdentityProvider, *, code: str, issuer: str | None, nonce: str, verifier: str
    ) -> Person:
        """Trade a code for who somebody is; raises `IdentityRefused` or `ProviderFailed`.

        `issuer` is what the answer said of itself (RFC 9207), so that another's answer is not taken for this one's.
        """
        metadata = await self._discover(provider)
        if issuer is None and metadata.authorization_response_iss_parameter_supported:
            raise IdentityRefused("Its answer does not say from whom it is.")
        if issuer is not None and issuer != metadata.issuer:
            raise IdentityRefused("Its answer is from somebody else.")
        token = await self._redeem(provider, metadata, code, verifier)
        for kept_seconds in (KEPT_SECONDS, FRESH_SECONDS):
            keys = await self._read_keys(provider, metadata, kept_seconds)
            with contextlib.suppress(UnknownKey):
                return read_id_token(token, provider, keys, nonce=nonce)
        raise IdentityRefused("Its token is signed with a key that is not known.")

    async def _redeem(self, provider: IdentityProvider, metadata: Metadata, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers: dict[str, str] = {"accept": "application/json"}
        if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form |= {"client_id": provider.client_id, "client_secret": provider.client_secret}
        status, body = await self._ask("POST", metadata.token_endpoint, form=form, headers=headers)
        if status in {400, 401}:
            raise IdentityRefused("It does not know this code: it was used, has expired, or is not ours.")
        return _decode(status, body, _Tokens).id_token

    async def _discover(self, provider: IdentityProvider) -> Metadata:
        kept = self._metadata.get(provider.name)
        if kept is not None and time.monotonic() - kept[0] < KEPT_SECONDS:
            return kept[1]
        address = provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
        metadata = _decode(*await self._ask("GET", address), Metadata)
        if metadata.issuer != provider.issuer:
            raise ProviderFailed("Its discovery document names another issuer.")
        self._metadata[provider.name] = time.monotonic(), metadata
        return metadata

    async def _read_keys(
        self, provider: IdentityProvider, metadata: Metadata, kept_seconds: int
    ) -> list[dict[str, object]]:
        kept = self._keys.get(provider.name)
        if kept is not None and time.monotonic() - kept[0] < kept_seconds:
            return kept[1]
        keys = _decode(*await self._ask("GET", metadata.jwks_uri), _Keys).keys
        self._keys[provider.name] = time.monotonic(), keys
        return keys

    async def _ask(
        self, method: str, url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Return status and body of at most half a megabyte; raises `ProviderFailed`."""
        try:
            check_url("provider", url.partition("?")[0], self._networks, https_only=self._https_only)
            async with self._http.request(method, url, data=form, headers=headers, allow_redirects=False) as answer:
                body = await answer.content.read(ANSWER_BYTES_MAX + 1)
                while len(body) <= ANSWER_BYTES_MAX and (more := await answer.content.read(ANSWER_BYTES_MAX)):
                    body += more
                if len(body) > ANSWER_BYTES_MAX:
                    raise ProviderFailed("Its answer is too long.")
                return answer.status, body
        except InvalidField as error:
            raise ProviderFailed("It names an address that may not be called.") from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ProviderFailed("It cannot be reached.") from error


def _decode(status: int, body: bytes, kind: type[Answer]) -> Answer:
    if status != 200:
        raise ProviderFailed(f"It answers with status {status}.")
    try:
        return msgspec.json.decode(body, type=kind)
    except ValueError as error:
        raise ProviderFailed("Its answer has another shape than OpenID Connect says.") from error
