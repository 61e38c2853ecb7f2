"""The embedded PostgreSQL: what a local run and the tests use when no `DATABASE_URL` is given.

One server per home directory, reachable only through a Unix socket, shared by every process that holds a lease on it.
"""

from operis_db.embedded.errors import EmbeddedPostgresError
from operis_db.embedded.lease import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]
