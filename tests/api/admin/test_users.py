"""Users, as administrators find, suspend and verify them."""

import secrets

import pytest

from operis_client import AsyncOperis
from tests.factories import PASSWORD, Account, mint, new_email, sign_up
from tests.refusing import refused
from tests.running import ADMIN_EMAIL, Api


async def test_a_user_is_found_by_part_of_name_or_address_whatever_the_case(api: Api, admin: AsyncOperis) -> None:
    word = secrets.token_hex(5)
    ada = await sign_up(api, name=f"Ada {word.upper()} Lovelace")
    by_name = await admin.list_users(search=f"  {word} l")
    by_address = await admin.list_users(search=ada.email[4:20].upper())
    assert [row.id for row in by_name.items] == [row.id for row in by_address.items] == [ada.user_id]
    row = by_name.items[0]
    assert (row.email, row.role, row.status, row.email_verified) == (ada.email, "user", "active", True)
    assert (row.organization_id, row.available, row.held, row.spent, row.keys) == (
        ada.organization_id,
        "1",
        "0",
        "0",
        0,
    )
    assert row.last_seen_at is not None


@pytest.mark.parametrize("search", ["%", "_", "\\", "%' OR 1=1 --", "*"])
async def test_a_search_means_its_characters(admin: AsyncOperis, search: str) -> None:
    assert (await admin.list_users(search=search)).items == []


async def test_a_search_with_nul_is_refused(admin: AsyncOperis) -> None:
    with refused(422, "unusable_text"):
        await admin.list_users(search="a\x00b")


async def test_pages_show_every_user_once_newest_first(api: Api, admin: AsyncOperis) -> None:
    word = secrets.token_hex(5)
    signed_up = [(await sign_up(api, name=f"Ada {word} {n}")).user_id for n in range(5)]
    seen: list[str] = []
    after: str | None = None
    while True:
        page = await admin.list_users(search=word, limit=2, after=after)
        seen += [row.id for row in page.items]
        after = page.next
        if after is None:
            break
    assert seen == signed_up[::-1]


async def test_a_row_counts_keys_and_what_was_spent(api: Api, ada: Account, admin: AsyncOperis) -> None:
    secret = await mint(ada)
    gone = (await ada.client.mint_key(name="gone")).key
    await ada.client.revoke_key(gone.id)
    await api.openai(secret).chat.completions.create(
        model="operis/echo", messages=[{"role": "user", "content": "Hello"}]
    )
    row = await admin.get_user(ada.user_id)
    assert (row.keys, row.spent, row.available) == (1, "0.000015", "0.999985")


async def test_suspending_refuses_sessions_and_keys_at_once_everywhere(
    api: Api, second_api: Api, ada: Account, admin: AsyncOperis
) -> None:
    secret = await mint(ada)
    body = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}
    for running in (api, second_api):
        await running.client(secret).create_chat_completion(body)
    row = await admin.update_user(ada.user_id, status="suspended", reason="Abuse, ticket 7")
    assert row.status == "suspended"
    for running in (api, second_api):
        with refused(403, "suspended"):
            await running.client(secret).create_chat_completion(body)
        with refused(401, "unauthenticated"):
            await running.client(ada.client.token).get_me()
        with refused(401, "invalid_api_key"):
            await running.client(ada.client.token).create_chat_completion(body)
        with refused(403, "suspended"):
            await running.sign_in(ada.email, PASSWORD)
    rows = await api.database.fetch(
        "SELECT reason, before::text AS before, after::text AS after, actor_id::text AS actor FROM audit_events "
        "WHERE target_id = $1 AND action = 'user.update'",
        ada.user_id,
    )
    assert [row["reason"] for row in rows] == ["Abuse, ticket 7"]
    assert '"status": "active"' in rows[0]["before"]
    assert '"status": "suspended"' in rows[0]["after"]
    assert rows[0]["actor"] == (await admin.get_me()).user.id

    await admin.update_user(ada.user_id, status="active", reason="Resolved")
    for running in (api, second_api):
        await running.client(secret).create_chat_completion(body)
    with refused(401, "unauthenticated"):  # the sessions of before stay ended
        await ada.client.get_me()
    assert (await api.sign_in(ada.email, PASSWORD)).token


async def test_nobody_suspends_themselves(admin: AsyncOperis) -> None:
    own = (await admin.get_me()).user.id
    with refused(409, "not_yourself"):
        await admin.update_user(own, status="suspended", reason="Oops")
    assert (await admin.get_me()).user.status == "active"


@pytest.mark.parametrize("reason", ["", "   ", "r" * 501])
async def test_a_change_says_why(ada: Account, admin: AsyncOperis, reason: str) -> None:
    with refused(422, "invalid_field") as refusal:
        await admin.update_user(ada.user_id, status="suspended", reason=reason)
    assert refusal.error.facts["field"] == "reason"
    assert (await admin.get_user(ada.user_id)).status == "active"


async def test_a_change_of_nothing_is_refused(ada: Account, admin: AsyncOperis) -> None:
    with refused(422, "invalid_field"):
        await admin.update_user(ada.user_id, reason="No idea")


async def test_there_is_no_field_that_makes_an_administrator(api: Api, ada: Account, admin: AsyncOperis) -> None:
    for field in ({"role": "admin"}, {"email": new_email()}, {"available": "100"}):
        answer = await api.http.patch(
            f"{api.base_url}/api/v1/admin/users/{ada.user_id}",
            json={"reason": "promotion", "status": "active", **field},
            headers={"authorization": f"Bearer {admin.token}"},
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert (await admin.get_user(ada.user_id)).role == "user"


async def test_an_unknown_user_is_not_found(admin: AsyncOperis) -> None:
    nobody = "00000000-0000-7000-8000-00000000dead"
    with refused(404, "not_found"):
        await admin.get_user(nobody)
    with refused(404, "not_found"):
        await admin.update_user(nobody, status="suspended", reason="Nobody")


async def test_the_first_administrator_is_an_ordinary_row(admin: AsyncOperis) -> None:
    rows = (await admin.list_users(search=ADMIN_EMAIL)).items
    assert [(row.role, row.email_verified) for row in rows] == [("superadmin", True)]
