"""Shared organizations: making, naming, handing on, leaving and deleting them."""

import asyncio

import pytest

from operis_client import ApiError, AsyncOperis
from tests.factories import Account, at_work, join, mint, set_balance, share, sign_up
from tests.fakes.openai_upstream import Script
from tests.refusing import refused
from tests.running import Api

BODY = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}


async def test_who_signs_up_owns_a_personal_organization_that_stays_theirs(api: Api, ada: Account) -> None:
    (own,) = (await ada.client.list_organizations()).items
    assert (own.id, own.personal, own.role, own.members, own.timezone) == (ada.organization_id, True, "owner", 1, "UTC")
    with refused(409, "personal_organization"):
        await ada.client.delete_organization(own.id)
    with refused(409, "personal_organization"):
        await ada.client.invite_member(own.id, email="grace@example.com", role="viewer")
    grace = await sign_up(api)
    with refused(409, "personal_organization"):
        await ada.client.transfer_organization(own.id, user_id=grace.user_id)
    with refused(403, "forbidden"):
        await ada.client.leave_organization(own.id)


async def test_a_new_organization_has_an_empty_wallet_of_its_own(ada: Account) -> None:
    shared = await share(ada, name="  Analytical   Engines ")
    assert (await ada.client.get_organization(shared.organization_id)).name == "Analytical Engines"
    assert await shared.available() == "0"  # the welcome grant is one for each user
    assert await ada.available() == "1"
    me = await shared.client.get_me()
    assert me.organization.id == shared.organization_id
    assert {found.id for found in me.organizations} == {ada.organization_id, shared.organization_id}
    assert (await ada.client.get_me()).organization.id == ada.organization_id


@pytest.mark.parametrize("name", ["", "  ", "n" * 121, "a\nb\x07"])
async def test_a_name_that_cannot_be_shown_is_refused(ada: Account, name: str) -> None:
    with refused(422, "invalid_field"):
        await ada.client.create_organization(name=name)


async def test_the_time_zone_is_one_that_both_clocks_know(ada: Account) -> None:
    shared = await share(ada)
    for zone in ("Mars/Olympus", "", "UTC+3", "localtime", "../etc/passwd"):
        with refused(422, "invalid_field"):
            await ada.client.update_organization(shared.organization_id, timezone=zone)
    limited = await ada.client.update_organization(shared.organization_id, budget_daily="2.5", rpm=60)
    assert (limited.budget_daily, limited.rpm, limited.tpm) == ("2.5", 60, None)
    changed = await ada.client.update_organization(shared.organization_id, timezone="Asia/Ho_Chi_Minh", name="Engines")
    assert (changed.budget_daily, changed.rpm) == ("2.5", 60)
    assert (changed.timezone, changed.name) == ("Asia/Ho_Chi_Minh", "Engines")
    with refused(422, "invalid_field"):
        await ada.client.update_organization(shared.organization_id)


async def test_nobody_owns_more_than_twenty_however_fast_they_ask(api: Api, ada: Account) -> None:
    made = await asyncio.gather(
        *(ada.client.create_organization(name=f"Org {n}") for n in range(25)), return_exceptions=True
    )
    refusals = [one for one in made if isinstance(one, ApiError)]
    assert {one.code for one in refusals} == {"too_many_organizations"}
    assert (len(made) - len(refusals), len(refusals)) == (20, 5)
    grace = await share(await sign_up(api))
    full = at_work(ada.client, (await ada.client.list_organizations(limit=2)).items[1].id)
    sent = await grace.client.invite_member(grace.organization_id, email=ada.email, role="admin")
    await full.accept_invitation(token=(sent.link or "").partition("token=")[2])
    with refused(409, "too_many_organizations"):
        await grace.client.transfer_organization(grace.organization_id, user_id=ada.user_id)


