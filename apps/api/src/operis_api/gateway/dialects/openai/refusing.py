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


def _envelope(error: DomainError, request_id: str) -> bytes:
    members = {
        "message": error.detail,
        "type": _TYPES.get(error.status, "invalid_request_error"),
        "param": None,
        "code": error.code,
        "request_id": request_id,
        **error.facts,
    }
    return msgspec.json.encode({"error": members})


OPENAI = Dialect("OpenAI", _envelope, b"data: ")
