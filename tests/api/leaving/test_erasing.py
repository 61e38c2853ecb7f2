"""Erasing a person: refused where others or money would be hurt, undone for a while, then gone from every table."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from operis_api.audit.proving import AUDIT_INVARIANTS
from operis_api.leaving.personal import ERASURES
from operis_client import ApiError, AsyncOperis
from operis_db.embedded import EmbeddedPostgres
from operis_db.tables import metadata
from tests.factories import PASSWORD, Account, join, mint, new_email, set_balance, share, sign_up, token_of
from tests.reading_mail import read_mail, token_in
from tests.refusing import refused
from tests.running import Api, Database, make_database, run_api

BODY = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}
JOB_SECONDS = 90
ADDRESS = "2001:db8:ada::77"
AGENT = "Zebrafinch/1"


@pytest.fixture(scope="module")
async def hasty(postgres: EmbeddedPostgres) -> AsyncGenerator[Api]:
    """A platform where an erasure cannot be undone, and clients have addresses of their own."""
    async with run_api(
        await make_database(postgres), OPERIS_ERASURE_UNDO_DAYS="0", OPERIS_TRUSTED_PROXIES="127.0.0.0/8"
    ) as running:
        yield running


async def assert_gone(api: Api, user_id: str) -> None:
    for _ in range(JOB_SECONDS):
        rows = await api.database.fetch("SELECT status FROM users WHERE id = $1::uuid", user_id)
        if rows[0]["status"] == "erased":
            return
        await asyncio.sleep(1)
    raise AssertionError("nobody erased them")


async def find_text(database: Database, words: tuple[str, ...]) -> list[str]:
    """Return every text of every table that has one of the words in it."""
    columns = await database.fetch(
        "SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t "
        "USING (table_schema, table_name) WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE' "
        "AND c.data_type IN ('text', 'character varying', 'character', 'USER-DEFINED', 'jsonb', 'json', 'ARRAY') "
        "ORDER BY 1, 2"
    )
    assert len(columns) > 100
    found: list[str] = []
    for row in columns:
        table, column = row["table_name"], row["column_name"]
        for word in words:
            hits = await database.fetch(
                f"SELECT {column}::text FROM {table} WHERE strpos(lower({column}::text), lower($1)) > 0 LIMIT 3", word
            )
            found += [f"{table}.{column}: {hit[0]}" for hit in hits]
    return found


PROGRAMS = "client_agent"
"""Of usage records: what called is no word about who did, and changing it would break the ledger's chain."""


async def live(api: Api, admin: AsyncOperis) -> tuple[Account, tuple[str, ...]]:
    """Return somebody who left a word everywhere a person can, and the words."""
    team = await share(await sign_up(api, name="Somebody Else"))
    own_agent = api.http.headers["user-agent"]
    api.http.headers.update({"x-forwarded-for": ADDRESS, "user-agent": AGENT})
    ada = await sign_up(api, name="Quagga Lovelace")
    alone = await share(ada, name="Quagga Engines")
    gone = await ada.client.create_organization(name="Quagga and Daughters")
    await ada.client.delete_organization(gone.id)
    await team.client.invite_member(team.organization_id, email=ada.email, role="viewer")
    await ada.client.update_me(name="Quagga King")
    await ada.client.update_organization(ada.organization_id, name="Quagga at home")
    await ada.client.name_session((await ada.client.list_sessions()).items[0].id, name="Quagga's laptop")
    email = f"quagga.{new_email()}"
    await ada.client.change_address(email=email)
    mail = await read_mail(api, email, "Confirm your new address")
    await api.client().confirm_address(token=token_in(mail.text))
    sent = await team.client.invite_member(team.organization_id, email=email, role="developer")
    await ada.client.accept_invitation(token=token_of(sent))
    await alone.client.invite_member(alone.organization_id, email=new_email(), role="viewer")
    for at in (ada.client, alone.client, ada.client.for_organization(team.organization_id)):
        minted = await at.mint_key(name="Quagga's key", cidrs=["2001:db8:ada::/48"])
        await at.update_key(minted.key.id, name="Quagga's other key")
    secret = (await ada.client.mint_key(name="Quagga's third key")).secret
    await api.client(secret).create_chat_completion(BODY)
    await api.client(secret).list_gateway_models()
    await api.client().forgot_password(email=email)
    api.http.headers.pop("x-forwarded-for")
    api.http.headers["user-agent"] = own_agent
    await admin.impersonate_user(ada.user_id, reason="Ticket 7")
    await admin.update_user(ada.user_id, locale="vi", reason="Asked for")
    words = ("quagga", ada.email, email, ADDRESS, "2001:db8:ada", AGENT)
    return Account(ada.client, ada.user_id, ada.organization_id, email), words


