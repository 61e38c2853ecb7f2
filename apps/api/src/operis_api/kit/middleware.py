"""The outermost layer: gives each request its id, finds the client's address, and adds the headers every answer has.

Whoever answers may put more of them into the request's state, as `announcements`; and find `send_body` there, which
passes by the layers: they look at an answer's beginning alone.
"""

import ipaddress
from typing import cast

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from operis_api.kit.ids import new_id
from operis_api.kit.network import Network

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Edge:
    """Plain ASGI around the whole application."""

    def __init__(self, app: ASGIApp, *, trusted_proxies: tuple[Network, ...], https: bool) -> None:
        self._app = app
        self._trusted = trusted_proxies
        self._headers = _HEADERS + (
            [(b"strict-transport-security", b"max-age=31536000; includeSubDomains")] if https else []
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        http = cast("HTTPScope", scope)
        identifier = new_id()
        state = cast("dict[str, object]", cast("dict[str, object]", http).setdefault("state", {}))
        state["request_uuid"] = identifier
        state["request_id"] = str(identifier)
        state["send_body"] = send
        state["client_address"] = self._client_address(http)
        own = [(b"x-request-id", str(identifier).encode()), *self._headers]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message["headers"])
                names = {name.lower() for name, _ in given}
                announced = cast("dict[str, str]", state.get("announcements", {})).items()
                more = [*own, *((name.encode(), value.encode()) for name, value in announced)]
                message["headers"] = given + [header for header in more if header[0] not in names]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _client_address(self, scope: HTTPScope) -> str | None:
        """Return the nearest hop that is no proxy of ours: X-Forwarded-For is believed from trusted hops alone."""
        client = scope["client"]
        if client is None:
            return None
        address = client[0]
        if not self._is_trusted(address):
            return address
        forwarded = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1")
        for hop in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
            address = hop
            if not self._is_trusted(hop):
                break
        return address[:64]

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed.version == network.version and parsed in network for network in self._trusted)
