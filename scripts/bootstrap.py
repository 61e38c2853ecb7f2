"""Make `.venv` as `uv.lock` says, with the standard library alone; a second run with nothing changed ends at once.

This file keeps to old syntax: on a Python that is too old it must still get as far as saying so.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from typing import IO, NoReturn

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOLS = os.path.join(ROOT, ".tools")
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, ".operis-stamp")
UV_VERSION = (0, 13)  # what wrote uv.lock; another uv may write another lock


def main() -> None:
    if sys.version_info < (3, 11):
        stop(
            f"python3 is {sys.version_info[0]}.{sys.version_info[1]}; Operis needs 3.11 or newer. "
            "Install one and name it: make PYTHON=python3.12 up"
        )
    if is_current():
        return
    with open_lock() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands on a fresh clone make one environment
        if not is_current():
            synchronize(find_uv() or install_uv())


def wanted() -> str:
    """Return what `.venv` must have been made from, and where: its scripts hold absolute paths."""
    digest = hashlib.sha256()
    names = ["uv.lock", "pyproject.toml"]
    for group in ("apps", "packages"):
        members = sorted(os.listdir(os.path.join(ROOT, group)))
        names.extend(os.path.join(group, member, "pyproject.toml") for member in members)
    for name in names:
        path = os.path.join(ROOT, name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                digest.update(name.encode() + b"\0" + file.read())
    return f"{digest.hexdigest()} {ROOT}\n"


def is_current() -> bool:
    try:
        return read(STAMP) == wanted() and os.access(os.path.join(VENV, "bin", "python"), os.X_OK)
    except FileNotFoundError:
        return False


def open_lock() -> "IO[str]":
    try:
        os.makedirs(TOOLS, exist_ok=True)
        return open(os.path.join(TOOLS, ".lock"), "w")
    except OSError as error:
        stop(f"{TOOLS} cannot be written ({error.strerror}); clone the repository where you may write.")


def find_uv() -> "str | None":
    for path in (shutil.which("uv"), os.path.join(TOOLS, "bin", "uv")):
        if path and os.path.exists(path):
            try:
                words = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.split()
            except OSError:  # its interpreter is gone, or it is for another machine
                continue
            if len(words) > 1 and tuple(words[1].split(".")[:2]) == tuple(str(part) for part in UV_VERSION):
                return path
    return None


def install_uv() -> str:
    say("installing uv into .tools")
    try:
        import ensurepip  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport] - asked for, not used
        import venv  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport] - asked for, not used
    except ImportError:
        package = f"python3.{sys.version_info[1]}-venv"
        stop(f"python3 has no venv module; install it first (Debian, Ubuntu: apt-get install {package}).")
    shutil.rmtree(os.path.join(TOOLS, "bin"), ignore_errors=True)
    run([sys.executable, "-m", "venv", "--clear", TOOLS], "The environment for uv could not be made")
    pip = [os.path.join(TOOLS, "bin", "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    bounds = f"uv>={UV_VERSION[0]}.{UV_VERSION[1]},<{UV_VERSION[0]}.{UV_VERSION[1] + 1}"
    run([*pip, "--retries", "2", bounds], "uv could not be installed")
    return os.path.join(TOOLS, "bin", "uv")


def synchronize(uv: str) -> None:
    say("installing what uv.lock names into .venv")
    python = os.path.join(VENV, "bin", "python")
    moved = os.path.exists(STAMP) and not read(STAMP).endswith(f" {ROOT}\n")
    if moved or (os.path.lexists(python) and not os.access(python, os.X_OK)):
        shutil.rmtree(VENV, ignore_errors=True)  # made for another place, or its interpreter is gone
    if os.path.exists(STAMP):
        os.unlink(STAMP)
    chosen = [] if os.path.exists(python) else ["--python", sys.executable]
    run([uv, "sync", "--frozen", "--quiet", *chosen], "The environment could not be made")
    with open(STAMP, "w") as file:
        file.write(wanted())


def run(command: "list[str]", failure: str) -> None:
    """Run a command; when it fails, say why in one line and stop."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=ROOT)
    if done.returncode == 0:
        return
    said = done.stdout.lower()
    if "no space left" in said:
        stop(f"{failure}: the disk is full.")
    offline = (
        "name resolution",
        "dns error",
        "sending request",
        "connection",
        "unreachable",
        "timed out",
        "no matching",
    )
    if any(word in said for word in offline):
        stop(f"{failure}: the Python package index cannot be reached; connect (or set HTTPS_PROXY) and try again.")
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    stop(f"{failure}: {lines[-1] if lines else 'no reason was given'}")


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def say(line: str) -> None:
    print("setup: " + line, flush=True)


def stop(line: str) -> NoReturn:
    sys.exit("setup: " + line)


if __name__ == "__main__":
    main()
