"""How Anthropic's clients are told of refusals; our code and facts stand beside the members they know."""

from datetime import UTC, datetime, timedelta

import msgspec

from operis_api.gateway.dialects import Dialect
from operis_api.kit.errors import DomainError

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def _envelope(error: DomainError, request_id: str) -> bytes:
    members = {
        "type": _TYPES.get(error.status, "invalid_request_error"),
        "message": error.detail,
        "code": error.code,
        **error.facts,
    }
    return msgspec.json.encode({"type": "error", "error": members, "request_id": request_id})


def _event(error: DomainError, request_id: str) -> bytes:
    return b"event: error\ndata: " + _envelope(error, request_id)


def _rate_headers(unit: str, limit: int, left: int, reset_seconds: int) -> dict[str, str]:
    reset = datetime.now(UTC) + timedelta(seconds=reset_seconds)
    return {
        f"anthropic-ratelimit-{unit}-limit": str(limit),
        f"anthropic-ratelimit-{unit}-remaining": str(left),
        f"anthropic-ratelimit-{unit}-reset": reset.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


ANTHROPIC = Dialect("Anthropic", _envelope, _event, _rate_headers, request_id_header="request-id")
