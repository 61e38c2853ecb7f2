"""Answers that tell nothing by the time they take."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


@asynccontextmanager
async def paced(step_seconds: float) -> AsyncGenerator[None]:
    """Let the block, refusals too, last a whole number of steps: what it did within a step cannot be measured."""
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        yield
    finally:
        await asyncio.sleep(step_seconds - (clock() - began) % step_seconds)