async def test_handing_on_makes_one_owner_of_two(api: Api, ada: Account) -> None:
    shared = await share(ada)
    grace = await join(api, shared, "viewer")
    assert (await ada.client.transfer_organization(shared.organization_id, user_id=grace.user_id)).role == "admin"
    assert (await grace.client.get_organization(shared.organization_id)).role == "owner"
    with refused(403, "forbidden"):
        await ada.client.transfer_organization(shared.organization_id, user_id=ada.user_id)
    stranger = await sign_up(api)
    with refused(404, "not_found"):
        await grace.client.transfer_organization(shared.organization_id, user_id=stranger.user_id)
    with refused(422, "invalid_field"):
        await grace.client.transfer_organization(shared.organization_id, user_id=grace.user_id)


async def test_two_transfers_at_once_leave_one_owner(api: Api, ada: Account) -> None:
    shared = await share(ada)
    heirs = [await join(api, shared, "admin") for _ in range(3)]
    await asyncio.gather(
        *(ada.client.transfer_organization(shared.organization_id, user_id=heir.user_id) for heir in heirs),
        return_exceptions=True,
    )
    members = (await shared.client.list_members(shared.organization_id)).items
    assert sorted(member.role for member in members) == ["admin", "admin", "admin", "owner"]


async def test_leaving_ends_ones_keys_there_and_nothing_else(api: Api, admin: AsyncOperis, ada: Account) -> None:
    shared = await share(ada)
    await set_balance(admin, shared, "1")
    grace = await join(api, shared, "developer")
    theirs, ours = await mint(grace), await mint(shared)
    await grace.client.leave_organization(shared.organization_id)
    with refused(401, "invalid_api_key"):
        await api.client(theirs).create_chat_completion(BODY)
    await api.client(ours).create_chat_completion(BODY)
    with refused(404, "not_found"):
        await grace.client.get_wallet()
    own = api.client(grace.client.token)
    assert [found.personal for found in (await own.list_organizations()).items] == [True]


async def test_a_deleted_organization_is_gone_for_its_members_and_its_keys(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account
) -> None:
    shared = await share(ada)
    grace = await join(api, shared, "admin")
    secret = await mint(shared)
    await set_balance(admin, shared, "1")
    with refused(409, "credits_left") as refusal:
        await ada.client.delete_organization(shared.organization_id)
    assert refusal.error.facts["credits"] == "1"
    for running in (api, second_api):
        await running.client(secret).create_chat_completion(BODY)
    await set_balance(admin, shared, "0")
    open_one = await shared.client.invite_member(shared.organization_id, email="late@example.com", role="viewer")
    await ada.client.delete_organization(shared.organization_id)
    for running in (api, second_api):
        with refused(401, "invalid_api_key"):
            await running.client(secret).create_chat_completion(BODY)
        with refused(404, "not_found"):
            await running.client(grace.client.token).get_organization(shared.organization_id)
    with refused(404, "not_found"):
        await ada.client.delete_organization(shared.organization_id)
    with refused(404, "not_found"):
        await ada.client.accept_invitation(token=(open_one.link or "").partition("token=")[2])
    entries = await api.database.fetch(
        "SELECT count(*) AS n FROM entries WHERE organization_id = $1::uuid", shared.organization_id
    )
    assert entries[0]["n"] > 0
    assert await api.database.broken_invariants() == []


async def test_an_organization_with_a_call_in_progress_is_not_deleted(
    api: Api, admin: AsyncOperis, ada: Account, real_model: str, script: Script
) -> None:
    shared = await share(ada)
    await admin.adjust_wallet(shared.organization_id, amount="1", reason="for a call")
    secret = await mint(shared)
    script.seconds_between_words = 0.5
    stream = await api.openai(secret).chat.completions.create(
        model=real_model, messages=[{"role": "user", "content": "hi"}], stream=True
    )
    with refused(409, "calls_running"):
        await ada.client.delete_organization(shared.organization_id)
    async for _ in stream:
        pass
    with refused(409, "credits_left"):
        await ada.client.delete_organization(shared.organization_id)
