"""All that is known of a person, as one document."""

from operis_client import AsyncOperis
from tests.factories import Account, join, mint, share, sign_up
from tests.running import Api


async def test_the_document_has_what_the_person_did_and_gave(api: Api, ada: Account) -> None:
    secret = await mint(ada, name="laptop")
    await api.client(secret).create_chat_completion(
        {"model": "operis/echo", "messages": [{"role": "user", "content": "a private word"}]}
    )
    shared = await share(ada)
    document = await ada.client.export_me()
    assert (document.user["email"], document.user["name"]) == (ada.email, "Ada Lovelace")
    assert "password_hash" not in document.user
    tables = document.tables
    assert [row["name"] for row in tables["api_keys"]] == ["laptop"]
    assert [row["model_id"] for row in tables["requests"]] == ["operis/echo"]
    assert {row["organization_id"] for row in tables["memberships"]} == {ada.organization_id, shared.organization_id}
    assert tables["sessions"][0]["address"] == "127.0.0.1"
    assert ada.email in {row["recipient"] for row in tables["mails"]}
    assert {"user.register", "key.mint", "organization.create"} <= {row.action for row in document.audit}
    assert document.cut == []
    assert "a private word" not in str(document)
    assert secret not in str(document)


async def test_an_operator_hands_it_out_without_naming_who_did_what_to_them(
    api: Api, admin: AsyncOperis, ada: Account
) -> None:
    await admin.update_user(ada.user_id, name="Ada King", reason="Asked for")
    document = await (await api.admin()).export_user(ada.user_id, reason="Asked for by mail")
    (change,) = [row for row in document.audit if row.action == "user.update"]
    assert (change.actor_id, change.actor_email, change.address, change.reason) == (None, None, None, "Asked for")
    (event,) = (await admin.list_audit(target_id=ada.user_id, action="user.export")).items
    assert event.reason == "Asked for by mail"


async def test_nothing_of_others_is_in_it(api: Api) -> None:
    owner = await share(await sign_up(api, name="Somebody Else"))
    grace = await join(api, owner, "developer")
    await mint(owner, name="not hers")
    document = str(await grace.client.export_me())
    assert owner.email not in document
    assert "not hers" not in document
