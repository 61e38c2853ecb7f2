"""Calling upstreams over HTTP: bounds, addresses that may be called, and what a refusal of theirs means."""

import asyncio
import functools
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import ClassVar, cast
from urllib.parse import urlsplit

import aiohttp
import msgspec

from operis_api.catalog.offers import Route
from operis_api.gateway.dialects import Form
from operis_api.gateway.errors import UpstreamBusy, UpstreamFailed, UpstreamRefused
from operis_api.gateway.upstreams import AttemptFailed
from operis_api.kit.network import AddressRefused, GuardedResolver, Network, is_allowed

ANSWER_BYTES_MAX = 32 * 1024 * 1024
ERROR_BYTES_MAX = 64 * 1024
ERROR_SECONDS = 2
"""For the words of a refusal: its status says enough."""
DETAIL_CHARACTERS_MAX = 500
_SECRET_LIKE = re.compile(r"\b(?:sk|pk|key|org|proj)[-_][\w.*-]{6,}|\bBearer\s+\S{6,}|https?://\S+", re.IGNORECASE)
# Requests whose fault is the caller's own: the provider's words help them. Everything else is ours to see.
_CALLERS_FAULT = {400, 413, 415, 422}


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long an upstream may take to be reached, to begin an answer, between two bytes of a stream, and in all."""

    connect_seconds: int
    answer_seconds: int
    idle_seconds: int
    total_seconds: int

    @property
    def for_answers(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=self.total_seconds,
            connect=self.connect_seconds,
            sock_read=min(self.answer_seconds, self.total_seconds),
        )

    @property
    def for_streams(self) -> aiohttp.ClientTimeout:
        """Without a bound for the whole: the relay has it, who settles what was delivered by then."""
        return aiohttp.ClientTimeout(
            total=None, connect=self.connect_seconds, sock_read=min(self.idle_seconds, self.total_seconds)
        )


class HttpProtocol(ABC):
    """One connection pool to all upstreams of a protocol."""

    models_path: ClassVar[str]

    def __init__(self, networks: tuple[Network, ...], patience: "Patience") -> None:
        self._networks = networks
        self._for_streams = patience.for_streams
        self._for_answers = patience.for_answers
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, resolver=GuardedResolver(networks), keepalive_timeout=30),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent",),
        )

    @abstractmethod
    def credential_headers(self, api_key: str) -> dict[str, str]:
        """Return the headers by which the protocol knows its callers."""

    async def open(self, route: Route, request: Form, *, output_limit: int | None) -> "HttpReply":
        headers = {**self.credential_headers(route.credential.api_key), **request.forwarded_headers()}
        body = request.forwarded_body(route, output_limit)
        timeout = self._for_streams if request.streamed else self._for_answers
        response = await self._send("POST", route.base_url, request.upstream_path, headers, body, timeout)
        if response.status != 200:
            raise await _read_refusal(response)
        return HttpReply(response)

    async def list_models(self, base_url: str, api_key: str) -> list[str]:
        """Ask an upstream for its model names; raises `AttemptFailed`."""
        response = await self._send(
            "GET", base_url, self.models_path, self.credential_headers(api_key), None, self._for_streams
        )
        if response.status != 200:
            raise await _read_refusal(response)
        reply = HttpReply(response)
        try:
            listed = msgspec.json.decode(await reply.read(), type=_ModelList)
        except msgspec.DecodeError as error:
            raise AttemptFailed(UpstreamFailed(), note=f"its list of models cannot be read: {error}") from None
        return [model.id for model in listed.data]

    async def close(self) -> None:
        await self._http.close()

    async def _send(
        self,
        method: str,
        base_url: str,
        path: str,
        own_headers: dict[str, str],
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # the library's own, of four parts
    ) -> aiohttp.ClientResponse:
        headers = {
            **own_headers,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "operis",
        }
        try:
            if not _is_literal_allowed(base_url, self._networks):
                raise AddressRefused(f"{base_url} may not be called")
            return await self._http.request(
                method, f"{base_url}{path}", data=body, headers=headers, allow_redirects=False, timeout=timeout
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AttemptFailed(UpstreamFailed(), note=f"{type(error).__name__}: {error}") from error


@functools.lru_cache(maxsize=1024)
def _is_literal_allowed(base_url: str, networks: tuple[Network, ...]) -> bool:
    """Judge a host that is an address: the resolver is not asked for one. Names are allowed here."""
    try:
        return is_allowed(urlsplit(base_url).hostname or "", networks)
    except ValueError:
        return True


class HttpReply:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self) -> bytes:
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                self.close()
                raise AttemptFailed(UpstreamFailed(), note=f"its answer is over {ANSWER_BYTES_MAX} bytes", status=200)
        return bytes(body)

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AttemptFailed(UpstreamFailed(), note=f"{type(error).__name__}: {error}", status=200) from error

    def close(self) -> None:
        self._response.close()


class _Model(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    data: list[_Model]


async def _read_refusal(response: aiohttp.ClientResponse) -> AttemptFailed:
    """Return what an answer other than 200 means: the caller's fault in the provider's cleaned words, or ours."""
    status = response.status
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            body = await response.content.read(ERROR_BYTES_MAX)
    except (aiohttp.ClientError, TimeoutError, OSError):
        body = b""
    response.close()
    message = _message_of(body)
    note = f"HTTP {status}: {_clean(message)}"
    if status in _CALLERS_FAULT and "credit balance" not in message:  # the operator's own account is dry
        return AttemptFailed(UpstreamRefused(_clean(message)), note=note, status=status, retryable=False)
    if status in {429, 529}:  # 529 is Anthropic's "overloaded"
        wait = response.headers.get("Retry-After", "")
        seconds = min(int(wait), 3600) if wait.isdigit() else 5
        return AttemptFailed(UpstreamBusy(retry_after_seconds=seconds), note=note, status=status)
    return AttemptFailed(UpstreamFailed(), note=note, status=status)


def _message_of(body: bytes) -> str:
    try:
        members = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    error = members.get("error")
    found = cast("dict[str, object]", error).get("message") if isinstance(error, dict) else error
    return str(found or members.get("message") or members.get("detail") or "")


def _clean(message: str) -> str:
    """Return the provider's words without what looks like a credential or an address, cut to a bound."""
    return _SECRET_LIKE.sub("[removed]", message)[:DETAIL_CHARACTERS_MAX]
