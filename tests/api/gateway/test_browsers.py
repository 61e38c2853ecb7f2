"""Pages of allowed origins may call the gateway, others may not; HEAD is answered wherever GET is."""

from collections.abc import AsyncGenerator

import pytest

from tests.factories import Account, mint
from tests.running import Api, Database, run_api

PAGE = "https://app.example.com"


@pytest.fixture(scope="module")
async def open_to_a_page(database: Database) -> AsyncGenerator[Api]:
    async with run_api(database, OPERIS_CORS_ORIGINS=f"{PAGE}, https://other.example.com:8443") as running:
        yield running


async def preflight(api: Api, origin: str, path: str = "/v1/chat/completions") -> dict[str, str]:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    answer = await api.http.request("OPTIONS", f"{api.base_url}{path}", headers=asked)
    assert answer.status_code == 204
    assert answer.content == b""
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control")}


async def test_an_allowed_origin_gets_leave_and_reads_our_headers(open_to_a_page: Api, ada: Account) -> None:
    allowed = await preflight(open_to_a_page, PAGE)
    assert allowed["access-control-allow-origin"] == PAGE
    assert allowed["access-control-allow-headers"] == "x-api-key"
    answer = await open_to_a_page.http.post(
        f"{open_to_a_page.base_url}/v1/chat/completions",
        json={"model": "operis/echo", "messages": [{"role": "user", "content": "Hello"}]},
        headers={"Authorization": f"Bearer {await mint(ada)}", "Origin": PAGE},
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    exposed = answer.headers["access-control-expose-headers"]
    assert {"x-operis-charge", "anthropic-ratelimit-tokens-reset", "x-should-retry"} <= set(exposed.split(", "))
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (
            "/v1/chat/completions",
            "authorization,content-type,idempotency-key,openai-organization,x-stainless-arch,x-stainless-retry-count",
        ),
        (
            "/v1/messages",
            "anthropic-dangerous-direct-browser-access,anthropic-version,content-type,x-api-key,x-stainless-timeout",
        ),
        ("/v1/models/operis/echo", "authorization"),
    ],
)
async def test_leave_is_given_for_the_headers_that_sdks_send_in_a_page(
    open_to_a_page: Api, path: str, headers: str
) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
    answer = await open_to_a_page.http.request("OPTIONS", f"{open_to_a_page.base_url}{path}", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == headers
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert int(answer.headers["access-control-max-age"]) > 0


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com",
        "https://app.example.com.evil.net",
        "https://evil-app.example.com",
        "https://appXexample.com",
        "http://app.example.com",
        "https://app.example.com:444",
        "https://APP.example.com/",
        "null",
        "",
    ],
)
async def test_any_other_origin_gets_none(open_to_a_page: Api, origin: str) -> None:
    assert await preflight(open_to_a_page, origin) == {}
    answer = await open_to_a_page.http.get(f"{open_to_a_page.base_url}/v1/models", headers={"Origin": origin})
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_no_origin_is_allowed_unless_it_was_set(api: Api) -> None:
    assert await preflight(api, PAGE) == {}


async def test_the_management_api_is_for_no_other_page(open_to_a_page: Api) -> None:
    answer = await open_to_a_page.http.get(f"{open_to_a_page.base_url}/api/v1/me", headers={"Origin": PAGE})
    assert answer.status_code == 401
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/v1/key"])
async def test_head_is_get_without_its_body(api: Api, ada: Account, path: str) -> None:
    headers = {"Authorization": f"Bearer {await mint(ada)}"}
    full = await api.http.get(f"{api.base_url}{path}", headers=headers)
    head = await api.http.head(f"{api.base_url}{path}", headers=headers)
    assert (head.status_code, head.content) == (full.status_code, b"")
    assert head.headers["content-length"] == full.headers["content-length"]