async def test_no_text_of_any_table_has_a_word_of_somebody_erased(hasty: Api) -> None:
    admin = await hasty.admin()
    ada, words = await live(hasty, admin)
    tables = {found.partition(":")[0] for found in await find_text(hasty.database, words)}
    assert {"users.email", "sessions.name", "mails.recipient", "api_keys.name", "invitations.email"} <= tables
    await ada.client.erase_me()
    await assert_gone(hasty, ada.user_id)
    left = await find_text(hasty.database, words)
    assert "\n".join(one for one in left if PROGRAMS not in one) == ""
    assert await hasty.database.fetch("SELECT 1 FROM person_keys WHERE user_id = $1::uuid", ada.user_id) == []


async def test_what_stays_of_somebody_erased_is_whole_and_nobodys(hasty: Api) -> None:
    admin = await hasty.admin()
    ada, _ = await live(hasty, admin)
    await ada.client.erase_me()
    await assert_gone(hasty, ada.user_id)
    assert [row for query in AUDIT_INVARIANTS.values() for row in await hasty.database.fetch(query)] == []
    assert await hasty.database.broken_invariants() == []
    records = await hasty.database.fetch("SELECT charge_nano FROM usage_records WHERE user_id = $1::uuid", ada.user_id)
    assert len(records) == 1
    row = await admin.get_user(ada.user_id)
    assert (row.status, row.name, row.email) == ("erased", "Erased", f"erased-{ada.user_id}@erased.invalid")
    events = (await admin.list_audit(actor_id=ada.user_id, limit=200)).items
    assert len(events) > 10
    assert {(event.address, event.agent) for event in events} == {(None, None)}
    with refused(401, "invalid_credentials"):
        await hasty.client().login(email=ada.email, password=PASSWORD)
    with refused(409, "erased"):
        await admin.update_user(ada.user_id, status="active", reason="Come back")
    again = await hasty.client().register(email=ada.email, password=PASSWORD, name="Quagga Again")
    assert again.user.id != ada.user_id


async def test_where_calls_came_from_is_shown_until_their_caller_is_erased(hasty: Api) -> None:
    ada = await sign_up(hasty)
    admin = await hasty.admin()
    secret = await mint(ada)
    await hasty.client(secret).create_chat_completion(BODY)
    await hasty.client(ada.client.token).create_chat_completion(BODY)
    requests = (await ada.client.list_requests()).items
    assert [(await ada.client.explain_request(one.id)).client_address for one in requests] == ["127.0.0.1"] * 2
    assert (await ada.client.list_keys()).items[0].last_address == "127.0.0.1"
    stored = await hasty.database.fetch(
        "SELECT client_address FROM usage_records WHERE user_id = $1::uuid", ada.user_id
    )
    assert all("127.0.0.1" not in row["client_address"] for row in stored)
    document = await ada.client.export_me()
    assert {row["client_address"] for row in document.tables["requests"]} == {"127.0.0.1"}
    await ada.client.erase_me()
    await assert_gone(hasty, ada.user_id)
    for one in requests:
        explained = await admin.explain_admin_request(ada.organization_id, one.id)
        assert (explained.client_address, explained.request.id) == (None, one.id)


