"""Group commit: while one batch is being committed the next one gathers, and everybody waits for their own.

A batch costs the database about as much as fifteen of its items do, so under load a moment's wait for more pays.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
BATCH_MAX = 500
COMPANY_MIN = 3
GATHER_SECONDS = 0.002
"""What a batch waits where the last one had so much company: those that come meanwhile share its commit."""
QUIET_SECONDS = 0.05
"""After so long without a batch nobody is expected."""


class Batcher(Generic[Item, Answer]):
    """Hands items to `commit` in batches, one batch at a time, in order; no item is dropped.

    `commit` answers each item of a batch, in its order, with an exception for one that failed alone, and raises for
    the batch as a whole. Alone, an item waits for nothing; under load hundreds share one commit.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]]) -> None:
        self._commit = commit
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._running: asyncio.Task[None] | None = None
        self._company = 0
        """How many were in the last batch."""
        self._ended_at = 0.0

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Queue `item`; awaiting the future gives its answer once its batch is committed."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return future

    async def drain(self) -> None:
        """Wait until everything queued so far is committed."""
        while self._running is not None:
            await asyncio.shield(self._running)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                await self._commit_batch(batch)
                self._company, self._ended_at = len(batch), time.monotonic()
        finally:
            self._running = None

    async def _gather(self) -> None:
        """Wait for company where there was some just now."""
        if self._company >= COMPANY_MIN and time.monotonic() - self._ended_at < QUIET_SECONDS:
            await asyncio.sleep(GATHER_SECONDS)

    async def _commit_batch(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._commit([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # everybody who waits gets it; nobody else could
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
