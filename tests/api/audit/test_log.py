"""The audit log: who may read what of it, that nobody changes it, and that what is personal is sealed."""

import asyncio

import asyncpg
import pytest

from operis_api.audit.proving import AUDIT_INVARIANTS
from operis_client import AsyncOperis
from tests.factories import Account, join, share, sign_up
from tests.refusing import refused
from tests.running import Api, Database


async def broken_rules(database: Database) -> list[str]:
    return [str(row[0]) for query in AUDIT_INVARIANTS.values() for row in await database.fetch(query)]


async def test_an_organization_reads_its_own_part_and_not_who_the_operators_are(
    api: Api, admin: AsyncOperis, ada: Account
) -> None:
    shared = await share(ada)
    key = (await shared.client.mint_key(name="laptop")).key
    await admin.adjust_wallet(shared.organization_id, amount="1", reason="A gift")
    rows = (await shared.client.list_organization_audit(shared.organization_id)).items
    assert [row.action for row in rows] == ["wallet.adjust", "key.mint", "organization.create"]
    gift, minted, _ = rows
    assert (gift.actor_email, gift.actor_id, gift.address, gift.actor_is_operator) == (None, None, None, True)
    assert (minted.actor_email, minted.address, minted.target_id) == (ada.email, "127.0.0.1", key.id)
    assert minted.after is not None
    assert minted.after["name"] == "laptop"
    by_word = await shared.client.list_organization_audit(shared.organization_id, action="key")
    assert [row.id for row in by_word.items] == [minted.id]
    assert (await shared.client.list_organization_audit(shared.organization_id, action="ke")).items == []
    developer = await join(api, shared, "developer")
    with refused(403, "forbidden"):
        await developer.client.list_organization_audit(shared.organization_id)


async def test_operators_filter_and_page_through_all_of_it(api: Api, admin: AsyncOperis, ada: Account) -> None:
    for name in ("one", "two", "three"):
        await ada.client.mint_key(name=name)
    seen: list[str] = []
    after: str | None = None
    while True:
        page = await admin.list_audit(actor_id=ada.user_id, action="key.mint", limit=2, after=after)
        seen += [str((row.after or {})["name"]) for row in page.items]
        after = page.next
        if after is None:
            break
    assert seen == ["three", "two", "one"]
    first = (await admin.list_audit(actor_id=ada.user_id, action="key.mint", limit=1)).items[0]
    until = await admin.list_audit(actor_id=ada.user_id, action="key.mint", to=first.created_at)
    assert len(until.items) == 2
    assert (await admin.list_audit(target_id=first.target_id)).items == [first]


async def test_what_is_personal_is_sealed_and_gone_with_its_key(api: Api, admin: AsyncOperis) -> None:
    ada = await sign_up(api, name="Ada Secretname")
    await ada.client.update_me(name="Ada Newname")
    (row,) = (await admin.list_audit(actor_id=ada.user_id, action="user.update")).items
    assert (row.before or {})["name"] == "Ada Secretname"
    assert ((row.after or {})["name"], row.address) == ("Ada Newname", "127.0.0.1")
    stored = await api.database.fetch("SELECT e::text AS row FROM audit_events e WHERE id = $1::uuid", row.id)
    for personal in ("Secretname", "Newname", "127.0.0.1", ada.email):
        assert personal not in stored[0]["row"]
    await api.database.fetch("DELETE FROM person_keys WHERE user_id = $1::uuid", ada.user_id)
    (erased,) = (await admin.list_audit(actor_id=ada.user_id, action="user.update")).items
    assert "name" not in {**(erased.before or {}), **(erased.after or {})}
    assert (erased.address, erased.agent) == (None, None)
    await ada.client.update_me(name="Ada Again")  # with a key made anew, which opens nothing of before
    newest, still = (await admin.list_audit(actor_id=ada.user_id, action="user.update")).items
    assert (newest.after or {})["name"] == "Ada Again"
    assert (still.id, "name" in (still.after or {})) == (row.id, False)
    assert await broken_rules(api.database) == []


async def test_a_change_that_is_refused_writes_nothing(api: Api, admin: AsyncOperis, ada: Account) -> None:
    before = len((await admin.list_audit(actor_id=ada.user_id)).items)
    with refused(422, "invalid_field"):
        await ada.client.update_me(name=" ")
    assert len((await admin.list_audit(actor_id=ada.user_id)).items) == before


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE audit_events SET reason = 'Another' WHERE id = $1::uuid", "its digest does not fit"),
        ("UPDATE audit_events SET origin_sealed = NULL WHERE id = $1::uuid", "its digest does not fit"),
        ("UPDATE audit_links SET digest = sha256('x') WHERE event_id = $1::uuid", "its digest does not fit"),
        ("DELETE FROM audit_events WHERE id = $1::uuid", "a link without it"),
        ("DELETE FROM audit_links WHERE event_id = $1::uuid", "no link"),
    ],
)
async def test_whatever_is_changed_behind_our_back_is_found(
    api: Api, admin: AsyncOperis, ada: Account, tampering: str, found: str
) -> None:
    await ada.client.mint_key(name="one")
    await ada.client.mint_key(name="two")
    event_id = (await admin.list_audit(actor_id=ada.user_id, action="key.mint")).items[-1].id
    connection = await asyncpg.connect(api.database.superuser_url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SET LOCAL session_replication_role = replica")  # past the triggers, as an owner may
        await connection.execute(tampering, event_id)
        findings = [str(row[0]) for query in AUDIT_INVARIANTS.values() for row in await connection.fetch(query)]
        await transaction.rollback()
    finally:
        await connection.close()
    assert any(found in finding and event_id in finding for finding in findings), findings
    assert await broken_rules(api.database) == []


async def test_the_application_cannot_write_links_itself(database: Database) -> None:
    connection = await asyncpg.connect(database.app_url)
    try:
        await connection.execute("SET ROLE operis_app")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO audit_links VALUES (1000000, gen_random_uuid(), '')")
    finally:
        await connection.close()


async def test_many_changes_at_once_are_one_chain(api: Api, second_api: Api, ada: Account) -> None:
    elsewhere = second_api.client(ada.client.token)
    await asyncio.gather(*(client.mint_key(name=f"key {n}") for n in range(30) for client in (ada.client, elsewhere)))
    assert await broken_rules(api.database) == []