async def test_everything_of_theirs_ends_at_the_asking_and_signing_in_offers_to_undo(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account
) -> None:
    secret = await mint(ada)
    service = (await ada.client.mint_key(name="ci", service=True)).secret
    for running in (api, second_api):
        await running.client(secret).create_chat_completion(BODY)
    pending = await ada.client.erase_me()
    assert timedelta(days=13) < pending.erase_at - datetime.now(UTC) <= timedelta(days=14)
    for running in (api, second_api):
        for key in (secret, service):
            with refused(401, "invalid_api_key"):
                await running.client(key).create_chat_completion(BODY)
        with refused(401, "unauthenticated"):
            await running.client(ada.client.token).get_me()
        with refused(403, "erasure_pending") as refusal:
            await running.client().login(email=ada.email, password=PASSWORD)
        assert datetime.fromisoformat(str(refusal.error.facts["erase_at"])) == pending.erase_at
    with refused(401, "invalid_credentials"):
        await api.client().login(email=ada.email, password="not the password")
    await read_mail(api, ada.email, "Your account is about to be erased")
    row = await admin.get_user(ada.user_id)
    assert (row.status, row.erase_at) == ("erasing", pending.erase_at)
    with refused(403, "erasure_pending"):
        await admin.update_user(ada.user_id, status="active", reason="Come back")

    with refused(401, "invalid_credentials"):
        await api.client().undo_erasure(email=ada.email, password="not the password")
    await api.client().undo_erasure(email=ada.email, password=PASSWORD)
    with refused(409, "not_erasing"):
        await api.client().undo_erasure(email=ada.email, password=PASSWORD)
    back = await api.sign_in(ada.email, PASSWORD)
    assert (await back.get_me()).user.name == "Ada Lovelace"
    assert {key.status for key in (await back.list_keys()).items} == {"revoked"}


async def test_a_suspension_of_before_goes_on_after_an_undo(api: Api, ada: Account) -> None:
    admin = await api.admin()
    await admin.update_user(ada.user_id, status="suspended", reason="Abuse")
    await admin.erase_user(ada.user_id, reason="Asked for by mail")
    await admin.undo_user_erasure(ada.user_id, reason="Asked for by mail")
    row = await admin.get_user(ada.user_id)
    assert (row.status, row.suspended_reason, row.erase_at) == ("suspended", "Abuse", None)


async def test_whoever_owns_an_organization_with_others_hands_it_on_first(api: Api) -> None:
    owner = await share(await sign_up(api))
    heir = await join(api, owner, "admin")
    with refused(409, "owns_organizations") as refusal:
        await owner.client.erase_me(forfeit_credits=True)
    assert refusal.error.facts["organizations"] == [owner.organization_id]
    await owner.client.transfer_organization(owner.organization_id, user_id=heir.user_id)
    await owner.client.erase_me()
    members = (await heir.client.list_members(owner.organization_id)).items
    assert {member.status for member in members} == {"active", "erasing"}


async def test_credits_of_ones_own_are_lost_only_where_that_is_said(api: Api, admin: AsyncOperis, ada: Account) -> None:
    await set_balance(admin, ada, "2")
    with refused(409, "credits_left") as refusal:
        await ada.client.erase_me()
    assert refusal.error.facts["credits"] == "2"
    with refused(409, "credits_left"):
        await (await api.admin()).erase_user(ada.user_id, reason="Asked for by mail")
    assert (await ada.client.get_me()).user.status == "active"
    await ada.client.erase_me(forfeit_credits=True)


async def test_open_calls_come_first(api: Api, ada: Account) -> None:
    await api.database.fetch(
        "INSERT INTO holds (organization_id, id, created_at, lease_until, amount_nano, grant_ids, grant_amounts_nano, "
        "user_id, model_id, price_id, streamed, prompt_tokens) SELECT $1::uuid, gen_random_uuid(), now(), "
        "now() + interval '1 minute', 0, '{}', '{}', $2::uuid, 'operis/echo', id, false, 0 FROM prices LIMIT 1",
        ada.organization_id,
        ada.user_id,
    )
    with refused(409, "calls_running"):
        await ada.client.erase_me()
    await api.database.fetch("DELETE FROM holds WHERE user_id = $1::uuid", ada.user_id)
    await ada.client.erase_me()


