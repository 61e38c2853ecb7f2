"""Every role on every route: exactly the cells of the table are open."""

import re
from pathlib import Path

import pytest

from operis_api.access.permissions import (
    OF_OPERATORS,
    OF_ORGANIZATIONS,
    OPERATOR_ROLES,
    ORGANIZATION_ROLES,
    OWN,
    allows,
)
from tests.api.access.conftest import Actor, make_actor
from tests.habits.walking import OPERATIONS, PRIVATE, Operation, name_of, send
from tests.running import Api

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "roles.md").read_text()
GUARDED = [operation for operation in PRIVATE if not operation.is_gateway]
OF_THE_GATEWAY = [operation for operation in PRIVATE if operation.is_gateway]
ENDS_ITS_ACTOR = {"logout", "logout_all", "delete_organization", "leave_organization", "erase_me"}
"""Operations that work without a body and leave nobody to ask again: each is asked by somebody new."""


def test_every_route_declares_a_permission_of_the_table_and_each_is_some_routes() -> None:
    declared = {operation.permission for operation in GUARDED}
    table = {OWN, *OF_ORGANIZATIONS, *OF_OPERATORS}
    assert declared <= table, "a route without a permission is closed to everybody"
    assert table - declared <= {"models.call"}, "a permission without a route"
    for operation in OPERATIONS:
        assert (operation.permission in OF_OPERATORS) is operation.for_operators, operation.path


def test_the_page_on_roles_is_the_table() -> None:
    for table, roles in ((OF_ORGANIZATIONS, ORGANIZATION_ROLES), (OF_OPERATORS, OPERATOR_ROLES)):
        assert f"| permission | {' | '.join(roles)} |" in PAGE
        for permission, allowed in table.items():
            assert allowed <= set(roles)
            cells = " | ".join("yes" if role in allowed else "" for role in roles)
            assert f"| `{permission}` | {cells} |".replace("|  |", "| |").replace("|  |", "| |") in PAGE, permission
    named = set(re.findall(r"^\| `([a-z.]+)` \|", PAGE, re.MULTILINE))
    assert named == {*OF_ORGANIZATIONS, *OF_OPERATORS}


@pytest.mark.parametrize("operation", GUARDED, ids=name_of)
async def test_each_role_passes_where_the_table_says_so_and_nowhere_else(
    api: Api, actors: dict[str, Actor], operation: Operation
) -> None:
    for role, known in actors.items():
        may = allows(operation.permission, organization_role=known.organization_role, operator_role=known.operator_role)
        actor = await make_actor(api, role) if may and operation.name in ENDS_ITS_ACTOR else known
        own = {} if operation.for_operators else {"organization_id": actor.organization_id}
        answer = await send(api, operation, token=actor.token, values=own, headers=actor.headers)
        assert "unauthenticated" not in answer.text, (role, answer.text)  # asked to show themselves again they may be
        refused = answer.status_code == 403 and answer.json()["code"] == "forbidden"
        assert refused is not may, (role, answer.status_code, answer.text)


@pytest.mark.parametrize("operation", OF_THE_GATEWAY, ids=name_of)
async def test_only_roles_that_may_call_models_spend_from_the_playground(
    api: Api, actors: dict[str, Actor], operation: Operation
) -> None:
    for role in ORGANIZATION_ROLES:
        actor = actors[role]
        answer = await send(
            api, operation, token=actor.token, values={"model_id": "operis/echo"}, headers=actor.headers
        )
        refused = answer.status_code == 403 and answer.json()["error"]["code"] == "forbidden"
        assert refused is (role not in OF_ORGANIZATIONS["models.call"]), (role, answer.text)
