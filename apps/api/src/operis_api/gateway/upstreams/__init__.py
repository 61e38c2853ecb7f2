"""Upstream protocols: each file opens a request at one kind of provider and yields its answer in that dialect."""

from collections.abc import AsyncIterator
from typing import Protocol

from operis_api.catalog.offers import Route
from operis_api.gateway.dialects import Form
from operis_api.kit.errors import DomainError


class AttemptFailed(Exception):
    """An upstream did not answer as it should. `refusal` is what the caller is told."""

    def __init__(self, refusal: DomainError, *, note: str, status: int | None = None, retryable: bool = True) -> None:
        super().__init__(note)
        self.refusal = refusal
        self.note = note
        """For operators: never shown to the caller."""
        self.status = status
        self.retryable = retryable


class Reply(Protocol):
    """An answer that has begun. `close` may be called at any time, more than once."""

    async def read(self) -> bytes:
        """Return the whole answer; raises `AttemptFailed`."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the stream's bytes as they come; raises `AttemptFailed`."""
        ...

    def close(self) -> None: ...


class Protocolled(Protocol):
    async def open(self, route: Route, request: Form, *, output_limit: int | None) -> Reply:
        """Send the request and return once the upstream has accepted it; raises `AttemptFailed`."""
        ...
