"""Whatever is sent, the answer is whole, known, and tells nothing of our insides."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from operis_client import AsyncOperis
from tests.habits.walking import OPERATIONS, Operation, name_of, read_refusal, send
from tests.running import Api

BYTES_MAX = {"import_prices": 8 * 1024 * 1024}
"""Of operations of the management API that take more than the others."""
WITH_BODY = [operation for operation in OPERATIONS if operation.takes_body]
TEXT_PARAMETERS = [
    "/api/v1/requests?model=%00",
    "/api/v1/admin/requests?model=%00",
    "/api/v1/admin/users?search=%00",
    "/api/v1/admin/prices?model_id=%00",
    "/api/v1/usage?tz=%00",
    "/api/v1/usage?tz=../../etc/passwd",
    "/api/v1/usage?tz=America",
    "/api/v1/usage?tz=right/UTC",
    "/api/v1/usage?tz=Factory",
    "/api/v1/usage?tz=localtime",
    "/api/v1/usage?from=0001-01-01T00:00:00%2B14:00",
    "/api/v1/usage?to=0001-01-01T00:00:00Z",
    "/api/v1/usage?from=0001-01-01T00:00:00%2B14:00&to=0001-01-02T00:00:00%2B14:00",
    "/api/v1/usage?to=9999-12-31T23:59:59-14:00",
    "/api/v1/usage?from=2026-01-01T00:00:00",
    "/api/v1/usage?from=2025-01-01T00:00:00Z&to=2027-01-01T00:00:00Z",
    "/api/v1/usage?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
    "/api/v1/usage?group_by=organization",
    "/api/v1/usage?from=yesterday",
    "/api/v1/wallet/entries?after=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ",
    "/api/v1/wallet/entries?after=LTE",
    "/api/v1/requests?after=ImZmZmZmZmZmLWZmZmYtZmZmZi1mZmZmLWZmZmZmZmZmZmYi",
    "/api/v1/requests?key_id=7",
    "/api/v1/requests?outcome=unknown",
    "/api/v1/keys/not-an-id",
    "/api/v1/keys/../admin/users/x",
    "/api/v1/requests/%00",
    "/api/v1/admin/users/1%20OR%201=1",
]


@pytest.fixture(scope="session")
async def own(admin: AsyncOperis) -> dict[str, str]:
    """The ids of a path that leads to one's own organization."""
    return {"organization_id": (await admin.get_me()).organization.id}


@pytest.mark.parametrize("operation", WITH_BODY, ids=name_of)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"null",
        b"7",
        b'"text"',
        b"[]",
        b'{"a": 1e999}',
        b'{"name": "\xff\xfe"}',
        b"\xff\xfe{\x00}\x00",
        b'{"name": "\\ud800"}',
        b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)
async def test_a_body_that_does_not_fit_is_refused_in_the_callers_dialect(
    api: Api, admin: AsyncOperis, own: dict[str, str], operation: Operation, body: bytes
) -> None:
    if operation.name == "logout":
        return  # its body may be left out, and its session would end
    headers = {"content-type": "application/json"}
    answer = await send(api, operation, token=admin.token, values=own, content=body, headers=headers)
    code = read_refusal(answer)
    assert (answer.status_code, code) == (400, "invalid_request"), answer.text
    assert (400, code) in operation.errors


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65536 + 1):
        yield b"x" * 65536


