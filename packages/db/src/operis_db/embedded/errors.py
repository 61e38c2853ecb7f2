"""The one error of the embedded PostgreSQL."""


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used. The message is one line: the cause, where the log is, and the cure."""
