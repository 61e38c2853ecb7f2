"""Objects of other organizations on every route: they are not there."""

import pytest

from tests.factories import Account, share
from tests.habits.walking import PRIVATE, Operation, name_of, read_refusal, send
from tests.running import Api

OWN = [operation for operation in PRIVATE if not operation.for_operators and not operation.is_gateway]


@pytest.mark.parametrize("operation", [operation for operation in OWN if operation.parameters], ids=name_of)
async def test_what_belongs_to_others_is_not_there(
    api: Api, ada: Account, belongings: dict[str, str], operation: Operation
) -> None:
    assert set(operation.parameters) <= set(belongings), "make one of somebody else's for this walk"
    body = {"name": "mine"} if operation.name in {"name_session", "name_passkey"} else {}
    answer = await send(api, operation, token=ada.client.token, values=belongings, json=body)
    assert (answer.status_code, read_refusal(answer)) == (404, "not_found")
    assert (404, "not_found") in operation.errors


@pytest.mark.parametrize("operation", [one for one in OWN if {"organization_id"} < set(one.parameters)], ids=name_of)
async def test_what_belongs_to_others_is_not_in_ones_own_organization_either(
    api: Api, ada: Account, belongings: dict[str, str], operation: Operation
) -> None:
    own = await share(ada)
    body = {"role": "viewer"} if operation.name == "update_member" else {}
    values = {**belongings, "organization_id": own.organization_id}
    answer = await send(api, operation, token=ada.client.token, values=values, json=body)
    assert (answer.status_code, read_refusal(answer)) == (404, "not_found")


@pytest.mark.parametrize("operation", OWN, ids=name_of)
async def test_nobody_acts_for_an_organization_they_are_not_in(
    api: Api, ada: Account, belongings: dict[str, str], operation: Operation
) -> None:
    headers = {"x-organization-id": belongings["organization_id"]}
    answer = await send(api, operation, token=ada.client.token, values=belongings, headers=headers)
    assert (answer.status_code, read_refusal(answer)) == (404, "not_found")


@pytest.mark.parametrize("operation", [one for one in PRIVATE if one.is_gateway], ids=name_of)
async def test_nobody_spends_the_credits_of_an_organization_they_are_not_in(
    api: Api, ada: Account, belongings: dict[str, str], operation: Operation
) -> None:
    headers = {"x-organization-id": belongings["organization_id"]}
    answer = await send(api, operation, token=ada.client.token, values={"model_id": "operis/echo"}, headers=headers)
    assert (answer.status_code, read_refusal(answer)) == (401, "invalid_api_key")
