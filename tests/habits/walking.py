"""Every route of the API, from its document, and a request to each."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.running import Api

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())
SOMETHING = "00000000-0000-7000-8000-00000000dead"


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    name: str
    takes_body: bool
    errors: frozenset[tuple[int, str]]
    permission: str | None
    """As it declares itself; None: public, or of the gateway."""
    scope: str | None
    """What opens it to API keys."""

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def for_operators(self) -> bool:
        return self.path.startswith("/api/v1/admin/")

    @property
    def is_gateway(self) -> bool:
        return self.path.startswith("/v1/")

    def url(self, values: Mapping[str, str] | None = None) -> str:
        known = values or {}
        return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], SOMETHING), self.path)


OPERATIONS = [
    Operation(
        method=method.upper(),
        path=path,
        name=described["operationId"],
        takes_body="requestBody" in described,
        errors=frozenset((int(status), code) for status, codes in described["x-errors"].items() for code in codes),
        permission=described.get("x-permission"),
        scope=described.get("x-scope"),
    )
    for path, methods in DOCUMENT["paths"].items()
    for method, described in methods.items()
]
PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("POST", "/api/v1/auth/register"),
    ("POST", "/api/v1/auth/verify-email"),
    ("POST", "/api/v1/auth/verify-email/resend"),
    ("POST", "/api/v1/auth/password/forgot"),
    ("POST", "/api/v1/auth/password/reset"),
    ("POST", "/api/v1/auth/address/confirm"),
    ("POST", "/api/v1/auth/address/undo"),
    ("POST", "/api/v1/auth/mfa/verify"),
    ("POST", "/api/v1/auth/passkey/options"),
    ("POST", "/api/v1/auth/passkey/verify"),
    ("POST", "/api/v1/auth/erasure/undo"),
    ("GET", "/api/v1/auth/providers"),
    ("POST", "/api/v1/auth/providers/{provider}/begin"),
    ("POST", "/api/v1/auth/providers/finish"),
    ("POST", "/api/v1/auth/providers/prove"),
    ("GET", "/api/v1/dev/mail"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
}
"""The routes that need no credential: whoever adds one says so here."""
PRIVATE = [operation for operation in OPERATIONS if (operation.method, operation.path) not in PUBLIC]


def name_of(operation: Operation) -> str:
    return operation.name


async def send(
    api: Api, operation: Operation, *, token: str | None = None, values: Mapping[str, str] | None = None, **more: Any
) -> httpx.Response:
    headers = {**({"authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
    if operation.takes_body and "content" not in more:
        more.setdefault("json", {})
    return await api.http.request(operation.method, api.base_url + operation.url(values), headers=headers, **more)


def read_refusal(answer: httpx.Response) -> str:
    """Return the code of a refusal, having checked that it is one of ours: whole, and with nothing of our insides."""
    request_id = answer.headers["x-request-id"]
    body: dict[str, Any] = answer.json()
    assert re.fullmatch(r"[0-9a-f-]{36}", request_id)
    if answer.request.url.path.startswith("/v1/"):
        assert answer.headers["content-type"] == "application/json"
        error: dict[str, Any] = body["error"]
        assert error["message"]
        assert error["type"]
    else:
        error = body
        assert answer.headers["content-type"] == "application/problem+json"
        assert (error["status"], error["type"]) == (
            answer.status_code,
            f"https://operis.dev/errors/{error['code']}",
        )
        assert error["title"]
        assert error["detail"]
    beside = answer.request.url.path.startswith("/v1/messages")  # where Anthropic's clients look for it
    assert (body if beside else error)["request_id"] == request_id
    assert answer.headers["x-content-type-options"] == "nosniff"
    for inside in ("Traceback", "/apps/", "site-packages", "SELECT ", "asyncpg", "sqlalchemy", "0x7f"):
        assert inside not in answer.text, answer.text
    code: str = error["code"]
    return code
