"""Expecting a refusal: its status and code, exactly."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from operis_client import ApiError


class Refusal:
    """What was refused, once the block has ended."""

    error: ApiError


@contextmanager
def refused(status: int, code: str) -> Generator[Refusal]:
    refusal = Refusal()
    with pytest.raises(ApiError) as found:
        yield refusal
    refusal.error = found.value
    assert (found.value.status, found.value.code) == (status, code), found.value
