"""Operators who look at the product as one of its users: for a while, named, and changing nothing."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from operis_client import AsyncOperis
from operis_client.models import AuditRow
from tests.factories import PASSWORD, Account, at_work, share, sign_up
from tests.reading_mail import read_mail
from tests.refusing import refused
from tests.running import ADMIN_EMAIL, Api

NOTED_SECONDS = 20


@dataclass(frozen=True)
class Looking:
    """A support operator of this test's own, who looks as somebody."""

    operator: Account
    as_them: AsyncOperis
    token: str
    expires_at: datetime


async def make_operator(api: Api, role: str = "support") -> Account:
    operator = await sign_up(api, name="Grace Hopper")
    await (await api.admin()).grant_role(operator.user_id, role=role, reason="Joined the team")
    return operator


async def look_as(api: Api, person: Account) -> Looking:
    operator = await make_operator(api)
    started = await operator.client.impersonate_user(person.user_id, reason="Ticket 7")
    return Looking(operator, api.client(started.token), started.token, started.expires_at)


async def assert_ended(looking: Looking, *apis: Api) -> None:
    for running in apis:
        with refused(401, "unauthenticated"):
            await running.client(looking.token).get_me()


async def test_who_impersonates_sees_what_the_user_sees_and_is_named_beside_them(
    api: Api, second_api: Api, ada: Account
) -> None:
    shared = await share(ada)
    await shared.client.mint_key(name="laptop")
    looking = await look_as(api, ada)
    for running in (api, second_api):
        me = await running.client(looking.token).get_me()
        assert (me.user.id, me.organization.id) == (ada.user_id, ada.organization_id)
        by = me.impersonated_by
        assert by is not None
        assert (by.id, by.email, by.name) == (looking.operator.user_id, looking.operator.email, "Grace Hopper")
        assert by.expires_at == looking.expires_at
    assert timedelta(minutes=14) < looking.expires_at - datetime.now(UTC) <= timedelta(minutes=15)
    keys = await at_work(looking.as_them, shared.organization_id).list_keys()
    assert [key.name for key in keys.items] == ["laptop"]
    assert (await ada.client.get_me()).impersonated_by is None
    claims = jwt.decode(looking.token, options={"verify_signature": False})
    assert (claims["typ"], claims["sub"], claims["act"]) == (
        "impersonation",
        ada.user_id,
        {"sub": looking.operator.user_id},
    )


async def test_nothing_is_changed_by_it(api: Api, ada: Account) -> None:
    looking = await look_as(api, ada)
    for attempt in (
        looking.as_them.mint_key(name="mine"),
        looking.as_them.update_me(name="Mine"),
        looking.as_them.logout(),
        looking.as_them.step_up(password=PASSWORD),
        looking.as_them.impersonate_user(ada.user_id, reason="Again"),
    ):
        with refused(403, "impersonation_reads_only"):
            await attempt
    with refused(401, "unauthenticated"):
        await looking.as_them.create_chat_completion(
            {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}
        )
    assert (await ada.client.list_keys()).items == []


async def test_both_names_are_in_the_log_and_the_person_hears_of_it(api: Api, admin: AsyncOperis, ada: Account) -> None:
    looking = await look_as(api, ada)
    await looking.as_them.end_impersonation()
    rows = (await admin.list_audit(target_id=ada.user_id, action="impersonation")).items
    assert [row.action for row in rows] == ["impersonation.end", "impersonation.start"]
    for row in rows:
        assert (row.actor_email, row.as_user_email, row.as_user_id) == (
            looking.operator.email,
            ada.email,
            ada.user_id,
        )
    assert rows[1].reason == "Ticket 7"
    own = (await ada.client.list_organization_audit(ada.organization_id, action="impersonation")).items
    assert [(row.action, row.actor_email, row.actor_is_operator) for row in own] == [
        ("impersonation.end", None, True),
        ("impersonation.start", None, True),
    ]
    assert own[1].reason == "Ticket 7"
    await read_mail(api, ada.email, "The operator looked at your account")


