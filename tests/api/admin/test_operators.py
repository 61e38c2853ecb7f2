"""Operators: who makes them, who may act on them, and that a superadmin is always left."""

import asyncio

import pytest

from operis_client import ApiError, AsyncOperis
from operis_db.embedded import EmbeddedPostgres
from tests.factories import PASSWORD, Account, mint, sign_up
from tests.refusing import refused
from tests.running import Api, make_database, run_api


async def test_a_granted_role_is_in_force_for_the_next_request(api: Api, ada: Account, admin: AsyncOperis) -> None:
    with refused(403, "forbidden"):
        await ada.client.list_users()
    granted = await admin.grant_role(ada.user_id, role="finance", reason="Joined the team")
    assert (granted.user_id, granted.role) == (ada.user_id, "finance")
    await ada.client.list_users()
    with refused(403, "forbidden"):
        await ada.client.grant_role(ada.user_id, role="superadmin", reason="Why not")
    await admin.grant_role(ada.user_id, role="user", reason="Left the team")
    with refused(403, "forbidden"):
        await ada.client.list_users()


async def test_only_a_superadmin_acts_on_an_operator(api: Api, ada: Account, admin: AsyncOperis) -> None:
    await admin.grant_role(ada.user_id, role="support", reason="Joined the team")
    other = await sign_up(api)
    await admin.grant_role(other.user_id, role="read-only", reason="Joined the team")
    own = (await admin.get_me()).user.id
    for user_id in (other.user_id, own):
        with refused(403, "forbidden"):
            await ada.client.update_user(user_id, status="suspended", reason="A coup")
        with refused(403, "forbidden"):
            await ada.client.sign_out_user(user_id, reason="A coup")
    await admin.sign_out_user(other.user_id, reason="A lost laptop")


async def test_signing_out_ends_sessions_everywhere_and_leaves_keys(
    api: Api, second_api: Api, ada: Account, admin: AsyncOperis
) -> None:
    secret = await mint(ada)
    await admin.sign_out_user(ada.user_id, reason="A lost laptop")
    body = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}
    for running in (api, second_api):
        with refused(401, "unauthenticated"):
            await running.client(ada.client.token).get_me()
        await running.client(secret).create_chat_completion(body)
    assert (await api.sign_in(ada.email, PASSWORD)).token


async def test_nobody_changes_their_own_role(admin: AsyncOperis) -> None:
    own = (await admin.get_me()).user.id
    with refused(409, "not_yourself"):
        await admin.grant_role(own, role="user", reason="Tired")


@pytest.mark.parametrize("_", range(3))
async def test_of_two_superadmins_who_end_each_other_one_is_left(postgres: EmbeddedPostgres, _: int) -> None:
    async with run_api(await make_database(postgres)) as api:
        first = await api.admin()
        grace = await sign_up(api)
        own = (await first.get_me()).user.id
        await first.grant_role(grace.user_id, role="superadmin", reason="Joined the team")
        answers = await asyncio.gather(
            first.grant_role(grace.user_id, role="user", reason="A duel"),
            grace.client.update_user(own, status="suspended", reason="A duel"),
            return_exceptions=True,
        )
        refusals = [answer for answer in answers if isinstance(answer, ApiError)]
        assert [refusal.status in {401, 403} for refusal in refusals] == [True], answers
        rows = await api.database.fetch("SELECT 1 FROM users WHERE role = 'superadmin' AND status = 'active'")
        assert len(rows) == 1
