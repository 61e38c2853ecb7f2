"""Who shares a commit with whom, and who waits."""

import asyncio
from collections.abc import Sequence

import pytest

from operis_api.kit.batching import BATCH_MAX, COMPANY_MIN, Batcher


class Ledger:
    """Commits what it is given, and remembers in which batches it came."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def commit(self, batch: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(batch))
        return [ValueError(f"{item} is odd") if item % 2 else item * 10 for item in batch]


async def turn() -> None:
    """Let the loop run what is ready, and no timer."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_alone_an_item_waits_for_nobody() -> None:
    ledger = Ledger()
    batcher = Batcher(ledger.commit)
    for item in (2, 4, 6):
        answer = batcher.submit(item)
        await turn()
        assert answer.result() == item * 10
    assert ledger.batches == [[2], [4], [6]]


async def test_under_load_those_that_come_within_a_moment_share_a_commit() -> None:
    ledger = Ledger()
    batcher = Batcher(ledger.commit)
    company = [2 * nth for nth in range(COMPANY_MIN)]
    await asyncio.gather(*(batcher.submit(item) for item in company))
    first = batcher.submit(100)
    await turn()
    later = batcher.submit(102)
    assert await asyncio.gather(first, later) == [1000, 1020]
    assert ledger.batches == [company, [100, 102]]


async def test_one_that_fails_fails_alone_and_each_gets_its_own_answer() -> None:
    ledger = Ledger()
    batcher = Batcher(ledger.commit)
    answers = await asyncio.gather(*(batcher.submit(item) for item in (2, 3, 4)), return_exceptions=True)
    assert answers[0::2] == [20, 40]
    assert isinstance(answers[1], ValueError)


async def test_a_crowd_is_cut_into_batches_in_order_and_draining_waits_for_all() -> None:
    ledger = Ledger()
    batcher = Batcher(ledger.commit)
    crowd = [2 * nth for nth in range(BATCH_MAX + 1)]
    answers = [batcher.submit(item) for item in crowd]
    await batcher.drain()
    assert [answer.result() for answer in answers] == [10 * item for item in crowd]
    assert ledger.batches == [crowd[:BATCH_MAX], crowd[BATCH_MAX:]]


async def test_a_commit_that_fails_is_told_to_all_who_wait_for_it() -> None:
    async def refuse(_: Sequence[int]) -> Sequence[int | Exception]:
        raise OSError("away")

    batcher: Batcher[int, int] = Batcher(refuse)
    for answer in (batcher.submit(1), batcher.submit(2)):
        with pytest.raises(OSError, match="away"):
            await answer
