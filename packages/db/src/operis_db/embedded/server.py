"""Start and stop the PostgreSQL whose files lie in one directory.

Whether it lives is asked through its socket, never by its process id alone: a killed postmaster that nobody has
reaped looks alive to `kill(pid, 0)` and `pg_ctl`. The caller sees to it that one process at a time is in here.
"""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

from operis_db.embedded.binaries import Binaries, find_binaries, make_reachable
from operis_db.embedded.errors import EmbeddedPostgresError
from operis_db.embedded.host import (
    Account,
    choose_account,
    is_postgres,
    make_directory,
    process_state,
    run_as,
    servers_below,
)

SUPERUSER, OWNER, APP, DATABASE = "postgres", "operis_owner", "operis_app", "operis"
SOCKET_PATH_MAX = 100
"""The kernel takes 107 bytes; PostgreSQL adds its socket's name to the directory."""
START_SECONDS_MAX = 120
"""A start after a crash replays the log first."""
STOP_SECONDS_MAX = 30
QUIT_SECONDS_MAX = 10
SHARED_GROUND = Path("/var/lib/operis")

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
}
_PREPARE = f"""
do $$ begin
    if not exists (select from pg_roles where rolname = '{OWNER}') then
        create role {OWNER} login createrole createdb;
    end if;
    if not exists (select from pg_roles where rolname = '{APP}') then
        create role {APP} login;
    end if;
end $$;
select 'create database {DATABASE} owner {OWNER}'
where not exists (select from pg_database where datname = '{DATABASE}') \\gexec
"""  # noqa: S608 - our own names


