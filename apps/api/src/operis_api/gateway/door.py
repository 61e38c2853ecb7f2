"""One HTTP exchange with a gateway client, on bare ASGI: its body, its credential, its answer in its dialect."""

import time
from collections.abc import Mapping
from typing import cast
from uuid import UUID

from litestar import Response
from litestar.types import HTTPScope, Receive, Send

from operis_api.gateway.admission import CallOrigin
from operis_api.gateway.bodies import Bodies
from operis_api.gateway.dialects import Dialect
from operis_api.gateway.dialects.anthropic.refusing import ANTHROPIC
from operis_api.gateway.dialects.openai.refusing import OPENAI
from operis_api.gateway.errors import BodyTooLarge, InvalidBody
from operis_api.keys.authentication import Asking, Caller
from operis_api.kit.errors import DomainError
from operis_api.kit.origin import AnyRequest
from operis_api.kit.problems import request_id_of
from operis_api.kit.tokens import Unauthenticated
from operis_api.limits.errors import RateLimited

BODY_BYTES_MAX = 20 * 1024 * 1024
AGENT_CHARACTERS_MAX = 256


class ClientLeft(Exception):
    """The client went away before its request was read; there is nobody to answer."""


class Door:
    def __init__(self, scope: HTTPScope, receive: Receive, send: Send, dialect: Dialect = OPENAI) -> None:
        self._dialect = dialect
        self.app = scope["litestar_app"]
        self.method = scope["method"]
        self._receive = receive
        self._send = send
        self.headers = dict(scope["headers"])
        self._state = cast("dict[str, object]", scope["state"])
        self._send_body = cast("Send", self._state["send_body"])
        self.begun = False
        """Whether an answer has."""
        self._began_at = time.monotonic()
        self._bodies = cast("Bodies", self.app.state["bodies"])
        self._taken = 0

    @property
    def request_id(self) -> UUID:
        return cast("UUID", self._state["request_uuid"])

    @property
    def idempotency_key(self) -> str | None:
        key = self.headers.get(b"idempotency-key")
        return None if key is None else key.decode("latin-1")

    def origin(self, scope: str | None) -> CallOrigin:
        """Return where the request comes from, and what it needs a key's scope for; raises without a credential."""
        asking = Asking(
            credential=self._credential(),
            scope=scope,
            organization_id=self._organization_id(),
            address=cast("str | None", self._state.get("client_address")),
            agent=self._text(b"user-agent")[:AGENT_CHARACTERS_MAX] or None,
        )
        return CallOrigin(request_id=self.request_id, asking=asking, began_at=self._began_at)

    def announce(self, caller: Caller) -> None:
        """Have every answer tell the caller what there is to know of their credential."""
        self._state["announcements"] = caller.announcements

    async def read_body(self) -> bytes:
        """Return the request's body, or raise `BodyTooLarge` as soon as it is. It counts until `give_back`."""
        length = self._text(b"content-length")
        if length.isdigit() and int(length) > BODY_BYTES_MAX:
            raise BodyTooLarge(f"A body may have {BODY_BYTES_MAX} bytes.", limit=BODY_BYTES_MAX)
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientLeft
            parts.append(message["body"])
            self._bodies.take(len(parts[-1]))
            self._taken += len(parts[-1])
            if self._taken > BODY_BYTES_MAX:
                raise BodyTooLarge(f"A body may have {BODY_BYTES_MAX} bytes.", limit=BODY_BYTES_MAX)
            if not message["more_body"]:
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def give_back(self) -> None:
        """The body is needed no longer."""
        self._bodies.give_back(self._taken)
        self._taken = 0

    async def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        await self._begin(status, "application/json", {**headers, "content-length": str(len(body))})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def begin_stream(self, headers: Mapping[str, str]) -> None:
        await self._begin(200, "text/event-stream; charset=utf-8", {**headers, "cache-control": "no-cache"})

    async def send_chunk(self, chunk: bytes) -> None:
        await self._send_body({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end_stream(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def wait_until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def refuse(self, error: DomainError) -> None:
        """Answer with the error's envelope; once a stream has begun, end it with an error event instead."""
        request_id = str(self.request_id)
        if self.begun:
            await self.send_chunk(self._dialect.error_event(error, request_id))
            await self.end_stream()
            return
        headers = refusal_headers(self._dialect, error)
        await self.answer(error.status, self._dialect.envelope(error, request_id), headers)

    async def _begin(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        self.begun = True
        raw = [(b"content-type", content_type.encode())]
        raw.extend((name.encode(), value.encode()) for name, value in headers.items())
        if name := self._dialect.request_id_header:
            raw.append((name.encode(), str(self.request_id).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    def _credential(self) -> str:
        scheme, _, bearer = self._text(b"authorization").partition(" ")
        credential = bearer.strip() if scheme.lower() == "bearer" else self._text(b"x-api-key")
        if not credential:
            raise Unauthenticated("Send an API key as `Authorization: Bearer sk-op-...` or `x-api-key`.")
        return credential

    def _organization_id(self) -> UUID | None:
        text = self._text(b"x-organization-id")
        try:
            return UUID(text) if text else None
        except ValueError:
            raise InvalidBody("X-Organization-Id is not an organization's id.") from None

    def _text(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")


def answer_gateway_error(request: AnyRequest, error: DomainError) -> Response[bytes]:
    """Answer a refusal under /v1 where the framework has the request in hand."""
    path = request.url.path
    dialect = (
        ANTHROPIC
        if path == "/v1/messages" or path.startswith("/v1/messages/") or "anthropic-version" in request.headers
        else OPENAI
    )
    request_id, headers = request_id_of(request), refusal_headers(dialect, error)
    if dialect.request_id_header:
        headers[dialect.request_id_header] = request_id
    body = dialect.envelope(error, request_id)
    return Response(body, status_code=error.status, media_type="application/json", headers=headers)


def refusal_headers(dialect: Dialect, error: DomainError) -> dict[str, str]:
    """Return what tells SDKs whether and when to try again, and which rate bound."""
    headers: dict[str, str] = {}
    if isinstance(error, RateLimited) and error.retry_after_seconds is not None:
        limit, used = int(str(error.facts["value"])), int(str(error.facts["used"]))
        unit = "requests" if error.facts["limit"] == "rpm" else "tokens"
        headers = dialect.rate_headers(unit, limit, max(limit - used, 0), error.retry_after_seconds)
    if error.retry_after_seconds is not None:
        headers["retry-after"] = str(error.retry_after_seconds)
    if not error.repeatable:
        headers["x-should-retry"] = "false"
    return headers
