"""Keeps credentials out of the log: Reflex writes whole events, headers included, when one of them fails."""

import logging
import re

_SECRET = re.compile(
    r"""(?ix)
    (["']?(?:raw_)?(?:headers?|cookie|set-cookie|authorization)["']?\s*[:=]\s*)
    (\{.*?\} | '[^']*' | "[^"]*" | [^\s,;}]+(?:;\s*[^\s,;}]+)*)
    """
)
_TOKEN = re.compile(r"(?:__Host-)?operis_session=[\w-]+|[?&]token=[\w-]+|Bearer\s+[\w.~+/-]+=*|sk-op-\w+")


def redact(text: str) -> str:
    """Return a log line without headers, cookies, tokens and keys."""
    return _TOKEN.sub("(hidden)", _SECRET.sub(r"\1(hidden)", text))


class _Redactor(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            return True
        redacted = redact(message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        return True


def hide_headers() -> None:
    """Put the filter on every handler that exists, and on those that Reflex and the server add later.

    A filter on a logger is skipped by its children, one on a handler is not known before the handler is, so
    records are cleaned where they are made.
    """
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return
    redactor = _Redactor()

    def make_clean(*args: object, **kwargs: object) -> logging.LogRecord:
        record = make(*args, **kwargs)
        redactor.filter(record)
        return record

    make_clean.redacts = True  # pyright: ignore[reportFunctionMemberAccess]  # marks our own wrapper
    logging.setLogRecordFactory(make_clean)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # its INFO lines name every call
