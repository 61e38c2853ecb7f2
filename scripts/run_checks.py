"""`make check`: everything that can be said about the code without running the product. Each check prints its name and
`ok` or `failed`; all of them run, and one failure fails the whole. Names as arguments run only those.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MEMBERS = sorted(path.parent for group in ("apps", "packages") for path in ROOT.glob(f"{group}/*/pyproject.toml"))

LINES_MAX = 80
"""Of what one check found; the tool itself shows the rest."""

Findings = str
"""What a check complains about; empty when it is content."""
Check = Callable[[], Findings]


def run(*command: str | Path, cwd: Path = ROOT) -> Findings:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout.strip() or f"it ended with status {done.returncode}"


def find_uv() -> str:
    """Return the uv that `scripts/bootstrap.py` uses, or the one on the PATH."""
    own = ROOT / ".tools" / "bin" / "uv"
    return str(own) if own.exists() else "uv"


def check_dependencies() -> Findings:
    """Each package declares what it imports and imports what it declares."""
    return "\n".join(filter(None, (run(BIN / "deptry", "--no-ansi", "src", cwd=member) for member in MEMBERS)))


def check_lock() -> Findings:
    return run(find_uv(), "lock", "--check", "--quiet") or check_lock_hosts()


def check_lock_hosts() -> Findings:
    """The lock names the public default index alone: a mirror that only its author reaches would break every clone.

    Which index that is, uv says itself.
    """
    manual = subprocess.run([find_uv(), "lock", "--help"], capture_output=True, text=True, check=True).stdout
    default = re.search(r"default package index \(by default: <([^>]+)>", " ".join(manual.split()))
    if default is None:
        return "uv no longer says in `uv lock --help` which index is its default"
    lock = (ROOT / "uv.lock").read_text()
    registries = set(re.findall(r'^source = \{ registry = "([^"]+)" \}$', lock, re.MULTILINE))
    files: list[str] = re.findall(r'\burl = "([^"]+)"', lock)
    hosts = {urlsplit(url).netloc for url in files}
    if registries != {default[1]} or len(hosts) != 1:
        return (
            f"uv.lock names {sorted(registries)} and files on {sorted(hosts)}; lock again without UV_*INDEX* variables"
        )
    return ""


CHECKS: dict[str, Check] = {
    "format": lambda: run(BIN / "ruff", "format", "--check", "--quiet", "."),
    "lint": lambda: run(BIN / "ruff", "check", "--quiet", "--output-format=concise", "."),
    "types": lambda: run(BIN / "basedpyright"),
    "imports": lambda: run(BIN / "lint-imports", "--no-cache"),
    "dependencies": check_dependencies,
    "lock": check_lock,
    "migrations": lambda: run(BIN / "operis", "migrate", "--check"),
    "openapi": lambda: run(BIN / "operis", "openapi", "--check"),
    "compose": lambda: run(sys.executable, "-m", "pytest", "-q", "tests/contract/test_compose_file.py"),
}


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(CHECKS))
    if unknown:
        sys.exit(f"check: there is no {', '.join(unknown)}; there is {', '.join(CHECKS)}.")
    failed: list[str] = []
    for name in names or CHECKS:
        began = time.monotonic()
        findings = CHECKS[name]()
        print(f"{name:<14}{'failed' if findings else 'ok':<8}{time.monotonic() - began:6.1f} s", flush=True)
        if findings:
            failed.append(name)
            lines = findings.splitlines()
            more = [f"... and {len(lines) - LINES_MAX} lines more"] if len(lines) > LINES_MAX else []
            print("\n".join(f"    {line}" for line in (*lines[:LINES_MAX], *more)), flush=True)
    print(f"check: {', '.join(failed)} failed" if failed else "check: all ok")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