@pytest.mark.parametrize("operation", [one for one in WITH_BODY if one.name != "logout"], ids=name_of)
async def test_a_body_that_is_too_large_is_refused_said_or_not(
    api: Api, admin: AsyncOperis, own: dict[str, str], operation: Operation
) -> None:
    headers = {"content-type": "application/json"}
    size = 21 * 1024 * 1024 if operation.is_gateway else BYTES_MAX.get(operation.name, 1024 * 1024) + 1
    said = await send(api, operation, token=admin.token, values=own, content=b"x" * size, headers=headers)
    assert (said.status_code, read_refusal(said)) == (413, "body_too_large")
    unsaid = await send(api, operation, token=admin.token, values=own, content=chunks(size), headers=headers)
    assert (unsaid.status_code, read_refusal(unsaid)) == (413, "body_too_large")
    assert (413, "body_too_large") in operation.errors


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nowhere",
        "/api",
        "/api/v1",
        "/api/v1/nowhere",
        "/api/v1/admin/nowhere",
        "/api/v2/me",
        "/v1/",
        "/v1/nowhere",
        "/v1/chat",
        "/v1/chat/completions/more",
        "/.env",
        "/schema",
        "/schema/openapi.json",
        "/schema/redoc",
        "/schema/swagger",
        "/api/v1/../../etc/passwd",
        "/docs/../openapi.yaml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2fetc/passwd",
        "/\u00e9",
        "/%ff%fe",
        "/a%00b",
    ],
)
async def test_a_path_that_is_not_there_is_not_found(api: Api, admin: AsyncOperis, path: str) -> None:
    for headers in ({}, {"authorization": f"Bearer {admin.token}"}):
        answer = await api.http.get(api.base_url + path, headers=headers)
        assert (answer.status_code, read_refusal(answer)) == (404, "not_found")


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
async def test_a_method_that_is_not_offered_is_refused(api: Api, admin: AsyncOperis, operation: Operation) -> None:
    offered = {one.method for one in OPERATIONS if one.path == operation.path}
    if operation.name == "add_model_upstream":
        offered.add("PATCH")  # ids of models contain slashes, so this path could be a model's too
    for method in {"PUT", "DELETE", "PATCH", "TRACE"} - offered:
        answer = await api.http.request(
            method, api.base_url + operation.url(), headers={"authorization": f"Bearer {admin.token}"}
        )
        assert (answer.status_code, read_refusal(answer)) == (405, "method_not_allowed"), (method, operation.path)


@pytest.mark.parametrize("path", TEXT_PARAMETERS)
async def test_an_odd_parameter_is_refused_and_never_an_error_of_ours(api: Api, admin: AsyncOperis, path: str) -> None:
    answer = await api.http.get(api.base_url + path, headers={"authorization": f"Bearer {admin.token}"})
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500, answer.text
        read_refusal(answer)


@pytest.mark.parametrize("organization", ["", "7", "' OR 1=1 --", "00000000-0000-7000-8000-00000000dead", "a" * 5000])
async def test_an_odd_organization_is_refused(api: Api, admin: AsyncOperis, organization: str) -> None:
    answer = await api.http.get(
        f"{api.base_url}/api/v1/wallet",
        headers={"authorization": f"Bearer {admin.token}", "x-organization-id": organization},
    )
    if organization == "":
        assert answer.status_code == 200  # an empty header chooses nothing
        return
    assert read_refusal(answer) in {"invalid_field", "not_found"}


async def test_every_answer_carries_its_own_request_id(api: Api, admin: AsyncOperis) -> None:
    seen: set[str] = set()
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/api/v1/me", "/v1/models"):
        answer = await api.http.get(
            api.base_url + path,
            headers={"authorization": f"Bearer {admin.token}", "x-request-id": "chosen-by-the-caller"},
        )
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers
        seen.add(answer.headers["x-request-id"])
    assert len(seen) == 6
    assert "chosen-by-the-caller" not in seen


async def test_duplicate_members_do_not_get_past_what_is_checked(api: Api, admin: AsyncOperis) -> None:
    answer = await api.http.post(
        f"{api.base_url}/api/v1/keys",
        content=b'{"name": "first", "name": ""}',
        headers={"authorization": f"Bearer {admin.token}", "content-type": "application/json"},
    )
    assert (answer.status_code, read_refusal(answer)) == (422, "invalid_field")


async def test_no_origin_is_let_in_from_elsewhere(api: Api, admin: AsyncOperis) -> None:
    for origin in ("https://attacker.example", "null", api.base_url + ".attacker.example"):
        answer = await api.http.get(
            f"{api.base_url}/api/v1/me", headers={"authorization": f"Bearer {admin.token}", "origin": origin}
        )
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_a_hundred_large_bodies_at_once_are_refused_and_the_api_lives(api: Api) -> None:
    async def post() -> int:
        answer = await api.http.post(
            f"{api.base_url}/api/v1/auth/login",
            content=chunks(5 * 1024 * 1024),
            headers={"content-type": "application/json"},
        )
        return answer.status_code

    assert set(await asyncio.gather(*(post() for _ in range(40)))) == {413}
    assert (await api.http.get(f"{api.base_url}/healthz")).status_code == 200