async def test_it_ends_by_its_own_call_once(api: Api, second_api: Api, ada: Account) -> None:
    looking = await look_as(api, ada)
    await looking.as_them.end_impersonation()
    await assert_ended(looking, api, second_api)
    with refused(401, "unauthenticated"):
        await looking.as_them.end_impersonation()
    with refused(404, "not_found"):
        await ada.client.end_impersonation()


async def noted_ends(admin: AsyncOperis, ada: Account) -> list[AuditRow]:
    """Return the ends in the log, once a job has noted one."""
    for _ in range(NOTED_SECONDS * 5):
        if rows := (await admin.list_audit(target_id=ada.user_id, action="impersonation.end")).items:
            return rows
        await asyncio.sleep(0.2)
    raise AssertionError("the end is noted nowhere")


@pytest.mark.parametrize("end", ["sign out", "suspend the user", "suspend the operator", "demote", "promote", "time"])
async def test_it_ends_at_once_and_everywhere_with_what_it_rests_on(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account, end: str
) -> None:
    looking = await look_as(api, ada)
    for running in (api, second_api):
        await running.client(looking.token).get_me()
    operator_id = looking.operator.user_id
    match end:
        case "sign out":
            await looking.operator.client.logout()
        case "suspend the user":
            await admin.update_user(ada.user_id, status="suspended", reason="Abuse")
        case "suspend the operator":
            await admin.update_user(operator_id, status="suspended", reason="Abuse")
        case "demote":
            await admin.grant_role(operator_id, role="finance", reason="Moved")
        case "promote":
            await admin.grant_role(ada.user_id, role="read-only", reason="Joined the team")
        case _:
            await api.database.fetch(
                "UPDATE impersonations SET expires_at = now() WHERE operator_id = $1::uuid", operator_id
            )
    await assert_ended(looking, api, second_api)
    rows = await noted_ends(admin, ada)
    assert [(row.actor_id, row.as_user_id) for row in rows] == [(operator_id, ada.user_id)]
    assert rows[0].after == {"by": "time" if end == "time" else "its conditions"}


async def test_no_operator_is_impersonated_and_nobody_by_themselves(api: Api, admin: AsyncOperis) -> None:
    operator, other = await make_operator(api), await make_operator(api, "read-only")
    fresh = await api.admin()
    with refused(409, "operator_not_impersonated"):
        await fresh.impersonate_user(other.user_id, reason="Curious")
    with refused(409, "operator_not_impersonated"):
        await fresh.impersonate_user((await fresh.get_me()).user.id, reason="Curious")
    with refused(403, "forbidden"):
        await operator.client.impersonate_user(other.user_id, reason="Curious")
    assert (await admin.list_users(search=ADMIN_EMAIL)).items[0].status == "active"


async def test_nobody_suspended_is_impersonated(api: Api, admin: AsyncOperis, ada: Account) -> None:
    await admin.update_user(ada.user_id, status="suspended", reason="Abuse")
    with refused(403, "suspended"):
        await (await api.admin()).impersonate_user(ada.user_id, reason="Ticket 7")


async def test_it_asks_for_a_recent_proof_and_a_reason(api: Api, ada: Account) -> None:
    operator = await make_operator(api)
    await api.database.fetch(
        "UPDATE sessions SET authenticated_at = now() - interval '11 minutes' WHERE user_id = $1::uuid",
        operator.user_id,
    )
    with refused(403, "step_up_required"):
        await operator.client.impersonate_user(ada.user_id, reason="Ticket 7")
    await operator.client.step_up(password=PASSWORD)
    with refused(422, "invalid_field"):
        await operator.client.impersonate_user(ada.user_id, reason=" ")
    assert (await operator.client.impersonate_user(ada.user_id, reason="Ticket 7")).user_id == ada.user_id


async def test_an_organization_of_others_is_not_there_for_it_either(api: Api, ada: Account) -> None:
    other = await share(await sign_up(api))
    looking = await look_as(api, ada)
    with refused(404, "not_found"):
        await at_work(looking.as_them, other.organization_id).list_keys()
    with refused(404, "not_found"):
        await looking.as_them.get_organization(other.organization_id)
