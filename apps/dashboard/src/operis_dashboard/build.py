"""Compiles the frontend, once: `python -m operis_dashboard.build [--force]`.

Needs node (which the `build` dependency group installs) and the npm registry; what it leaves in `.web` is
served without either. Does nothing while a stamp over its sources is unchanged.
"""

import argparse
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from operis_dashboard.places import app_root, static_folder

_STAMP = "operis-build-stamp"
_SECONDS_MAX = 900
_LINES_KEPT = 40


def main() -> int:
    parser = argparse.ArgumentParser(prog="operis_dashboard.build", description=__doc__)
    parser.add_argument("--force", action="store_true", help="compile even if nothing changed")
    force = parser.parse_args().force
    root = app_root()
    with _one_build_at_a_time(root):
        return _build(root, force=force)


def _build(root: Path, *, force: bool) -> int:
    if not force and is_built(root, compute_stamp(root)):
        print("The dashboard's frontend is up to date.")
        return 0
    if not _node():
        print(
            "The dashboard cannot be built: node is not in this environment; run `uv sync` with the build group.",
            file=sys.stderr,
        )
        return 1
    print("Building the dashboard's frontend (about half a minute, once)…", flush=True)
    started = time.monotonic()
    if failure := _compile(root):
        print(f"The dashboard cannot be built: {failure}", file=sys.stderr)
        return 1
    (root / ".web" / _STAMP).write_text(compute_stamp(root))  # after it: the first build writes reflex.lock
    print(f"Built in {time.monotonic() - started:.0f} s.")
    return 0


def compute_stamp(root: Path) -> str:
    """Return a hash over everything that the built frontend depends on."""
    digest = hashlib.sha256(version("reflex").encode())
    for path in sorted(_sources(root)):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_built(root: Path, stamp: str) -> bool:
    """Return whether `.web` holds a finished build of exactly these sources."""
    kept = root / ".web" / _STAMP
    return static_folder(root).is_dir() and kept.is_file() and kept.read_text() == stamp


@contextmanager
def _one_build_at_a_time(root: Path) -> Generator[None]:
    """Wait for another build of this tree: `make up` and `make test` may start together."""
    (root / ".web").mkdir(exist_ok=True)
    with (root / ".web" / "operis-build-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sources(root: Path) -> Iterable[Path]:
    package = Path(__file__).parent
    yield root / "rxconfig.py"
    yield from package.rglob("*.py")
    yield from (path for path in (root / "assets").rglob("*") if path.is_file())
    yield from (path for path in (root / "reflex.lock").rglob("*.json") if path.is_file())


def _node() -> Path | None:
    """Return the folder of this environment's node and npm."""
    folder = Path(sys.executable).parent
    return folder if (folder / "node").exists() and (folder / "npm").exists() else None


def _compile(root: Path) -> str | None:
    """Run Reflex's export; return None, or in one line why it failed."""
    folder = Path(sys.executable).parent
    (root / ".web" / _STAMP).unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}",
        "REFLEX_USE_NPM": "1",
        "REFLEX_TELEMETRY_ENABLED": "false",
        "REFLEX_CHECK_LATEST_VERSION": "0",
        # The build is the same for every deployment: nothing of this machine's settings goes into it.
        "OPERIS_DASHBOARD_PORT": "3000",
        "OPERIS_PUBLIC_DASHBOARD_URL": "http://localhost:3000",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "reflex", "export", "--frontend-only", "--no-zip", "--loglevel", "info"],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: list[str] = []
    if process.stdout is None:
        raise RuntimeError("the build has no output to read")
    for line in process.stdout:
        if text := line.strip():
            lines = [*lines[-_LINES_KEPT:], text]
            print(f"  {text}", flush=True)
    if process.wait(_SECONDS_MAX) != 0:
        return _reason(lines)
    return None if static_folder(root).is_dir() else "Reflex finished without writing .web/build/client."


def _reason(lines: list[str]) -> str:
    text = "\n".join(lines)
    if any(sign in text for sign in ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH")):
        return "the npm registry cannot be reached; connect to the network and run this again."
    telling = [line for line in lines if "error" in line.lower() or "Error" in line]
    return (telling or lines or ["Reflex stopped without a word."])[-1]


if __name__ == "__main__":
    sys.exit(main())
