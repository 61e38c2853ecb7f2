"""Members: their roles, their limits, and what ends with them."""

import asyncio

import pytest

from operis_client import AsyncOperis
from tests.factories import Account, join, mint, set_balance, share
from tests.refusing import refused
from tests.running import Api

BODY = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}


async def test_members_are_listed_page_by_page_once(api: Api, ada: Account) -> None:
    shared = await share(ada)
    roles = {(await join(api, shared, role)).user_id: role for role in ("admin", "billing", "developer", "viewer")}
    seen: dict[str, str] = {}
    after: str | None = None
    while True:
        page = await shared.client.list_members(shared.organization_id, limit=2, after=after)
        seen |= {member.user_id: member.role for member in page.items}
        after = page.next
        if after is None:
            break
    assert seen == {ada.user_id: "owner", **roles}


async def test_a_removed_member_has_nothing_left_there(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account
) -> None:
    shared = await share(ada)
    await set_balance(admin, shared, "1")
    grace = await join(api, shared, "developer")
    secret = await mint(grace)
    for running in (api, second_api):
        await running.client(secret).create_chat_completion(BODY)
    await ada.client.remove_member(shared.organization_id, grace.user_id)
    for running in (api, second_api):
        with refused(401, "invalid_api_key"):
            await running.client(secret).create_chat_completion(BODY)
        client = running.client(grace.client.token)
        client.organization_id = shared.organization_id
        with refused(404, "not_found"):
            await client.list_keys()
        with refused(401, "invalid_api_key"):
            await client.create_chat_completion(BODY)
    with refused(404, "not_found"):
        await ada.client.remove_member(shared.organization_id, grace.user_id)
    assert [key.status for key in (await shared.client.list_keys()).items] == ["revoked"]


async def test_a_role_without_keys_ends_those_there_are(api: Api, admin: AsyncOperis, ada: Account) -> None:
    shared = await share(ada)
    await set_balance(admin, shared, "1")
    grace = await join(api, shared, "developer")
    secret = await mint(grace)
    await ada.client.update_member(shared.organization_id, grace.user_id, role="admin")
    await api.client(secret).create_chat_completion(BODY)
    changed = await ada.client.update_member(shared.organization_id, grace.user_id, role="billing")
    assert (changed.role, changed.keys) == ("billing", 0)
    with refused(401, "invalid_api_key"):
        await api.client(secret).create_chat_completion(BODY)
    with refused(403, "forbidden"):
        await grace.client.create_chat_completion(BODY)
    with refused(403, "forbidden"):
        await grace.client.mint_key(name="another")


async def test_nobody_makes_or_unmakes_an_owner(api: Api, ada: Account) -> None:
    shared = await share(ada)
    grace = await join(api, shared, "admin")
    with refused(409, "owner_stays"):
        await grace.client.update_member(shared.organization_id, ada.user_id, role="viewer")
    with refused(409, "owner_stays"):
        await grace.client.remove_member(shared.organization_id, ada.user_id)
    with refused(400, "invalid_request"):
        await grace.client.update_member(shared.organization_id, grace.user_id, role="owner")
    assert (await ada.client.get_organization(shared.organization_id)).role == "owner"


async def test_a_members_budget_binds_their_next_call(api: Api, admin: AsyncOperis, ada: Account) -> None:
    shared = await share(ada)
    await set_balance(admin, shared, "1")
    grace = await join(api, shared, "developer")
    secret = await mint(grace)
    limited = await ada.client.update_member(shared.organization_id, grace.user_id, budget="0.000001", rpm=5)
    assert (limited.budget, limited.rpm, limited.tpm, limited.role) == ("0.000001", 5, None, "developer")
    with refused(402, "budget_exhausted"):
        await api.client(secret).create_chat_completion(BODY)
    free = await ada.client.update_member(shared.organization_id, grace.user_id, budget=None)
    assert (free.budget, free.rpm) == (None, 5)
    await api.client(secret).create_chat_completion(BODY)


@pytest.mark.parametrize("limits", [{"budget": "-1"}, {"budget": "NaN"}, {"rpm": 0}, {"tpm": -5}, {"concurrency": 0}])
async def test_a_limit_that_is_none_is_refused(ada: Account, limits: dict[str, object]) -> None:
    shared = await share(ada)
    with refused(422, "invalid_field"):
        await ada.client.update_member(shared.organization_id, ada.user_id, **limits)  # pyright: ignore[reportArgumentType]  # each is of its own type


async def test_removing_and_leaving_at_once_ends_the_membership_once(api: Api, ada: Account) -> None:
    shared = await share(ada)
    grace = await join(api, shared, "developer")
    await asyncio.gather(
        ada.client.remove_member(shared.organization_id, grace.user_id),
        grace.client.leave_organization(shared.organization_id),
        ada.client.transfer_organization(shared.organization_id, user_id=grace.user_id),
        return_exceptions=True,
    )
    members = await api.database.fetch(
        "SELECT role, user_id::text AS user FROM memberships WHERE organization_id = $1::uuid", shared.organization_id
    )
    assert [row["role"] for row in members].count("owner") == 1
