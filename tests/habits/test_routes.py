"""What holds of every route: walked over the route table, so that none is forgotten. Who may: tests/api/access."""

import warnings
from pathlib import Path

import pytest
from litestar.routes import HTTPRoute

from operis_api.app import create_litestar
from operis_api.settings import read_settings
from operis_client import AsyncOperis
from tests.habits.walking import OPERATIONS, PRIVATE, PUBLIC, Operation, name_of, read_refusal, send
from tests.running import Api

READ_AGAIN_TIMES = 4


def test_the_document_knows_every_route_of_the_app(tmp_path: Path) -> None:
    settings = read_settings({"OPERIS_HOME": str(tmp_path), "OPERIS_SECRET_KEY": "k" * 40})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the framework's own, about how handlers are written
        app = create_litestar(settings)
    routes = {
        (str(method), route.path.replace(":uuid", "").replace(":path", "").replace(":str", ""))
        for route in app.routes
        for method in (route.methods if isinstance(route, HTTPRoute) else {"POST"})
    }
    named = {(method, path.replace("{model_path}", "{model_id}/upstreams")) for method, path in routes}
    documented = {(operation.method, operation.path) for operation in OPERATIONS}
    undocumented = {
        route for route in named - documented if route[0] not in {"OPTIONS", "HEAD"} and "/schema" not in route[1]
    }
    assert documented <= named
    pages = {("GET", path) for path in ("/openapi.json", "/docs", "/docs/rapidoc-min.js")}
    assert undocumented == pages | {("POST", "/api/v1/keys/leaks")}  # its callers follow GitHub's documentation


def test_the_walk_is_long_enough() -> None:
    assert len(OPERATIONS) > 40
    assert len([operation for operation in OPERATIONS if operation.for_operators]) > 15
    assert {(operation.method, operation.path) for operation in OPERATIONS} >= PUBLIC


@pytest.mark.parametrize("operation", PRIVATE, ids=name_of)
async def test_nobody_passes_without_a_credential(api: Api, operation: Operation) -> None:
    for token in (None, "garbage", "sk-op-garbage"):
        answer = await send(api, operation, token=token)
        code = read_refusal(answer)
        assert answer.status_code == 401
        assert (401, code) in operation.errors


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

    changed: list[object] = []
    for _ in range(READ_AGAIN_TIMES):  # a job may have written meanwhile, but not every time
        before = await fingerprint()
        answer = await send(api, operation, token=admin.token)
        assert answer.status_code in {200, 400, 404}
        changed = sorted(set(await fingerprint()) ^ set(before), key=str)
        if not changed:
            return
    assert changed == []