class Server:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket_directory: Path | None = None
        self._pid: int | None = None

    def delete(self) -> None:
        """Delete the data and the logs of a server that does not run."""
        for path in (self._data, self.ground / "log", *self.ground.glob("data.draft-*")):
            if path.exists():
                shutil.rmtree(path)

    @property
    def ground(self) -> Path:
        """Where the server's own files are: data, logs, socket."""
        moved = self.directory / "ground"
        return moved.resolve() if moved.is_symlink() else self.directory

    @property
    def _data(self) -> Path:
        return self.ground / "data"

    def make_ready(self) -> None:
        """Return once the server answers, with the database and both roles in place."""
        account = choose_account(self._data)
        if not _may_enter(self.directory, account):
            self._move_ground()
        binaries = self._find_binaries(account)
        if not (self._data / "PG_VERSION").exists():
            self._initialize(binaries, account)
        self.socket_directory = self._place_socket()
        make_directory(self.socket_directory, account)
        if not self._answers(binaries, account):
            self._start(binaries, account)
        done = self._psql(binaries, account, "postgres", _PREPARE)
        if done.returncode != 0:
            raise EmbeddedPostgresError(f"the roles could not be made: {_last_line(done.stdout)}")
        self._pid = self._read_pid()

    def stop(self) -> None:
        """Stop whatever server now runs on the data."""
        _stop(self._read_pid(), self.ground)
        if self.socket_directory is not None and self.socket_directory.parent != self.ground:
            with contextlib.suppress(OSError):  # in /tmp nothing of ours stays behind
                self.socket_directory.rmdir()

    def stop_mine(self) -> None:
        """Stop only the server that `make_ready` found, whose directory is gone."""
        _stop(self._pid, self.ground)

    def _move_ground(self) -> None:
        """Keep the server's files where its user can reach them: nothing of root's is opened up for it."""
        link = self.directory / "ground"
        if link.is_symlink() and link.exists():
            return
        if self._data.exists():
            raise EmbeddedPostgresError(
                f"the user that owns {self._data} may not enter {self.directory}; open the directories above it."
            )
        SHARED_GROUND.mkdir(parents=True, exist_ok=True)
        SHARED_GROUND.chmod(0o711)
        ground = SHARED_GROUND / secrets.token_hex(6)
        ground.mkdir()
        ground.chmod(0o711)
        link.unlink(missing_ok=True)
        link.symlink_to(ground)

    def _find_binaries(self, account: Account) -> Binaries:
        version = self._data / "PG_VERSION"
        major = int(version.read_text().split(".")[0]) if version.exists() else None
        try:
            found = find_binaries(major)
        except EmbeddedPostgresError as error:
            raise EmbeddedPostgresError(f"The embedded PostgreSQL in {self._data} cannot start: {error}") from None
        return make_reachable(found, account, self.ground)

    def _initialize(self, binaries: Binaries, account: Account) -> None:
        """Make the data directory under another name first, so that a kill halfway leaves none that looks complete."""
        for stale in self.ground.glob("data.draft-*"):
            shutil.rmtree(stale, ignore_errors=True)
        # A name of its own: the initdb of a run that was killed may still be writing into the last one.
        draft, log = self.ground / f"data.draft-{secrets.token_hex(3)}", self.ground / "initdb.log"
        make_directory(draft, account)
        # One order and one case mapping everywhere; C.UTF-8 comes with the server only since 17.
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if binaries.major >= 17 else []
        command = [binaries.directory / "initdb", f"--pgdata={draft}", f"--username={SUPERUSER}", "--encoding=UTF8"]
        flags = [
            "--locale=C",
            *builtin,
            "--auth-local=trust",
            "--auth-host=reject",
            "--data-checksums",
            "--no-instructions",
        ]
        done = run_as(account, [*command, *flags], log=log)
        if done.returncode != 0:
            shutil.rmtree(draft, ignore_errors=True)
            raise EmbeddedPostgresError(
                f"PostgreSQL could not make its data directory: {_last_line(done.stdout)} (log: {log}); "
                "set OPERIS_HOME elsewhere or DATABASE_URL to a server you run."
            )
        if self._data.exists():  # an empty directory somebody made; one with files in it stops us here
            self._data.rmdir()
        draft.rename(self._data)

    def _place_socket(self) -> Path:
        """Return the socket's directory: below the ground, or below /tmp where that path is too long or odd.

        Its name is this home's own: a server whose home was deleted removes its socket by path when it ends, and must
        not remove that of the home made anew in the same place. It is random, because others may write in /tmp.
        """
        remembered = self.directory / "socket_name"
        if not remembered.exists():
            remembered.write_text(f"operis-pg-{secrets.token_hex(8)}")
        name = remembered.read_text()
        natural = self.ground / name
        if len(os.fsencode(natural)) <= SOCKET_PATH_MAX and re.fullmatch(r"[\w/.+-]+", str(natural), re.ASCII):
            return natural
        return Path("/tmp", name)  # noqa: S108 - the name is random; TMPDIR may differ between two users of one server

    def _answers(self, binaries: Binaries, account: Account) -> bool:
        """Ask the server a question. One that lost its data directory does not count."""
        directory = self.socket_directory
        if directory is None or not (directory / ".s.PGSQL.5432").exists() or self._read_pid() is None:
            return False
        return self._psql(binaries, account, "postgres", "select 1").returncode == 0

    def _psql(self, binaries: Binaries, account: Account, database: str, sql: str) -> subprocess.CompletedProcess[str]:
        target = f"host={self.socket_directory} port=5432 user={SUPERUSER} dbname={database} connect_timeout=10"
        command = [binaries.directory / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", target]
        return run_as(account, command, stdin=sql)

    def _start(self, binaries: Binaries, account: Account) -> None:
        pid = self._read_pid()
        if pid is None or process_state(pid) != "running" or not is_postgres(pid):
            self._clear_remains(pid)
            pid = self._launch(binaries, account)
        # A postmaster that somebody started a moment ago, or that is replaying its log, is only waited for.
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers(binaries, account):
            if process_state(pid) != "running":
                raise EmbeddedPostgresError(f"PostgreSQL stopped while starting: {self._read_complaint()}")
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"PostgreSQL (process {pid}) did not answer within {START_SECONDS_MAX} seconds (logs: "
                    f"{self.ground / 'boot.log'}, {self.ground / 'log'}); stop it with `kill -INT {pid}` and try again."
                )
            time.sleep(0.03)

    def _launch(self, binaries: Binaries, account: Account) -> int:
        """Start the postmaster in a session of its own, owned by no process of ours, and return its id."""
        make_directory(self.ground / "log", account)
        boot = self.ground / "boot.log"
        boot.unlink(missing_ok=True)
        boot.touch(mode=0o600)
        if os.geteuid() == 0:
            os.chown(boot, account.uid, account.gid)
        settings = {
            **_SETTINGS,
            "unix_socket_directories": str(self.socket_directory),
            "log_directory": str(self.ground / "log"),
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # The shell ends at once, so the postmaster becomes init's child and outlives us without a trace in our tables.
        script = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'
        server = [binaries.directory / "postgres", "-D", self._data, *flags]
        done = run_as(account, ["/bin/sh", "-c", script, "sh", boot, *server])
        return int(done.stdout)

    def _clear_remains(self, pid: int | None) -> None:
        """Remove the lock files of a dead postmaster where PostgreSQL itself would take it for alive.

        That is when nobody has reaped it, or its id now belongs to another process. Backends that still run would write
        beside the new server's, so they are waited for.
        """
        if pid is None:
            return
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while left := servers_below(self._data.resolve()):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"processes {left} of a killed PostgreSQL still use {self._data}; end them with `kill`."
                )
            time.sleep(0.05)
        if process_state(pid) != "gone":
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            if self.socket_directory is not None:
                (self.socket_directory / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def _read_pid(self) -> int | None:
        try:
            return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def _read_complaint(self) -> str:
        """Return PostgreSQL's own reason for stopping, and where the rest of it is."""
        logs = [
            self.ground / "boot.log",
            *sorted((self.ground / "log").glob("*.log"), key=lambda path: path.stat().st_mtime),
        ]
        for log in reversed(logs):
            fatal = [
                line for line in log.read_text(errors="replace").splitlines() if "FATAL" in line or "error" in line
            ]
            if fatal:
                return f"{_last_line(fatal[-1])} (log: {log})"
        return f"it left no reason (log: {logs[0]})"


def _stop(pid: int | None, ground: Path) -> None:
    """Ask for a fast shutdown; after a while for an immediate one, which loses nothing but costs a replay."""
    if pid is None or process_state(pid) != "running" or not is_postgres(pid):
        return
    for signal_number, seconds in ((signal.SIGINT, STOP_SECONDS_MAX), (signal.SIGQUIT, QUIT_SECONDS_MAX)):
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if process_state(pid) != "running":
                return
            time.sleep(0.02)
    raise EmbeddedPostgresError(
        f"PostgreSQL (process {pid}) did not stop; see {ground / 'log'}, then use `kill -9 {pid}`."
    )


def _may_enter(directory: Path, account: Account) -> bool:
    return run_as(account, ["/bin/sh", "-c", 'test -x "$1"', "sh", directory]).returncode == 0


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("HINT", "DETAIL"))]
    return lines[-1] if lines else "it said nothing"
