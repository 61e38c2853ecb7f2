"""What the embedded server needs from the machine: an account to run as, commands run as it, and facts about processes.

PostgreSQL refuses to run as root, so a root user's server runs as `postgres` or `nobody`.
"""

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from operis_db.embedded.errors import EmbeddedPostgresError

ProcessState = Literal["gone", "zombie", "running"]


class Account(NamedTuple):
    uid: int
    gid: int


def choose_account(data: Path) -> Account:
    """Return whom the server runs as: ourselves, or for root the owner of `data`, else `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, and this machine has neither a postgres nor a nobody user; "
        "start Operis as an ordinary user or set DATABASE_URL."
    )


def run_as(
    account: Account,
    argv: Sequence[str | Path],
    *,
    stdin: str = "",
    log: Path | None = None,
    timeout_seconds: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a command as `account` and return it with its output, which also goes to `log` when that is given.

    The caller's PG* variables never reach it, and the working directory is one that every account may enter.
    """
    other = account.uid != os.geteuid()
    done = subprocess.run(  # noqa: S603 - the commands are PostgreSQL's own programs and /bin/sh
        [str(word) for word in argv],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        timeout=timeout_seconds,
        cwd="/",
        env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
        user=account.uid if other else None,
        group=account.gid if other else None,
        extra_groups=[] if other else None,
        start_new_session=True,  # Ctrl-C in the terminal is for us; the server is stopped in order
    )
    if log is not None:
        log.write_text(done.stdout)
    return done


def make_directory(path: Path, account: Account) -> None:
    """Make `path` a directory that only `account` may enter, refusing one that belongs to somebody else."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if found.st_uid not in {account.uid, os.geteuid()} or path.is_symlink():
        raise EmbeddedPostgresError(
            f"{path} belongs to another user; remove it or set OPERIS_HOME to another directory."
        )
    if os.geteuid() == 0:
        os.chown(path, account.uid, account.gid)
    path.chmod(0o700)


def process_state(pid: int) -> ProcessState:
    """Tell a live process from a dead one that nobody has reaped: both answer to `kill(pid, 0)`."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return "gone"
        letter = stat.rpartition(")")[2].split()[0]
    else:
        letter = _ps(pid, "state")[:1]
    if not letter or letter == "X":
        return "gone"
    return "zombie" if letter == "Z" else "running"


def is_postgres(pid: int) -> bool:
    """Tell whether the process that now has this id is a PostgreSQL: ids are used again."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
        except (FileNotFoundError, ProcessLookupError):
            return False
    return "postgres" in _ps(pid, "comm")


def servers_below(directory: Path) -> list[int]:
    """Return the PostgreSQL processes at work in `directory`: backends outlive a killed postmaster for a moment."""
    if sys.platform != "linux":
        return []
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or not is_postgres(int(entry.name)):
            continue
        try:
            if (entry / "cwd").readlink() == directory and process_state(int(entry.name)) == "running":
                found.append(int(entry.name))
        except OSError:  # gone between two looks, or not ours
            continue
    return found


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(["/bin/ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()
