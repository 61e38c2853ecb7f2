"""Disabling, enabling, revoking and deleting keys: by their organization, and by operators with a reason."""

from collections.abc import Awaitable, Callable

import pytest

from operis_client import AsyncOperis
from tests.factories import Account, mint, sign_up
from tests.refusing import refused
from tests.running import Api

HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}


async def call(api: Api, secret: str) -> None:
    await api.client(secret).create_chat_completion(HELLO)


async def test_a_disabled_key_is_refused_everywhere_until_it_is_enabled(
    api: Api, second_api: Api, ada: Account
) -> None:
    minted = await ada.client.mint_key(name="resting")
    for running in (api, second_api):
        await call(running, minted.secret)
    disabled = await ada.client.disable_key(minted.key.id)
    assert (disabled.status, disabled.disabled_by) == ("disabled", "organization")
    for running in (second_api, api):
        with refused(403, "key_disabled") as refusal:
            await call(running, minted.secret)
        assert refusal.error.facts["disabled_by"] == "organization"
        with refused(403, "key_disabled"):
            await running.client(minted.secret).get_calling_key()
    again = await ada.client.disable_key(minted.key.id)
    assert again == disabled
    enabled = await ada.client.enable_key(minted.key.id)
    assert (enabled.status, enabled.disabled_at, enabled.disabled_by) == ("active", None, None)
    for running in (api, second_api):
        await call(running, minted.secret)


async def test_a_revoked_key_is_neither_disabled_nor_enabled(ada: Account) -> None:
    minted = await ada.client.mint_key(name="gone")
    revoked = await ada.client.revoke_key(minted.key.id)
    assert revoked.status == "revoked"
    change: Callable[[str], Awaitable[object]]
    for change in (ada.client.disable_key, ada.client.enable_key):
        with refused(409, "key_revoked"):
            await change(minted.key.id)


async def test_a_deleted_key_is_refused_and_gone_from_lists_while_history_names_it(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="Remembered")
    await call(api, minted.secret)
    await ada.client.delete_key(minted.key.id)
    with refused(401, "invalid_api_key"):
        await call(api, minted.secret)
    assert (await ada.client.list_keys()).items == []
    for gone in (ada.client.get_key, ada.client.delete_key, ada.client.rotate_key, ada.client.enable_key):
        with refused(404, "not_found"):
            await gone(minted.key.id)
    assert [request.key_name for request in (await ada.client.list_requests()).items] == ["Remembered"]
    assert [part.label for part in (await ada.client.get_usage(group_by="key")).items] == ["Remembered"]


async def test_what_an_operator_disabled_its_organization_cannot_enable(
    api: Api, ada: Account, admin: AsyncOperis
) -> None:
    minted = await ada.client.mint_key(name="suspicious")
    disabled = await admin.disable_admin_key(minted.key.id, reason="Odd traffic")
    assert (disabled.status, disabled.disabled_by, disabled.reason) == ("disabled", "operator", "Odd traffic")
    with refused(403, "key_disabled"):
        await call(api, minted.secret)
    await ada.client.disable_key(minted.key.id)
    with refused(403, "disabled_by_operator"):
        await ada.client.enable_key(minted.key.id)
    assert (await ada.client.get_key(minted.key.id)).reason == "Odd traffic"
    await admin.enable_admin_key(minted.key.id, reason="Explained")
    await call(api, minted.secret)

    revoked = await admin.revoke_admin_key(minted.key.id, reason="Abuse")
    assert (revoked.status, revoked.reason) == ("revoked", "Abuse")
    with refused(401, "invalid_api_key"):
        await call(api, minted.secret)
    rows = await api.database.fetch(
        "SELECT action, reason FROM audit_events WHERE target_id = $1 AND reason IS NOT NULL ORDER BY id", minted.key.id
    )
    assert [tuple(row) for row in rows] == [
        ("key.disable", "Odd traffic"),
        ("key.enable", "Explained"),
        ("key.revoke", "Abuse"),
    ]


@pytest.mark.parametrize("reason", ["", "   ", "r" * 501])
async def test_an_operator_says_why(ada: Account, admin: AsyncOperis, reason: str) -> None:
    minted = await ada.client.mint_key(name="kept")
    with refused(422, "invalid_field"):
        await admin.revoke_admin_key(minted.key.id, reason=reason)
    assert (await ada.client.get_key(minted.key.id)).status == "active"


async def test_operators_find_keys_by_what_is_known_of_them(api: Api, ada: Account, admin: AsyncOperis) -> None:
    eve = await sign_up(api)
    first = (await ada.client.mint_key(name="nightly 100%_job")).key
    second = (await ada.client.mint_key(name="other")).key
    await ada.client.disable_key(second.id)
    third = (await ada.client.mint_key(name="third")).key
    await ada.client.revoke_key(third.id)
    await mint(eve)

    async def ids(
        *, status: str | None = None, search: str | None = None, owner_id: str | None = None, mine: bool = True
    ) -> list[str]:
        organization_id = ada.organization_id if mine else None
        found = await admin.list_admin_keys(
            status=status, search=search, owner_id=owner_id, organization_id=organization_id
        )
        return [key.id for key in found.items]

    assert await ids() == [third.id, second.id, first.id]
    assert await ids(owner_id=ada.user_id, mine=False) == [third.id, second.id, first.id]
    for status, key in (("active", first), ("disabled", second), ("revoked", third)):
        assert await ids(status=status) == [key.id]
    assert await ids(status="expired") == []
    for search in ("100%_JOB", first.prefix):
        assert await ids(search=search, mine=False) == [first.id]
    assert await ids(search=ada.email, mine=False) == [third.id, second.id, first.id]
    assert await ids(search="100__job") == []

    page = await admin.list_admin_keys(organization_id=ada.organization_id, limit=2)
    rest = await admin.list_admin_keys(organization_id=ada.organization_id, limit=2, after=page.next)
    assert [key.id for key in (*page.items, *rest.items)] == [third.id, second.id, first.id]
    assert page.items[0].owner_email == ada.email
