"""Service keys belong to the organization: whoever made one may leave."""

import asyncio

import pytest

from operis_client import AsyncOperis
from tests.factories import Account, at_work, join, set_balance, share, sign_up
from tests.refusing import refused
from tests.running import Api

HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def ada(ada: Account, admin: AsyncOperis) -> Account:
    """At work in an organization that others can join, with something to spend."""
    shared = await share(ada)
    await set_balance(admin, shared, "1")
    return shared


@pytest.fixture
async def maker(api: Api, ada: Account) -> Account:
    """An administrator in Ada's organization."""
    return await join(api, ada, "admin")


async def test_a_service_key_outlives_the_membership_of_who_made_it_and_another_does_not(
    api: Api, second_api: Api, ada: Account, maker: Account, admin: AsyncOperis
) -> None:
    client = maker.client
    service = await client.mint_key(name="service", service=True, scopes=["inference", "keys", "models"])
    own = await client.mint_key(name="own")
    assert (service.key.service, own.key.service) == (True, False)
    for running in (api, second_api):
        for minted in (service, own):
            await running.client(minted.secret).create_chat_completion(HELLO)
    await ada.client.remove_member(ada.organization_id, maker.user_id)
    for running in (second_api, api):
        with refused(401, "invalid_api_key"):
            await running.client(own.secret).create_chat_completion(HELLO)
    await admin.update_user(maker.user_id, status="suspended", reason="Left")
    for running in (second_api, api):
        await running.client(service.secret).create_chat_completion(HELLO)
        assert (await running.client(service.secret).get_calling_key())["name"] == "service"
    made = await api.client(service.secret).mint_key(name="made by it", scopes=["models"])
    assert made.key.service
    (row,) = await api.database.fetch(
        "SELECT actor_id, key_id::text FROM audit_events WHERE target_id = $1 AND action = 'key.mint'", made.key.id
    )
    assert tuple(row) == (None, service.key.id)


async def test_the_calls_of_a_service_key_are_no_members(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="service", service=True)
    await api.database.fetch(
        "UPDATE memberships SET concurrency = 1, budget_nano = 0 WHERE user_id = $1::text::uuid", ada.user_id
    )
    await api.client(minted.secret).create_chat_completion(HELLO)
    key = await ada.client.get_key(minted.key.id)
    assert (key.requests, key.spent, key.states) == (1, "0.000006", [])
    rows = await api.database.fetch("SELECT FROM spending WHERE subject_id = $1::text::uuid", ada.user_id)
    assert rows == []


async def test_a_service_key_ends_with_its_organization(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="service", service=True)
    await api.client(minted.secret).create_chat_completion(HELLO)
    await api.database.fetch(
        "UPDATE organizations SET status = 'suspended' WHERE id = $1::text::uuid", ada.organization_id
    )
    with refused(403, "suspended"):
        await api.client(minted.secret).create_chat_completion(HELLO)


async def test_a_developer_mints_no_service_key_and_rotates_nobody_elses(api: Api, ada: Account) -> None:
    developer = await join(api, ada, "developer")
    client = developer.client
    with refused(403, "forbidden"):
        await client.mint_key(name="service", service=True)
    own = await client.mint_key(name="own")
    assert (await client.rotate_key(own.key.id)).secret
    for minted in (await ada.client.mint_key(name="Ada's"), await ada.client.mint_key(name="ours", service=True)):
        with refused(403, "forbidden"):
            await client.rotate_key(minted.key.id)
    assert (await ada.client.rotate_key(own.key.id)).secret


async def test_a_key_of_a_member_who_may_not_call_models_any_more_is_refused(
    api: Api, second_api: Api, ada: Account
) -> None:
    developer = await join(api, ada, "developer")
    minted = await developer.client.mint_key(name="own", scopes=["inference", "usage"])
    for running in (api, second_api):
        await running.client(minted.secret).create_chat_completion(HELLO)
    await api.database.fetch(
        "UPDATE memberships SET role = 'viewer' WHERE user_id = $1::text::uuid AND role = 'developer'",
        developer.user_id,
    )
    for running in (api, second_api):
        async with asyncio.timeout(6):
            while await may_call(running, minted.secret):
                await asyncio.sleep(0.2)
    assert (await api.client(minted.secret).list_requests()).items


async def may_call(api: Api, secret: str) -> bool:
    headers = {"authorization": f"Bearer {secret}"}
    answer = await api.http.post(f"{api.base_url}/v1/chat/completions", json=HELLO, headers=headers)
    assert answer.status_code in {200, 403}
    return answer.status_code == 200


async def test_strangers_mint_no_service_key_here(api: Api, ada: Account) -> None:
    eve = await sign_up(api)
    with refused(404, "not_found"):
        await at_work(eve.client, ada.organization_id).mint_key(name="service", service=True)
