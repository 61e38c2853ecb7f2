"""What the client raises: the server's refusal with its facts, or that no answer came."""

from typing import cast

import msgspec


class OperisError(Exception):
    """Base of all errors of this client."""


class UnreachableError(OperisError):
    """The API did not answer: it is down, too slow, or the network is. Safe to retry reads."""


class ApiError(OperisError):
    """The API refused. `code` is stable (docs/errors.md lists them), `detail` is for people."""

    def __init__(
        self, *, status: int, code: str, title: str, detail: str, request_id: str | None, facts: dict[str, object]
    ) -> None:
        super().__init__(f"{status} {code}: {detail or title}")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.request_id = request_id
        self.facts = facts
        """The problem's further members, for example `available` and `required` of insufficient_credits."""


_OWN_MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


def read_error(status: int, body: bytes, request_id: str | None) -> ApiError:
    """Read a refusal in either envelope: problem+json of /api/v1, or the OpenAI or Anthropic form of /v1."""
    try:
        members = msgspec.json.decode(body, type=dict[str, object])
    except msgspec.DecodeError:
        members = {}
    whole, envelope = members, members.get("error")
    if isinstance(envelope, dict):
        members = cast("dict[str, object]", envelope)
        members = {"request_id": whole.get("request_id"), **members, "detail": members.get("message", "")}
    return ApiError(
        status=status,
        code=str(members.get("code") or "unexpected_answer"),
        title=str(members.get("title") or "The request was refused."),
        detail=str(members.get("detail") or ""),
        request_id=str(members.get("request_id") or request_id or "") or None,
        facts={name: value for name, value in members.items() if name not in _OWN_MEMBERS},
    )
