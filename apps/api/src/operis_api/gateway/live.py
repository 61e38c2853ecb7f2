"""The calls this process is serving: their leases are renewed and their progress kept while they live."""

import asyncio
from collections.abc import Callable, Iterator
from uuid import UUID

import msgspec
import structlog

from operis_api.keys.authentication import Caller
from operis_api.kit.crashing import crash_here
from operis_api.kit.errors import DomainError, Unavailable
from operis_api.ledger.holds import CHECKPOINT_SECONDS, Holds, Progress

CHECKPOINT_TOKENS = 512
"""A stream that delivered this much since its last checkpoint does not wait for the next tick."""
log = structlog.get_logger()


class LiveCall(msgspec.Struct):
    caller: Caller
    hold_id: UUID
    output_tokens: int = 0
    kept_tokens: int = 0
    refusal: DomainError | None = None
    """Why the call's stream has to end before its time."""
    on_end: Callable[[], None] | None = None

    def end(self, refusal: DomainError) -> None:
        if self.refusal is None:
            self.refusal = refusal
            if self.on_end is not None:
                self.on_end()


class LiveCalls:
    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._calls: dict[UUID, LiveCall] = {}
        self._due = asyncio.Event()

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[LiveCall]:
        return iter(list(self._calls.values()))

    def add(self, caller: Caller, hold_id: UUID) -> LiveCall:
        call = self._calls[hold_id] = LiveCall(caller, hold_id)
        return call

    def remove(self, call: LiveCall) -> None:
        self._calls.pop(call.hold_id, None)

    def end_all(self, refusal: DomainError) -> None:
        for call in self:
            call.end(refusal)

    def note_progress(self, call: LiveCall, output_tokens: int) -> None:
        call.output_tokens = output_tokens
        if output_tokens - call.kept_tokens >= CHECKPOINT_TOKENS:
            self._due.set()

    async def keep_alive(self) -> None:
        """Checkpoint all live calls every two seconds, sooner where one ran ahead; runs until cancelled."""
        while True:
            try:
                async with asyncio.timeout(CHECKPOINT_SECONDS):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            if self._calls:
                await self._checkpoint()

    async def _checkpoint(self) -> None:
        calls = list(self._calls.values())
        progress = [Progress(call.caller.organization_id, call.hold_id, call.output_tokens) for call in calls]
        crash_here("before_checkpoint")
        try:
            await self._holds.checkpoint(progress)
        except Unavailable:
            log.warning("checkpoint_missed", calls=len(calls))
            await asyncio.sleep(CHECKPOINT_SECONDS)
            return
        for call, kept in zip(calls, progress, strict=True):
            call.kept_tokens = kept.output_tokens
        crash_here("after_checkpoint")
