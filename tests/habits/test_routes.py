"""Who may use which route: walked over the route table, so that no route is forgotten."""

import warnings
from pathlib import Path

import pytest
from litestar.routes import HTTPRoute

from operis_api.app import create_litestar
from operis_api.settings import read_settings
from operis_client import AsyncOperis
from tests.factories import Account, mint, sign_up
from tests.habits.walking import OPERATIONS, PRIVATE, PUBLIC, Operation, name_of, read_refusal, send
from tests.running import Api

OPERATORS = [operation for operation in OPERATIONS if operation.for_operators]
OWN = [operation for operation in PRIVATE if not operation.for_operators and not operation.is_gateway]
ALIKE_FOR_ALL = {"list_models"}
"""Routes whose answer does not depend on the organization."""


def test_the_document_knows_every_route_of_the_app(tmp_path: Path) -> None:
    settings = read_settings({"OPERIS_HOME": str(tmp_path), "OPERIS_SECRET_KEY": "k" * 40})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the framework's own, about how handlers are written
        app = create_litestar(settings)
    routes = {
        (str(method), route.path.replace(":uuid", "").replace(":path", ""))
        for route in app.routes
        for method in (route.methods if isinstance(route, HTTPRoute) else {"POST"})
    }
    named = {(method, path.replace("{model_path}", "{model_id}/upstreams")) for method, path in routes}
    documented = {(operation.method, operation.path) for operation in OPERATIONS}
    undocumented = {
        route for route in named - documented if route[0] not in {"OPTIONS", "HEAD"} and "/schema" not in route[1]
    }
    assert documented <= named
    assert undocumented == {("GET", path) for path in ("/openapi.json", "/docs", "/docs/rapidoc-min.js")}


def test_the_walk_is_long_enough() -> None:
    assert len(OPERATIONS) > 40
    assert len(OPERATORS) > 15
    assert {(operation.method, operation.path) for operation in OPERATIONS} >= PUBLIC


@pytest.mark.parametrize("operation", PRIVATE, ids=name_of)
async def test_nobody_passes_without_a_credential(api: Api, operation: Operation) -> None:
    for token in (None, "garbage", "sk-op-garbage"):
        answer = await send(api, operation, token=token)
        code = read_refusal(answer)
        assert answer.status_code == 401
        assert (401, code) in operation.errors


@pytest.mark.parametrize("operation", OPERATORS, ids=name_of)
async def test_a_plain_user_passes_no_route_of_the_back_office(api: Api, ada: Account, operation: Operation) -> None:
    for values in (None, {"user_id": ada.user_id, "organization_id": ada.organization_id}):
        answer = await send(api, operation, token=ada.client.token, values=values)
        assert (answer.status_code, read_refusal(answer)) == (403, "forbidden")


@pytest.mark.parametrize("operation", [*OPERATORS, *OWN], ids=name_of)
async def test_an_api_key_passes_no_route_of_the_management_api(
    api: Api, admin: AsyncOperis, operation: Operation
) -> None:
    secret = (await admin.mint_key(name="walker")).secret
    answer = await send(api, operation, token=secret)
    assert (answer.status_code, read_refusal(answer)) == (401, "unauthenticated")


@pytest.fixture(scope="session")
async def belongings(api: Api) -> dict[str, str]:
    """One of everything that has an id, of somebody else."""
    somebody = await sign_up(api)
    key = (await somebody.client.mint_key(name="theirs")).key
    await api.openai(await mint(somebody)).chat.completions.create(
        model="operis/echo", messages=[{"role": "user", "content": "private"}]
    )
    request = (await somebody.client.list_requests()).items[0]
    return {
        "key_id": key.id,
        "request_id": request.id,
        "organization_id": somebody.organization_id,
        "user_id": somebody.user_id,
    }


@pytest.mark.parametrize("operation", [operation for operation in OWN if operation.parameters], ids=name_of)
async def test_what_belongs_to_others_is_not_there(
    api: Api, ada: Account, belongings: dict[str, str], operation: Operation
) -> None:
    assert set(operation.parameters) <= set(belongings), "make one of somebody else's for this walk"
    answer = await send(api, operation, token=ada.client.token, values=belongings)
    assert (answer.status_code, read_refusal(answer)) == (404, "not_found")
    assert (404, "not_found") in operation.errors


@pytest.mark.parametrize(
    "operation", [operation for operation in OWN if operation.name not in ALIKE_FOR_ALL], ids=name_of
)
async def test_nobody_acts_for_an_organization_they_are_not_in(
    api: Api, ada: Account, belongings: dict[str, str], operation: Operation
) -> None:
    headers = {"x-organization-id": belongings["organization_id"]}
    body = {"name": "theirs"} if operation.name in {"mint_key", "update_me", "update_key"} else {}
    answer = await send(api, operation, token=ada.client.token, values=belongings, headers=headers, json=body)
    assert (answer.status_code, read_refusal(answer)) == (404, "not_found")


@pytest.mark.parametrize("operation", [one for one in PRIVATE if one.is_gateway], ids=name_of)
async def test_nobody_spends_the_credits_of_an_organization_they_are_not_in(
    api: Api, ada: Account, belongings: dict[str, str], operation: Operation
) -> None:
    headers = {"x-organization-id": belongings["organization_id"]}
    answer = await send(api, operation, token=ada.client.token, values={"model_id": "operis/echo"}, headers=headers)
    assert (answer.status_code, read_refusal(answer)) == (401, "invalid_api_key")


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.method == "GET"], ids=name_of)
async def test_reading_changes_nothing(api: Api, admin: AsyncOperis, operation: Operation) -> None:
    tables = [
        row["name"]
        for row in await api.database.fetch(
            "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
    ]
    sums = " UNION ALL ".join(
        f"SELECT '{name}' AS name, count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {name} t"
        for name in tables
    )

    async def fingerprint() -> list[tuple[object, ...]]:
        return [tuple(row) for row in await api.database.fetch(f"{sums} ORDER BY name")]

    before = await fingerprint()
    answer = await send(api, operation, token=admin.token)
    assert answer.status_code in {200, 400, 404}
    assert await fingerprint() == before
