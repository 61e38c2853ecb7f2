"""Server-sent events as bytes: where one ends, and what data it carries."""

import re

EVENT_BYTES_MAX = 8 * 1024 * 1024
_EVENT_END = re.compile(rb"\r?\n\r?\n")
_END_BYTES_MAX = 4


class EventBuffer:
    """Gathers received bytes to whole events, in time that grows with the bytes and not with their pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        """Of an event that has not ended; what is behind the last end."""
        self._last = b""
        """The end of those pieces: where an event's end may have begun."""
        self.size = 0
        """Of what waits, in bytes."""

    def take(self, received: bytes) -> bytes:
        """Return what of the bytes so far is whole events; the rest waits."""
        if not self._pieces and received.endswith(b"\n\n") and b"\r" not in received:
            return received
        window = self._last + received
        if _EVENT_END.search(window) is None:
            self._pieces.append(received)
            self.size += len(received)
            self._last = window[-_END_BYTES_MAX + 1 :]
            return b""
        whole, rest = _cut(b"".join([*self._pieces, received]))
        self.clear()
        if rest:
            self._pieces, self._last, self.size = [rest], rest[-_END_BYTES_MAX + 1 :], len(rest)
        return whole

    def clear(self) -> None:
        self._pieces, self._last, self.size = [], b"", 0


def _cut(buffer: bytes) -> tuple[bytes, bytes]:
    """Return what of the buffer is whole events, of which there is one, and the rest."""
    end = buffer.rfind(b"\n\n") + 2
    if b"\r" in buffer:
        end = max(found.end() for found in _EVENT_END.finditer(buffer))
    return buffer[:end], buffer[end:]


def split_events(whole: bytes) -> list[bytes]:
    """Return the events of whole events, each with its blank line."""
    if b"\r" not in whole:
        return [event + b"\n\n" for event in whole.split(b"\n\n")[:-1]]
    ends = [found.end() for found in _EVENT_END.finditer(whole)]
    return [whole[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def payload_of(event: bytes) -> bytes | None:
    """Return the data of an event, its lines joined; None for comments and events without data."""
    if event.startswith(b"data: ") and event.count(b"\n") <= 2:
        return event[6:].strip()
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
