"""How much of requests' bodies this process keeps at once: a prompt is kept until its call has ended."""

from operis_api.gateway.errors import BodiesTooMany

RETRY_SECONDS = 1


class Bodies:
    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0

    def take(self, size: int) -> None:
        """Make room, or raise `BodiesTooMany`; whoever took gives back."""
        if self._bytes + size > self._bytes_max:
            raise BodiesTooMany(retry_after_seconds=RETRY_SECONDS)
        self._bytes += size

    def give_back(self, size: int) -> None:
        self._bytes -= size
