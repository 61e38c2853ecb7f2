"""Drills and benchmarks by name: each runs on a PostgreSQL of its own, and says what it finds wrong."""

import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
import uvloop

from operis_db.embedded import EmbeddedPostgres

FINDINGS_MAX = 40


class Runnable(msgspec.Struct, frozen=True):
    run: Callable[[EmbeddedPostgres, int], Awaitable[list[str]]]
    """Does it so often, and returns what is wrong."""
    number: int
    unit: str
    minutes: int
    shows: str


def run_chosen(command: str, runnables: Mapping[str, Runnable], words: list[str]) -> int:
    """Run those that are named, perhaps with another number (`crashes=50`), or all; `list` tells of them."""
    if words == ["list"]:
        for name, runnable in runnables.items():
            print(
                f"{name:<10}{runnable.number:>10,} {runnable.unit:<13}{runnable.minutes:>3} minutes   {runnable.shows}"
            )
        return 0
    findings: list[str] = []
    for name, number in [_read_word(command, runnables, word) for word in words or runnables]:
        findings += [f"{name}: {finding}" for finding in _run(name, runnables[name], number)]
    for finding in findings[:FINDINGS_MAX]:
        print(f"WRONG: {finding}")
    print(f"{command}: {len(findings)} findings" if findings else f"{command}: all ok")
    return 1 if findings else 0


def _read_word(command: str, runnables: Mapping[str, Runnable], word: str) -> tuple[str, int]:
    name, _, number = word.partition("=")
    if name not in runnables or not (number or "1").isdigit():
        sys.exit(f"{command}: {word} is none of {', '.join(runnables)}; write a number so: {next(iter(runnables))}=50.")
    return name, int(number or runnables[name].number)


def _run(name: str, runnable: Runnable, number: int) -> list[str]:
    print(f"== {name}: {number:,} {runnable.unit}; {runnable.shows}", flush=True)
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="operis-bench-"))
    directory.chmod(0o755)

    async def work() -> list[str]:
        with EmbeddedPostgres(directory) as postgres:
            return await runnable.run(postgres, number)

    try:
        findings = uvloop.run(work())
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"== {name}: {len(findings)} findings in {time.monotonic() - began:.0f} s", flush=True)
    return findings
