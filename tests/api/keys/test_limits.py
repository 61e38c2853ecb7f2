"""What a key may do, and that a change is in force at once in every process."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from operis_client import AsyncOperis
from tests.factories import Account, mint, sign_up
from tests.refusing import refused
from tests.running import Api

HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def both(api: Api, second_api: Api) -> tuple[Api, Api]:
    return api, second_api


async def call(api: Api, secret: str) -> None:
    await api.client(secret).create_chat_completion(HELLO)


async def test_a_revoked_key_is_refused_at_once_by_every_process_that_knew_it(
    both: tuple[Api, Api], ada: Account
) -> None:
    for _ in range(5):
        minted = await ada.client.mint_key(name="short-lived")
        for api in both:
            await call(api, minted.secret)
        await ada.client.revoke_key(minted.key.id)
        for api in both:
            with refused(401, "invalid_api_key"):
                await call(api, minted.secret)
            with refused(401, "invalid_api_key"):
                await api.client(minted.secret).get_calling_key()


async def test_revoking_twice_is_revoking_once(ada: Account) -> None:
    minted = await ada.client.mint_key(name="twice")
    await ada.client.revoke_key(minted.key.id)
    first = await ada.client.get_key(minted.key.id)
    await ada.client.revoke_key(minted.key.id)
    assert await ada.client.get_key(minted.key.id) == first
    assert first.status == "revoked"


async def test_a_key_minted_here_works_there_at_once(second_api: Api, ada: Account) -> None:
    for _ in range(5):
        await call(second_api, await mint(ada))


async def test_a_key_calls_the_models_it_names_and_no_other(
    api: Api, second_api: Api, ada: Account, real_model: str
) -> None:
    minted = await ada.client.mint_key(name="echo alone", models=["operis/echo", "operis/echo"])
    assert minted.key.models == ["operis/echo"]
    client = api.client(minted.secret)
    await client.create_chat_completion(HELLO)
    with refused(403, "model_not_allowed") as refusal:
        await client.create_chat_completion({**HELLO, "model": real_model})
    assert refusal.error.facts["model"] == real_model
    assert [model.id async for model in api.openai(minted.secret).models.list()] == ["operis/echo"]
    with refused(404, "model_not_found"):
        await client.get_gateway_model(real_model)

    await call(second_api, minted.secret)
    await ada.client.update_key(minted.key.id, models=[real_model])
    for running in (api, second_api):
        with refused(403, "model_not_allowed"):
            await call(running, minted.secret)
    await ada.client.update_key(minted.key.id, models=[])
    for running in (api, second_api):
        await call(running, minted.secret)


async def test_an_expired_key_is_refused_without_anybody_doing_anything(both: tuple[Api, Api], ada: Account) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    minted = await ada.client.mint_key(name="brief", expires_at=soon)
    for api in both:
        await call(api, minted.secret)
    await asyncio.sleep((soon - datetime.now(UTC)).total_seconds() + 0.05)
    for api in both:
        with refused(401, "invalid_api_key"):
            await call(api, minted.secret)
    assert (await ada.client.get_key(minted.key.id)).status == "expired"
    await ada.client.update_key(minted.key.id, expires_at=None)
    for api in both:
        await call(api, minted.secret)


async def test_an_update_changes_what_it_names_and_leaves_the_rest(ada: Account) -> None:
    expiry = datetime.now(UTC) + timedelta(days=30)
    minted = await ada.client.mint_key(name="first", models=["operis/echo"], expires_at=expiry)
    renamed = await ada.client.update_key(minted.key.id, name="second")
    assert (renamed.name, renamed.models, renamed.expires_at) == ("second", ["operis/echo"], minted.key.expires_at)
    freed = await ada.client.update_key(minted.key.id, models=[], expires_at=None)
    assert (freed.name, freed.models, freed.expires_at) == ("second", [], None)
    assert freed.prefix == minted.secret[:12]
    with refused(422, "invalid_field"):
        await ada.client.update_key(minted.key.id, name="")
    assert (await ada.client.get_key(minted.key.id)).name == "second"


async def test_keys_of_a_suspended_user_are_refused_everywhere_until_they_are_reactivated(
    both: tuple[Api, Api], ada: Account, admin: AsyncOperis
) -> None:
    known, unknown = await mint(ada), await mint(ada)
    for api in both:
        await call(api, known)
    await admin.update_user(ada.user_id, status="suspended", reason="Unpaid")
    for api in both:
        for secret in (known, unknown):
            with refused(403, "suspended"):
                await call(api, secret)
            with refused(403, "suspended"):
                await api.client(secret).get_calling_key()
    await admin.update_user(ada.user_id, status="active", reason="Paid")
    for api in both:
        for secret in (known, unknown):
            await call(api, secret)


async def test_nobody_sees_or_changes_the_keys_of_others(ada: Account, api: Api) -> None:
    eve = await sign_up(api)
    minted = await ada.client.mint_key(name="Ada's")
    with refused(404, "not_found"):
        await eve.client.get_key(minted.key.id)
    with refused(404, "not_found"):
        await eve.client.update_key(minted.key.id, name="Eve's")
    with refused(404, "not_found"):
        await eve.client.revoke_key(minted.key.id)
    assert (await eve.client.list_keys()).items == []
    assert (await ada.client.get_key(minted.key.id)).name == "Ada's"
    await call(api, minted.secret)


async def test_an_api_key_opens_the_gateway_alone(api: Api, ada: Account) -> None:
    client = api.client(await mint(ada))
    with refused(403, "scope_required"):
        await client.mint_key(name="from a key")
    with refused(403, "scope_required"):
        await client.get_wallet()
    with refused(401, "unauthenticated"):
        await client.get_me()
