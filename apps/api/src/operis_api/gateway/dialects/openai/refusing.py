"""How OpenAI's clients are told of refusals; our facts stand beside the members they know."""

import msgspec

from operis_api.gateway.dialects import Dialect
from operis_api.kit.errors import DomainError

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "upstream_error",
    503: "server_error",
    504: "upstream_error",
}


def _members(error: DomainError, request_id: str) -> dict[str, object]:
    return {
        "message": error.detail,
        "type": _TYPES.get(error.status, "invalid_request_error"),
        "param": None,
        "code": error.code,
        "request_id": request_id,
        **error.facts,
    }


def _envelope(error: DomainError, request_id: str) -> bytes:
    return msgspec.json.encode({"error": _members(error, request_id)})


def _event(error: DomainError, request_id: str) -> bytes:
    return b"data: " + _envelope(error, request_id)


def _responses_event(error: DomainError, request_id: str) -> bytes:
    """Return an event of a response's stream; some clients look into it for `error`, others for `type`."""
    members = _members(error, request_id)
    told = {"type": "error", "sequence_number": 0, **{name: members[name] for name in ("code", "message", "param")}}
    return b"event: error\ndata: " + msgspec.json.encode({**told, "error": members})


def _rate_headers(unit: str, limit: int, left: int, reset_seconds: int) -> dict[str, str]:
    minutes, seconds = divmod(reset_seconds, 60)
    return {
        f"x-ratelimit-limit-{unit}": str(limit),
        f"x-ratelimit-remaining-{unit}": str(left),
        f"x-ratelimit-reset-{unit}": f"{minutes}m{seconds}s" if minutes else f"{seconds}s",
    }


OPENAI = Dialect("OpenAI", _envelope, _event, _rate_headers)
RESPONSES = Dialect("OpenAI", _envelope, _responses_event, _rate_headers)
