"""Suspensions that end by themselves, corrections of a profile, and second factors somebody lost."""

import asyncio
import base64
import time
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import UNSET

from operis_api.credentials.totp import STEP_SECONDS, code_at
from operis_client import AsyncOperis
from tests.factories import PASSWORD, Account, join, mint, share, sign_up
from tests.reading_mail import read_mail
from tests.refusing import refused
from tests.running import Api

BODY = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}


async def test_a_suspension_ends_by_itself_in_every_process(
    api: Api, second_api: Api, ada: Account, admin: AsyncOperis
) -> None:
    secret = await mint(ada)
    for running in (api, second_api):  # so that both know the key
        await running.client(secret).create_chat_completion(BODY)
    end = datetime.now(UTC) + timedelta(seconds=3)
    row = await admin.update_user(ada.user_id, status="suspended", suspended_until=end, reason="Cooling down")
    assert (row.status, row.suspended_until, row.suspended_reason) == ("suspended", end, "Cooling down")
    for running in (api, second_api):
        with refused(403, "suspended"):
            await running.client(secret).create_chat_completion(BODY)
    with refused(403, "suspended") as refusal:
        await api.sign_in(ada.email, PASSWORD)
    assert datetime.fromisoformat(str(refusal.error.facts["until"])) == end
    await asyncio.sleep((end - datetime.now(UTC)).total_seconds() + 0.2)
    for running in (second_api, api):
        await running.client(secret).create_chat_completion(BODY)
    row = await admin.get_user(ada.user_id)
    assert (row.status, row.suspended_until, row.suspended_reason) == ("active", None, None)
    with refused(401, "unauthenticated"):  # the sessions of before stay ended
        await ada.client.get_me()
    assert (await (await api.sign_in(ada.email, PASSWORD)).get_me()).user.status == "active"


async def test_an_ended_suspension_is_over_wherever_it_is_read_before_anybody_lifted_it(
    api: Api, admin: AsyncOperis
) -> None:
    owner = await share(await sign_up(api))
    grace = await join(api, owner, "viewer")
    end = datetime.now(UTC) + timedelta(seconds=1)
    await admin.update_user(grace.user_id, status="suspended", suspended_until=end, reason="A pause")
    await asyncio.sleep(1.2)
    stored = await api.database.fetch("SELECT status FROM users WHERE id = $1::uuid", grace.user_id)
    assert stored[0]["status"] == "suspended"
    members = (await owner.client.list_members(owner.organization_id)).items
    assert {member.status for member in members} == {"active"}
    assert (await admin.get_user(grace.user_id)).status == "active"
    await api.client().forgot_password(email=grace.email)
    await read_mail(api, grace.email, "Set a new password")
    assert (await api.sign_in(grace.email, PASSWORD)).token


async def test_a_suspension_is_made_longer_shorter_and_lifted(api: Api, ada: Account, admin: AsyncOperis) -> None:
    for end in (datetime.now(UTC) + timedelta(days=1), datetime.now(UTC) + timedelta(hours=1), None):
        row = await admin.update_user(ada.user_id, status="suspended", suspended_until=end, reason="Abuse")
        assert row.suspended_until == end
    row = await admin.update_user(ada.user_id, status="active", reason="Resolved")
    assert (row.status, row.suspended_until, row.suspended_reason) == ("active", None, None)
    assert (await api.sign_in(ada.email, PASSWORD)).token


@pytest.mark.parametrize("status", ["suspended", "active", None])
async def test_an_end_that_is_past_or_of_no_suspension_is_refused(
    api: Api, ada: Account, admin: AsyncOperis, status: str | None
) -> None:
    off = timedelta(seconds=-1) if status == "suspended" else timedelta(hours=1)
    with refused(422, "invalid_field") as refusal:
        await admin.update_user(
            ada.user_id, status=status or UNSET, suspended_until=datetime.now(UTC) + off, name="Ada", reason="Abuse"
        )
    assert refusal.error.facts["field"] == "suspended_until"
    assert (await admin.get_user(ada.user_id)).name == "Ada Lovelace"


async def test_name_and_language_are_corrected_and_the_log_says_what_they_were(
    ada: Account, admin: AsyncOperis
) -> None:
    row = await admin.update_user(ada.user_id, name=" Ada  King ", locale="vi", reason="Asked for by mail")
    assert (row.name, row.locale) == ("Ada King", "vi")
    me = await ada.client.get_me()
    assert (me.user.name, me.user.locale) == ("Ada King", "vi")
    event = (await admin.list_audit(target_id=ada.user_id, action="user.update")).items[0]
    assert ((event.before or {})["name"], (event.after or {})["name"]) == ("Ada Lovelace", "Ada King")
    with refused(422, "invalid_field"):
        await admin.update_user(ada.user_id, name="\u200b", reason="Nothing to see")


async def guard(ada: Account) -> None:
    shown = (await ada.client.enrol_second_factor()).secret
    secret = base64.b32decode(shown + "=" * (-len(shown) % 8))
    await ada.client.confirm_second_factor(code=code_at(secret, int(time.time()) // STEP_SECONDS))


async def test_a_lost_second_factor_is_turned_off_and_its_owner_told(api: Api, ada: Account) -> None:
    await guard(ada)
    admin = await api.admin()
    assert (await admin.get_user(ada.user_id)).second_factor
    await admin.remove_user_second_factor(ada.user_id, reason="Lost the telephone; seen the passport")
    assert not (await admin.get_user(ada.user_id)).second_factor
    assert not (await api.client().login(email=ada.email, password=PASSWORD)).mfa_required
    await read_mail(api, ada.email, "Two-factor sign-in was turned off for you")
    with refused(409, "second_factor_missing"):
        await admin.remove_user_second_factor(ada.user_id, reason="Once more")


async def test_turning_off_anothers_second_factor_asks_for_a_recent_proof(api: Api, ada: Account) -> None:
    await guard(ada)
    operator = await sign_up(api)
    await (await api.admin()).grant_role(operator.user_id, role="support", reason="Joined the team")
    await api.database.fetch(
        "UPDATE sessions SET authenticated_at = now() - interval '11 minutes' WHERE user_id = $1::uuid",
        operator.user_id,
    )
    with refused(403, "step_up_required"):
        await operator.client.remove_user_second_factor(ada.user_id, reason="Lost")
    await operator.client.step_up(password=PASSWORD)
    await operator.client.remove_user_second_factor(ada.user_id, reason="Lost")


async def test_only_a_superadmin_turns_off_an_operators_and_nobody_their_own(api: Api, ada: Account) -> None:
    admin = await api.admin()
    await guard(ada)
    await admin.grant_role(ada.user_id, role="superadmin", reason="Joined the team")
    with refused(409, "not_yourself"):
        await ada.client.remove_user_second_factor(ada.user_id, reason="Mine")
    support = await sign_up(api)
    await admin.grant_role(support.user_id, role="support", reason="Joined the team")
    with refused(403, "forbidden"):
        await support.client.remove_user_second_factor(ada.user_id, reason="A coup")
    await admin.grant_role(ada.user_id, role="user", reason="Left the team")
