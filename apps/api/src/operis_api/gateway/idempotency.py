"""Idempotency-Key on calls of models: a retry after a lost answer is told it again, and is not charged again.

The answer is kept before its charge is settled. So a call that lost its process before the answer was kept was never
charged, and may be made again; one whose answer was kept never is. A stream is not kept: its retry is refused.
"""

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec
import structlog
from sqlalchemy import ColumnElement, delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.gateway.admission import CallOrigin
from operis_api.gateway.dialects import GatewayRequest
from operis_api.gateway.errors import AnswerNotKept, InvalidBody
from operis_api.keys.authentication import Caller
from operis_api.kit.encryption import Vault
from operis_api.kit.idempotency import KEY_CHARACTERS_MAX, KeyReused, StillRunning
from operis_api.kit.problems import is_database_away
from operis_api.kit.sessions import Sessions
from operis_api.ledger.holds import is_held
from operis_db.records import IdempotentCall

KEPT = timedelta(hours=24)
ANSWER_BYTES_MAX = 256 * 1024
BEGINNING = timedelta(seconds=60)
"""Longer than from a call's first statement to its hold; after that, a call that runs has one."""
RETRY_SECONDS = 2
log = structlog.get_logger()


class KeptAnswer(msgspec.Struct, frozen=True):
    body: bytes
    headers: dict[str, str]


class KeyedCall:
    """A call that carried an Idempotency-Key. Ask `begin` first; then `keep` its answer, or `forget` it."""

    def __init__(
        self, sessions: Sessions, vault: Vault, *, key: str, origin: CallOrigin, caller: Caller, request: GatewayRequest
    ) -> None:
        if not 0 < len(key) <= KEY_CHARACTERS_MAX or not key.isprintable():
            raise InvalidBody(f"Idempotency-Key has 1 to {KEY_CHARACTERS_MAX} characters that can be printed.")
        self._sessions = sessions
        self._vault = vault
        self._request_id = origin.request_id
        self._streamed = request.streamed
        self._id = (caller.organization_id, caller.key_id or caller.user_id, key)
        self._fingerprint = hashlib.sha256(request.upstream_path.encode() + b"\n" + request.body).digest()

    async def begin(self) -> KeptAnswer | None:
        """Return the answer that was kept, None where the call is to be made; raises where it is neither."""
        async with self._sessions.begin() as session:
            row = IdempotentCall
            await session.execute(delete(row).where(self._is_it, row.created_at < func.now() - KEPT))
            ours = insert(row).values(
                organization_id=self._id[0],
                caller_id=self._id[1],
                key=self._id[2],
                request_id=self._request_id,
                fingerprint=self._fingerprint,
                streamed=self._streamed,
            )
            while not await session.scalar(ours.on_conflict_do_nothing().returning(row.request_id)):
                first = await session.get(row, self._id, with_for_update=True)
                if first is not None:  # else it has just failed, and was forgotten
                    return await self._answer_again(session, first)
            return None

    async def keep(self, answer: KeptAnswer) -> None:
        """Keep the answer, or where it is too large that there was one."""
        encoded = msgspec.json.encode(answer)
        fits = len(encoded) <= ANSWER_BYTES_MAX
        async with self._sessions.begin() as session:
            await session.execute(
                update(IdempotentCall)
                .where(self._is_it, IdempotentCall.request_id == self._request_id)
                .values(
                    answered=True,
                    answer_encrypted=self._vault.seal(encoded, context=self._context) if fits else None,
                )
            )

    async def note_charged(self) -> None:
        """Note that the call's stream was charged. Its client has its end by now, so this never fails for want of the
        database: then a minute says the same.
        """
        try:
            async with self._sessions.begin() as session:
                await session.execute(
                    update(IdempotentCall)
                    .where(self._is_it, IdempotentCall.request_id == self._request_id)
                    .values(answered=True)
                )
        except Exception as error:
            if not is_database_away(error):
                raise
            log.warning("charge_not_noted", request_id=str(self._request_id))

    async def forget(self) -> None:
        """Let the call be made again: it was not charged."""
        async with self._sessions.begin() as session:
            row = IdempotentCall
            await session.execute(
                delete(row).where(self._is_it, row.request_id == self._request_id, row.answered.is_(False))
            )

    async def _answer_again(self, session: AsyncSession, first: IdempotentCall) -> KeptAnswer | None:
        if first.fingerprint != self._fingerprint:
            raise KeyReused("Send the same body again, or use a new key for a new request.")
        if await self._is_running(session, first):
            raise StillRunning("Wait for its answer, or send it again later.", retry_after_seconds=RETRY_SECONDS)
        if first.answer_encrypted is not None:
            encoded = self._vault.open(first.answer_encrypted, context=self._context)
            return msgspec.json.decode(encoded, type=KeptAnswer)
        if first.answered or first.streamed:
            raise AnswerNotKept(first.request_id, streamed=first.streamed)
        first.request_id = self._request_id  # its process died before there was an answer, or a charge
        first.created_at = datetime.now(UTC)
        return None

    async def _is_running(self, session: AsyncSession, first: IdempotentCall) -> bool:
        """Tell whether the call is being made, or settled: nobody is told an answer before its charge is durable."""
        if await is_held(session, organization_id=self._id[0], hold_id=first.request_id):
            return True
        return not first.answered and datetime.now(UTC) - first.created_at < BEGINNING

    @property
    def _is_it(self) -> ColumnElement[bool]:
        row = IdempotentCall
        return (row.organization_id == self._id[0]) & (row.caller_id == self._id[1]) & (row.key == self._id[2])

    @property
    def _context(self) -> str:
        return f"idempotent-call/{self._id[0]}/{self._id[1]}/{self._id[2]}"


async def forget_old_calls(session: AsyncSession) -> None:
    """Delete what is kept no longer."""
    await session.execute(delete(IdempotentCall).where(IdempotentCall.created_at < func.now() - KEPT))
