"""Every organization, as operators find, open, suspend and move it."""

import secrets

from operis_api.kit.ids import new_id
from operis_client import AsyncOperis
from tests.factories import Account, join, mint, set_balance, share, sign_up
from tests.refusing import refused
from tests.running import Api

BODY = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}


async def test_an_organization_is_found_by_its_name_its_owner_and_its_members(api: Api, admin: AsyncOperis) -> None:
    word = secrets.token_hex(5)
    owner = await share(await sign_up(api), name=f"Engines {word}")
    grace = await join(api, owner, "developer")
    for found in (
        await admin.list_admin_organizations(search=word.upper()),
        await admin.list_admin_organizations(search=owner.email[4:20], personal=False),
        await admin.list_admin_organizations(member_id=grace.user_id, personal=False),
    ):
        assert [row.id for row in found.items] == [owner.organization_id]
    assert (await admin.list_admin_organizations(search=f"%{word}")).items == []
    assert (await admin.list_admin_organizations(search=word, status="deleted")).items == []


async def test_one_shows_members_plan_wallet_and_limits(api: Api, admin: AsyncOperis) -> None:
    owner = await share(await sign_up(api))
    await join(api, owner, "viewer")
    await set_balance(admin, owner, "3")
    secret = await mint(owner)
    await api.client(secret).create_chat_completion(BODY)
    await owner.client.update_organization(owner.organization_id, rpm=60)
    row = await admin.get_admin_organization(owner.organization_id)
    assert (row.members, row.keys, row.rpm, row.owner_id, row.personal) == (2, 1, 60, owner.user_id, False)
    assert (row.status, row.held, row.owner_email) == ("active", "0", owner.email)
    assert float(row.available) + float(row.spent) == 3
    assert row.plan_name == next(plan.name for plan in (await admin.list_plans()).items if plan.id == row.plan_id)
    members = await admin.list_admin_members(owner.organization_id, limit=1)
    rest = await admin.list_admin_members(owner.organization_id, after=members.next)
    assert {member.role for member in (*members.items, *rest.items)} == {"owner", "viewer"}


async def test_a_suspended_organization_makes_no_call_anywhere_until_it_is_lifted(
    api: Api, second_api: Api, ada: Account, admin: AsyncOperis
) -> None:
    service = (await ada.client.mint_key(name="ci", service=True)).secret
    for secret in (await mint(ada), service):
        for running in (api, second_api):
            await running.client(secret).create_chat_completion(BODY)
        row = await admin.suspend_organization(ada.organization_id, reason="Unpaid")
        assert (row.status, row.suspended_reason) == ("suspended", "Unpaid")
        for running in (api, second_api):
            with refused(403, "suspended"):
                await running.client(secret).create_chat_completion(BODY)
            with refused(403, "suspended"):
                await running.client(ada.client.token).create_chat_completion(BODY)
        assert (await ada.client.get_organization(ada.organization_id)).status == "suspended"
        row = await admin.unsuspend_organization(ada.organization_id, reason="Paid")
        assert (row.status, row.suspended_reason) == ("active", None)
        for running in (second_api, api):
            await running.client(secret).create_chat_completion(BODY)


async def test_another_plan_binds_the_next_call_and_gives_no_welcome_grant(
    api: Api, second_api: Api, ada: Account, admin: AsyncOperis
) -> None:
    plan_id = str(new_id())
    await api.database.fetch(
        "INSERT INTO plans (id, name, welcome_grant_nano, concurrency, rpm) VALUES ($1::uuid, $2, 5000000000, 10, 1)",
        plan_id,
        f"Small {plan_id[-8:]}",
    )
    secret = await mint(ada)
    for running in (api, second_api):
        await running.client(secret).create_chat_completion(BODY)
    before = await ada.available()
    row = await admin.change_organization_plan(ada.organization_id, plan_id=plan_id, reason="Asked for")
    assert (row.plan_id, row.available) == (plan_id, before)
    with refused(429, "rate_limit_exceeded"):  # requests of before do not count, so the second is one too many
        for running in (api, second_api):
            await running.client(secret).create_chat_completion(BODY)
    event = (await admin.list_audit(organization_id=ada.organization_id, action="organization.change_plan")).items[0]
    assert (event.after, event.reason) == ({"plan_id": plan_id}, "Asked for")
    with refused(404, "not_found"):
        await admin.change_organization_plan(ada.organization_id, plan_id=str(new_id()), reason="Nothing")


async def test_a_deleted_organization_is_shown_and_changed_no_more(api: Api, admin: AsyncOperis) -> None:
    owner = await share(await sign_up(api))
    await owner.client.delete_organization(owner.organization_id)
    assert (await admin.get_admin_organization(owner.organization_id)).status == "deleted"
    for change in (admin.suspend_organization, admin.unsuspend_organization):
        with refused(409, "organization_deleted"):
            await change(owner.organization_id, reason="Too late")
