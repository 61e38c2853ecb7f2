"""Every error as a refusal of ours, and the management API's door for them: RFC 9457 problems, nothing leaked."""

from typing import cast

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException, ValidationException
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from operis_api.kit.errors import DomainError, Unavailable
from operis_api.kit.origin import AnyRequest

log = structlog.get_logger()
FRAMEWORK_CODES = {
    400: "invalid_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}
"""Of what the framework refuses before a handler runs, by status."""
OTHER_CODE = "refused"
_AWAY_STATES = ("08", "53", "57")
"""SQLSTATE classes: connection exception, insufficient resources, operator intervention."""
_TEXT_STATES = {"22021", "22P05"}
"""SQLSTATEs: PostgreSQL's text cannot hold the character, which is NUL."""


class InternalError(DomainError):
    status, code, title = 500, "internal_error", "Something went wrong on our side."


class UnreadableBody(DomainError):
    status, code, title = 400, "invalid_request", "The request's body cannot be read."


class UnusableText(DomainError):
    status, code, title = 422, "unusable_text", "A text has a character that cannot be stored."


class FrameworkRefusal(DomainError):
    """What the framework refused before a handler ran: a path that is not there, a body that does not fit."""

    title = "The request was refused."

    def __init__(self, error: HTTPException) -> None:
        super().__init__(str(error.detail))
        if isinstance(error, ValidationException) and isinstance(error.extra, list):
            found = cast("list[dict[str, object]]", error.extra)
            self.facts["errors"] = [f"{one.get('key', 'body')}: {one.get('message', '')}" for one in found]
        self.status = error.status_code
        self.code = FRAMEWORK_CODES.get(error.status_code, OTHER_CODE)


def as_refusal(request: AnyRequest, error: Exception) -> DomainError:
    """Return what a client is told of `error`; what nobody expected is logged with its traceback and told without."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, HTTPException) and error.status_code < 500:
        return FrameworkRefusal(error)
    if isinstance(error, (UnicodeDecodeError, RecursionError)):  # of reading a body: nothing else of ours does that
        return UnreadableBody("The body is not UTF-8, or nested too deeply.")
    if isinstance(error, DBAPIError) and _sqlstate(error) in _TEXT_STATES:
        return UnusableText("Leave out the character NUL (U+0000).")
    if is_database_away(error):
        log.warning("database_away", path=request.url.path, request_id=request_id_of(request), error=str(error)[:200])
        return Unavailable()
    log.error("unhandled_error", path=request.url.path, request_id=request_id_of(request), exc_info=error)
    return InternalError("It was logged under this request id.")


def answer_problem(request: AnyRequest, error: DomainError) -> Response[bytes]:
    members = {
        "type": f"https://operis.dev/errors/{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id_of(request),
        **error.facts,
    }
    seconds = error.retry_after_seconds
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return Response(
        msgspec.json.encode(members), status_code=error.status, media_type="application/problem+json", headers=headers
    )


def request_id_of(request: AnyRequest) -> str:
    """Return the id that the outermost middleware gave the request."""
    return str(cast("dict[str, object]", request.scope["state"]).get("request_id", ""))


def is_database_away(error: BaseException | None) -> bool:
    """Tell whether a connection could not be had or broke, wherever in the chain that stands."""
    while error is not None:
        if isinstance(error, (OSError, TimeoutError, PoolTimeoutError)):
            return True
        if _sqlstate(error).startswith(_AWAY_STATES):
            return True
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        error = error.__cause__
    return False


def _sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's code; what it says while a connection is being made comes to us as the driver's own error."""
    found = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(found, "sqlstate", None) or "")
