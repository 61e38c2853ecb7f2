"""Bytes of a stream, however they were cut, become the same whole events."""

import itertools

import pytest

from operis_api.gateway.dialects.events import EVENT_BYTES_MAX, EventBuffer, split_events

LINES = b'data: {"a":1}\n\n: comment\n\nevent: x\ndata: {"b":"\xc3\xa9"}\n\ndata: [DONE]\n\n'
STREAMS = {
    "LF": LINES,
    "CRLF": LINES.replace(b"\n", b"\r\n"),
    "mixed": LINES.replace(b"\n\n", b"\r\n\n", 1).replace(b"}\n\n", b"}\n\r\n", 1),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("size", range(1, 9))
def test_pieces_of_any_size_become_the_same_events(stream: bytes, size: int) -> None:
    buffer = EventBuffer()
    taken = [buffer.take(stream[at : at + size]) for at in range(0, len(stream), size)]
    assert b"".join(taken) == stream
    assert buffer.size == 0
    assert list(itertools.chain.from_iterable(map(split_events, taken))) == split_events(stream)


@pytest.mark.parametrize("cut", range(len(STREAMS["CRLF"])))
def test_what_is_no_whole_event_waits(cut: int) -> None:
    stream, buffer = STREAMS["CRLF"], EventBuffer()
    first = buffer.take(stream[:cut])
    assert first == b"" or first.endswith(b"\r\n\r\n")
    assert buffer.size == cut - len(first)
    assert first + buffer.take(stream[cut:]) == stream


def test_a_huge_event_in_tiny_pieces_is_put_together_once() -> None:
    """Joining it anew for each piece would copy 500 GB."""
    piece, buffer = b"x" * 64, EventBuffer()
    for nth in range(EVENT_BYTES_MAX // len(piece)):
        assert buffer.take(piece) == b""
        assert buffer.size == (nth + 1) * len(piece)
    assert len(buffer.take(b"\n\n")) == EVENT_BYTES_MAX + 2


def test_what_waits_can_be_given_up() -> None:
    buffer = EventBuffer()
    buffer.take(b"data: 1\n\ndata: 2")
    assert buffer.size == len(b"data: 2")
    buffer.clear()
    assert buffer.take(b"data: 3\n\n") == b"data: 3\n\n"
