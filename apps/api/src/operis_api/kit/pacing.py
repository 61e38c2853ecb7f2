"""Answers that tell nothing by the time they take."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


@asynccontextmanager
async def paced(step_seconds: float) -> AsyncGenerator[None]:
    """Let the block, refusals too, last a whole number of steps: what it did within a step cannot be measured."""
    began = read_clock()
    try:
        yield
    finally:
        await fill_step(began, step_seconds)


async def fill_step(began: float, step_seconds: float) -> None:
    """Wait until a whole number of steps has passed since `began`."""
    await asyncio.sleep(step_seconds - (read_clock() - began) % step_seconds)


def read_clock() -> float:
    return asyncio.get_running_loop().time()
