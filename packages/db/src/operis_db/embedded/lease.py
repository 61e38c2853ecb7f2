"""Share the embedded PostgreSQL of one home directory: the first user starts it, the last one out stops it.

Every user holds a shared `flock` on `<home>/pg/lease`. The kernel gives back the lease of a killed process, so its
server waits, and the next run adopts it. Starting and stopping happen under `<home>/pg/start.lock`.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from operis_db.embedded.errors import EmbeddedPostgresError
from operis_db.embedded.server import APP, DATABASE, OWNER, SUPERUSER, Server

LOCK_SECONDS_MAX = 180
"""Longer than the slowest start and the slowest stop."""


class EmbeddedPostgres:
    """A lease on the PostgreSQL below `home`. Not for use by several threads at once; make one object for each.

    Everything raises `EmbeddedPostgresError`. As root below a directory that others may not enter (such as /root) the
    data lives in a directory of its own under /var/lib/operis, to which `<home>/pg/ground` links.
    """

    def __init__(self, home: Path) -> None:
        self.directory = home.absolute() / "pg"
        self._server = Server(self.directory)
        self._lease: int | None = None

    def acquire(self) -> None:
        """Return once the server answers, with the database and both roles in place; starts it where nobody has."""
        if self._lease is not None:
            raise EmbeddedPostgresError("this object already holds a lease; release it first.")
        with _told_plainly(self._server):
            self.directory.mkdir(parents=True, exist_ok=True)
            with _locked(self.directory / "start.lock"):
                lease = os.open(self.directory / "lease", os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    fcntl.flock(lease, fcntl.LOCK_SH)
                    self._server.make_ready()
                except BaseException:
                    os.close(lease)
                    raise
                self._lease = lease

    def release(self) -> None:
        """Give the lease back, and stop the server when it was the last one. Doing so twice is harmless."""
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        try:
            if not self._still_ours(lease):
                self._server.stop_mine()
                return
            with _locked(self.directory / "start.lock"):
                try:
                    fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return  # somebody else still uses the server
                self._server.stop()
        finally:
            os.close(lease)

    def reset(self) -> None:
        """Stop a server that a killed run left behind and delete its data; refuses while somebody uses it."""
        if not self.directory.exists():
            return
        with _told_plainly(self._server), _locked(self.directory / "start.lock"):
            lease = os.open(self.directory / "lease", os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._server.stop()
                self._server.delete()
            except BlockingIOError:
                raise EmbeddedPostgresError(
                    f"the embedded PostgreSQL in {self.directory} is in use; stop the `operis` that uses it first."
                ) from None
            finally:
                os.close(lease)

    @property
    def ground(self) -> Path:
        """Where the server's data and logs are."""
        return self._server.ground

    def owner_url(self, database: str = DATABASE) -> str:
        """Return the address for the role that owns the schema: migrations, backups, tests that make databases."""
        return self._url(OWNER, database)

    def app_url(self, database: str = DATABASE) -> str:
        """Return the address for the role the running product uses, which holds only what migrations grant it."""
        return self._url(APP, database)

    def superuser_url(self, database: str = DATABASE) -> str:
        """Return the address for the server's own administrator, which only the tests of refusals and repairs need."""
        return self._url(SUPERUSER, database)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _url(self, role: str, database: str) -> str:
        if self._lease is None:
            raise EmbeddedPostgresError("the embedded PostgreSQL has no address before a lease on it is acquired.")
        # The port names the socket's file; without it a PGPORT in the environment would.
        return f"postgresql://{role}@/{database}?host={quote(str(self._server.socket_directory))}&port=5432"

    def _still_ours(self, lease: int) -> bool:
        """Tell whether the home is still the one we leased: deleted and made anew, it is another run's."""
        try:
            return os.path.samestat(os.fstat(lease), (self.directory / "lease").stat())
        except FileNotFoundError:
            return False


@contextmanager
def _told_plainly(server: Server) -> Generator[None]:
    """Turn what the operating system refuses into one line with the cure."""
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(
            f"{error.filename or server.directory} cannot be used ({error.strerror}); set OPERIS_HOME to a directory "
            "of your own on a local disk, or remove the one that another user left."
        ) from error
    except subprocess.TimeoutExpired as error:
        program = Path(str(error.cmd[0])).name
        raise EmbeddedPostgresError(
            f"PostgreSQL's {program} took over {error.timeout:.0f} seconds; see the logs in {server.ground}."
        ) from error


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Hold the lock on `path`, waiting for whoever starts or stops the server now."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + LOCK_SECONDS_MAX
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(
                        f"another process has held {path} for {LOCK_SECONDS_MAX} seconds; find it with `fuser {path}`."
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