async def test_operators_give_their_role_up_first_and_nobody_erases_them(api: Api, ada: Account) -> None:
    admin = await api.admin()
    await admin.grant_role(ada.user_id, role="finance", reason="Joined the team")
    with refused(409, "still_operator"):
        await ada.client.erase_me()
    with refused(409, "still_operator"):
        await admin.erase_user(ada.user_id, reason="A coup")
    with refused(409, "not_yourself"):
        await admin.erase_user((await admin.get_me()).user.id, reason="Tired")
    await admin.grant_role(ada.user_id, role="user", reason="Left the team")
    await ada.client.erase_me()


async def test_it_asks_for_a_recent_proof(api: Api, ada: Account) -> None:
    await api.database.fetch(
        "UPDATE sessions SET authenticated_at = now() - interval '11 minutes' WHERE user_id = $1::uuid", ada.user_id
    )
    with refused(403, "step_up_required"):
        await ada.client.erase_me()
    with refused(403, "step_up_required"):
        await ada.client.export_me()
    await ada.client.step_up(password=PASSWORD)
    await ada.client.export_me()
    await ada.client.erase_me()


async def test_of_two_askings_at_once_one_counts(api: Api, ada: Account) -> None:
    answers = await asyncio.gather(ada.client.erase_me(), ada.client.erase_me(), return_exceptions=True)
    assert sum(isinstance(answer, Exception) for answer in answers) == 1, answers
    await read_mail(api, ada.email, "Your account is about to be erased")
    events = await api.database.fetch(
        "SELECT 1 FROM audit_events WHERE target_id = $1 AND action = 'user.ask_erasure'", ada.user_id
    )
    assert len(events) == 1


async def test_after_the_undo_period_it_cannot_be_undone(api: Api, admin: AsyncOperis, ada: Account) -> None:
    await ada.client.erase_me()
    await api.database.fetch("UPDATE users SET erase_at = now() WHERE id = $1::uuid", ada.user_id)
    with refused(409, "not_erasing"):
        await api.client().undo_erasure(email=ada.email, password=PASSWORD)


KEPT = {
    "audit_events": "sealed, or ids",
    "holds": "gone before anybody is erased",
    "ledger_checks": "who asked for one: operators' ids",
    "person_keys": "destroyed with the rest",
    "postings": "ids",
    "usage_records": "a pseudonym, sealed with the charge",
}
"""Tables that know of users and are no line of `leaving/personal.py`, and why."""
ABOUT_PEOPLE = {"user_id", "operator_id", "actor_id", "email", "recipient", "accepted_by", "owner_id", "caller_id"}


def test_every_table_that_knows_of_people_says_what_becomes_of_it() -> None:
    knowing = {name for name, table in metadata.tables.items() if ABOUT_PEOPLE & set(table.columns.keys())}
    assert knowing - set(ERASURES) == set(KEPT)


async def test_nobody_joins_an_organization_whose_owner_leaves_in_that_moment(api: Api) -> None:
    for _ in range(3):
        owner = await share(await sign_up(api))
        grace = await sign_up(api)
        sent = await owner.client.invite_member(owner.organization_id, email=grace.email, role="admin")
        asked, joined = await asyncio.gather(
            owner.client.erase_me(), grace.client.accept_invitation(token=token_of(sent)), return_exceptions=True
        )
        assert isinstance(asked, ApiError) is not isinstance(joined, ApiError), (asked, joined)
        refusal = asked if isinstance(asked, ApiError) else joined
        assert isinstance(refusal, ApiError)
        assert refusal.code in {"owns_organizations", "invitation_over"}
