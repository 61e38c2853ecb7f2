"""Idempotency-Key: the first answer to a POST is kept with the change it made, in one transaction, and replayed."""

import hashlib
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.params import HeaderParameter
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.encryption import Vault
from operis_api.kit.errors import DomainError, InvalidField
from operis_db.records import IdempotentAnswer

KEY_CHARACTERS_MAX = 255
IdempotencyKey = Annotated[str | None, HeaderParameter(name="Idempotency-Key")]


class KeyReused(DomainError):
    status, code, title = 422, "idempotency_key_reused", "This Idempotency-Key was used for another request."


class StillRunning(DomainError):
    status, code, title = 409, "idempotency_key_in_use", "A request with this Idempotency-Key is still running."


class Replay:
    """The Idempotency-Key of one request: ask `answer` first, `keep` what was answered last.

    Both work in the caller's transaction. Without a key both do nothing.
    """

    def __init__(self, session: AsyncSession, vault: Vault, *, user_id: UUID, operation: str, key: str | None) -> None:
        if key is not None and not 0 < len(key) <= KEY_CHARACTERS_MAX:
            raise InvalidField("Idempotency-Key", f"use 1 to {KEY_CHARACTERS_MAX} characters.")
        self._session = session
        self._vault = vault
        self._user_id = user_id
        self._operation = operation
        self._key = key
        self._fingerprint = b""

    async def answer(self, body: bytes) -> Response[bytes] | None:
        """Return the kept answer for this key and body, None for the first time; raises where neither fits."""
        if self._key is None:
            return None
        self._fingerprint = hashlib.sha256(body).digest()
        lock = func.pg_try_advisory_xact_lock(func.hashtextextended(self._context, 0))
        if not await self._session.scalar(select(lock)):
            raise StillRunning("Wait for its answer, or send the request again in a moment.", retry_after_seconds=1)
        kept = await self._session.get(IdempotentAnswer, (self._user_id, self._operation, self._key))
        if kept is None:
            return None
        if kept.fingerprint != self._fingerprint:
            raise KeyReused("Send the same body again, or use a new key for a new request.")
        content = self._vault.open(kept.answer_encrypted, context=self._context)
        return Response(
            content, status_code=kept.status, media_type="application/json", headers={"Idempotent-Replayed": "true"}
        )

    def keep(self, status: int, answer: msgspec.Struct) -> Response[bytes]:
        """Return `answer` as a response, kept for the next time the key is sent."""
        content = msgspec.json.encode(answer)
        if self._key is not None:
            self._session.add(
                IdempotentAnswer(
                    user_id=self._user_id,
                    operation=self._operation,
                    key=self._key,
                    fingerprint=self._fingerprint,
                    status=status,
                    answer_encrypted=self._vault.seal(content, context=self._context),
                )
            )
        return Response(content, status_code=status, media_type="application/json")

    @property
    def _context(self) -> str:
        return f"idempotency/{self._user_id}/{self._operation}/{self._key}"


async def read_body(request: Request[object, object, State]) -> bytes:
    """Return the request's body with what else tells two requests apart: the path and the organization."""
    organization = request.headers.get("x-organization-id", "")
    return f"{request.url.path}\n{organization}\n".encode() + await request.body()
