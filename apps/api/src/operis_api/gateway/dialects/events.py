"""Server-sent events as bytes: where one ends, and what data it carries."""

import re

EVENT_BYTES_MAX = 8 * 1024 * 1024
_EVENT_END = re.compile(rb"\r?\n\r?\n")


def cut_events(buffer: bytes) -> tuple[bytes, bytes]:
    """Return what of the buffer is whole events, and the rest."""
    end = buffer.rfind(b"\n\n") + 2
    if b"\r" in buffer:
        end = max([1, *(found.end() for found in _EVENT_END.finditer(buffer))])
    return (buffer[:end], buffer[end:]) if end > 1 else (b"", buffer)


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
