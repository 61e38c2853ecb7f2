"""What browsers and careful clients ask around a request: HEAD for every GET, and leave to call from another origin.

Origins are compared whole, never by pattern. Credentials are bearer tokens, so no cookie ever travels along.
"""

from typing import cast

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

PREFIX = "/v1/"
"""Where SDKs call; the management API is for the dashboard's server and for programs, not for pages of others."""
REMEMBERED_SECONDS = 7200
_EXPOSED = (
    b"x-request-id, x-operis-request-id, x-operis-charge, x-operis-max-output-tokens, request-id, retry-after, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, "
    b"anthropic-ratelimit-requests-limit, anthropic-ratelimit-requests-remaining, anthropic-ratelimit-requests-reset, "
    b"anthropic-ratelimit-tokens-limit, anthropic-ratelimit-tokens-remaining, anthropic-ratelimit-tokens-reset, "
    b"x-should-retry, idempotent-replayed"
)
Headers = list[tuple[bytes, bytes]]


class Browsers:
    """Plain ASGI around the application."""

    def __init__(self, app: ASGIApp, *, origins: frozenset[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        http = cast("HTTPScope", scope)
        allowance = self._allowance(http)
        if http["method"] == "OPTIONS" and http["path"].startswith(PREFIX):
            await _answer_preflight(dict(http["headers"]), allowance, send)
            return
        head = http["method"] == "HEAD"
        if head:  # a copy: the server must go on knowing that it sends no body
            http = cast("HTTPScope", {**http, "method": "GET"})

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and allowance:
                message["headers"] = [*message["headers"], *allowance, (b"access-control-expose-headers", _EXPOSED)]
            if message["type"] == "http.response.body" and head:
                message["body"] = b""
            await send(message)

        await self._app(http, receive, send_on if head or allowance else send)

    def _allowance(self, scope: HTTPScope) -> Headers:
        """Return the headers that allow the request's origin to read the answer; none where it may not."""
        if not self._origins or not scope["path"].startswith(PREFIX):
            return []
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin not in self._origins:
            return []
        return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]


async def _answer_preflight(asked: dict[bytes, bytes], allowance: Headers, send: Send) -> None:
    headers: Headers = [(b"allow", b"GET, HEAD, POST, OPTIONS"), *allowance]
    if allowance:
        headers += [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", asked.get(b"access-control-request-headers", b"authorization")),
            (b"access-control-max-age", str(REMEMBERED_SECONDS).encode()),
        ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
