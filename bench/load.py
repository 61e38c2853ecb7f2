"""Load from a process of its own: `python -m bench.load PORT CONNECTIONS SECONDS KIND [CALLS_A_SECOND] [KEY]`.

Prints one JSON object: calls, failures, and latencies in milliseconds (to the end, and to the first chunk).
"""

import asyncio
import json
import sys
import time

_MESSAGE = b'"messages":[{"role":"user","content":"%s"}],"max_tokens":64' % (b"x" * 100)
_WHOLE = b'{"model":"%s",' + _MESSAGE + b"}"
KINDS = {
    "whole": (b"POST", _WHOLE % b"bench/model", b"200"),
    "stream": (b"POST", b'{"model":"bench/model","stream":true,' + _MESSAGE + b"}", b"200"),
    "paced": (b"POST", b'{"model":"bench/paced","stream":true,' + _MESSAGE + b"}", b"200"),
    "refused": (b"GET", b"", b"405"),
    "unreadable": (b"POST", b"{", b"400"),
    "unaffordable": (b"POST", _WHOLE % b"bench/dear", b"402"),
    "echoed": (b"POST", _WHOLE % b"operis/echo", b"200"),
}
"""Method, body, and the status that is a success: calls that end at one stage after the other."""


async def read_answer(reader: asyncio.StreamReader, status: bytes) -> tuple[bool, float]:
    """Read one answer; returns whether it has that status, and when its first byte of body came."""
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    ok = head.startswith(b"HTTP/1.1 " + status)
    if b"transfer-encoding: chunked" in lowered:
        first = 0.0
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            first = first or time.perf_counter()
            await reader.readexactly(size + 2)
            if size == 0:
                return ok, first
    start = lowered.index(b"content-length:") + 15
    await reader.readexactly(int(lowered[start:].split(b"\r\n", 1)[0]))
    return ok, time.perf_counter()


async def drive(
    port: int,
    request: bytes,
    status: bytes,
    until: float,
    gap: float,
    results: list[tuple[float, float]],
    failures: list[int],
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    due = time.perf_counter()
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(request)
        ok, first = await read_answer(reader, status)
        if ok:
            results.append((time.perf_counter() - began, first - began))
        else:
            failures.append(1)
        due += gap
        if gap and (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
    writer.close()


async def main(port: int, connections: int, seconds: float, kind: str, rate: float, key: str) -> None:
    method, body, status = KINDS[kind]
    request = (
        b"%s /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s" % (method, key.encode(), len(body), body)
    )
    results: list[tuple[float, float]] = []
    failures: list[int] = []
    began = time.perf_counter()
    gap = connections / rate if rate else 0.0
    until = began + seconds
    await asyncio.gather(*(drive(port, request, status, until, gap, results, failures) for _ in range(connections)))
    whole = sorted(result[0] for result in results) or [0.0]
    first = sorted(result[1] for result in results) or [0.0]

    def quantile(values: list[float], part: float) -> float:
        return values[min(len(values) - 1, int(len(values) * part))] * 1000

    print(
        json.dumps(
            {
                "calls": len(results),
                "failures": len(failures),
                "seconds": time.perf_counter() - began,
                "p50": quantile(whole, 0.5),
                "p99": quantile(whole, 0.99),
                "first_p50": quantile(first, 0.5),
                "first_p99": quantile(first, 0.99),
            }
        )
    )


if __name__ == "__main__":
    _, port, connections, seconds, kind, rate, key = [*sys.argv, "0", "none"][:7]
    asyncio.run(main(int(port), int(connections), float(seconds), kind, float(rate), key))
