"""One HTTP exchange with a gateway client, on bare ASGI: its body, its credential, its answer in OpenAI's envelope."""

import time
from collections.abc import Mapping
from typing import cast
from uuid import UUID

import msgspec
from litestar import Response
from litestar.types import HTTPScope, Receive, Send

from operis_api.gateway.admission import CallOrigin
from operis_api.gateway.errors import BodyTooLarge, InvalidBody
from operis_api.kit.errors import DomainError
from operis_api.kit.origin import AnyRequest
from operis_api.kit.problems import request_id_of
from operis_api.kit.tokens import Unauthenticated

BODY_BYTES_MAX = 20 * 1024 * 1024
AGENT_CHARACTERS_MAX = 256
_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "upstream_error",
    503: "server_error",
}


class ClientLeft(Exception):
    """The client went away before its request was read; there is nobody to answer."""


class Door:
    def __init__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._headers = dict(scope["headers"])
        self._state = cast("dict[str, object]", scope["state"])
        self._begun = False
        self._began_at = time.monotonic()

    @property
    def request_id(self) -> UUID:
        return cast("UUID", self._state["request_uuid"])

    def origin(self) -> CallOrigin:
        """Return where the request comes from; raises where it carries no credential."""
        return CallOrigin(
            request_id=self.request_id,
            credential=self._credential(),
            organization_id=self._organization_id(),
            address=cast("str | None", self._state.get("client_address")),
            agent=self._text(b"user-agent")[:AGENT_CHARACTERS_MAX] or None,
            began_at=self._began_at,
        )

    async def read_body(self) -> bytes:
        """Return the request's body, or raise `BodyTooLarge` as soon as it is."""
        length = self._text(b"content-length")
        if length.isdigit() and int(length) > BODY_BYTES_MAX:
            raise BodyTooLarge(f"A body may have {BODY_BYTES_MAX} bytes.", limit=BODY_BYTES_MAX)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientLeft
            parts.append(message["body"])
            size += len(parts[-1])
            if size > BODY_BYTES_MAX:
                raise BodyTooLarge(f"A body may have {BODY_BYTES_MAX} bytes.", limit=BODY_BYTES_MAX)
            if not message["more_body"]:
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        await self._begin(status, "application/json", {**headers, "content-length": str(len(body))})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def begin_stream(self, headers: Mapping[str, str]) -> None:
        await self._begin(200, "text/event-stream; charset=utf-8", {**headers, "cache-control": "no-cache"})

    async def send_chunk(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end_stream(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def wait_until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def refuse(self, error: DomainError) -> None:
        """Answer with the error's envelope; once a stream has begun, end it with an error event instead."""
        envelope = openai_envelope(error, str(self.request_id))
        if self._begun:
            await self.send_chunk(b"data: " + envelope + b"\n\n")
            await self.end_stream()
            return
        await self.answer(error.status, envelope, retry_headers(error))

    async def _begin(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        self._begun = True
        raw = [(b"content-type", content_type.encode())]
        raw.extend((name.encode(), value.encode()) for name, value in headers.items())
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
        return self._headers.get(name, b"").decode("latin-1")


def answer_openai_error(request: AnyRequest, error: DomainError) -> Response[bytes]:
    """Answer a refusal under /v1 where the framework has the request in hand."""
    body = openai_envelope(error, request_id_of(request))
    return Response(body, status_code=error.status, media_type="application/json", headers=retry_headers(error))


def openai_envelope(error: DomainError, request_id: str) -> bytes:
    """Return an error as OpenAI's clients read it; our facts stand beside its members."""
    members = {
        "message": error.detail,
        "type": _ERROR_TYPES.get(error.status, "invalid_request_error"),
        "param": None,
        "code": error.code,
        "request_id": request_id,
        **error.facts,
    }
    return msgspec.json.encode({"error": members})


def retry_headers(error: DomainError) -> dict[str, str]:
    return {} if error.retry_after_seconds is None else {"retry-after": str(error.retry_after_seconds)}
