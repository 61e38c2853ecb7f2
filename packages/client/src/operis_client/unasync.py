"""Make `sync.py` from `aio.py`, so that the two clients cannot differ: `python -m operis_client.unasync`."""

import re
from pathlib import Path

_HERE = Path(__file__).parent
_REPLACEMENTS = (
    (r"The asynchronous client: one method per operation of the API\. `sync\.py` is made from this file\.",
     "The synchronous client, made from `aio.py` by `python -m operis_client.unasync`: edit that."),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsyncOperis\b", "Operis"),
    (r"\bAsyncClient\b", "Client"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAsyncGenerator\[(.*)\]:", r"Generator[\1, None, None]:"),
    (r"\bAsyncGenerator\b", "Generator"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\baclose\b", "close"),
    (r"\baread\b", "read"),
    (r"\baiter_lines\b", "iter_lines"),
    (r"\baiter_bytes\b", "iter_bytes"),
)  # fmt: skip


def derive_sync_source() -> str:
    """Return what `sync.py` must be: `aio.py` with every asynchronous word replaced by its synchronous one."""
    source = (_HERE / "aio.py").read_text()
    for pattern, word in _REPLACEMENTS:
        source = re.sub(pattern, word, source)
    return source


if __name__ == "__main__":
    (_HERE / "sync.py").write_text(derive_sync_source())
