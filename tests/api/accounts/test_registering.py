"""Signing up, in development and in production."""

import asyncio

import httpx
import pytest

from operis_db.embedded import EmbeddedPostgres
from tests.factories import PASSWORD, new_email, sign_up
from tests.refusing import refused
from tests.running import Api, make_database, run_api


async def test_signing_up_makes_a_user_with_an_organization_and_the_welcome_grant(api: Api) -> None:
    email = new_email()
    client = api.client()
    me = await client.register(email=f"  {email} ", password=PASSWORD, name="  Ada   Lovelace ")
    assert (me.user.email, me.user.name, me.user.role, me.user.status) == (email, "Ada Lovelace", "user", "active")
    assert (me.organization.name, me.organization.role) == ("Ada Lovelace", "owner")
    assert [found.id for found in me.organizations] == [me.organization.id]

    client.token = (await client.login(email=email, password=PASSWORD)).access_token
    wallet = await client.get_wallet()
    assert (wallet.available, wallet.held, wallet.free_window) == ("1", "0", None)
    assert [(grant.source, grant.amount, grant.remaining) for grant in wallet.grants] == [("bonus", "1", "1")]
    entries = (await client.list_wallet_entries()).items
    assert [(entry.kind, entry.amount, entry.sequence, entry.request_id) for entry in entries] == [
        ("welcome", "1", 1, None)
    ]
    assert (await client.get_me()) == me


async def test_one_address_is_one_account_whatever_its_case(api: Api) -> None:
    email = new_email()
    await api.client().register(email=email, password=PASSWORD, name="Ada")
    with refused(409, "email_taken"):
        await api.client().register(email=email.upper(), password="another long password", name="Eve")
    assert (await api.sign_in(email.upper(), PASSWORD)).token


async def test_twenty_sign_ups_with_one_address_at_once_make_one_account(api: Api) -> None:
    email = new_email()

    async def register() -> int:
        answer = await api.http.post(
            f"{api.base_url}/api/v1/auth/register", json={"email": email, "password": PASSWORD, "name": "Ada"}
        )
        return answer.status_code

    statuses = await asyncio.gather(*(register() for _ in range(20)))
    assert sorted(statuses) == [201, *[409] * 19]
    rows = await api.database.fetch(
        "SELECT count(*) FROM users u JOIN organizations o ON o.owner_id = u.id WHERE u.email = $1", email
    )
    assert rows[0]["count"] == 1


@pytest.mark.parametrize(
    "password",
    ["short77", "aaaabbbbaaaa", "a" * 257, "password", "Password1", "12345678", "qwertyuiop"],
)
async def test_a_password_that_is_easy_to_guess_is_refused(api: Api, password: str) -> None:
    with refused(422, "weak_password") as refusal:
        await api.client().register(email=new_email(), password=password, name="Ada")
    assert refusal.error.facts["field"] == "password"


async def test_the_address_itself_is_no_password(api: Api) -> None:
    email = new_email()
    with refused(422, "weak_password"):
        await api.client().register(email=email, password=email.upper(), name="Ada")


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "a b@example.com",
        "ada@exam ple.com",
        "ada@@example.com",
        "ada@example.com\nbcc: eve@example.com",
        "Ada <ada@example.com>",
        "ada@example.com,eve@example.com",
        "ada\x00@example.com",
        f"{'a' * 65}@example.com",
        f"ada@{'a' * 250}.com",
    ],
)
async def test_what_is_no_address_is_refused(api: Api, email: str) -> None:
    with refused(422, "invalid_email"):
        await api.client().register(email=email, password=PASSWORD, name="Ada")


@pytest.mark.parametrize("name", ["", "   ", "a" * 121, "Ada\x00", "Ada\x1b[31m", "Ada\u202e"])
async def test_a_name_that_cannot_be_shown_is_refused(api: Api, name: str) -> None:
    with refused(422, "invalid_field") as refusal:
        await api.client().register(email=new_email(), password=PASSWORD, name=name)
    assert refusal.error.facts["field"] == "name"


@pytest.mark.parametrize(
    "extra",
    [
        {"role": "admin"},
        {"balance": "100"},
        {"email_verified": True},
        {"email_verified_at": "2026-01-01T00:00:00Z"},
        {"id": "00000000-0000-7000-8000-000000000009"},
        {"organization_id": "00000000-0000-7000-8000-000000000009"},
        {"status": "active"},
    ],
)
async def test_a_field_that_is_not_for_the_caller_to_set_is_refused(api: Api, extra: dict[str, object]) -> None:
    email = new_email()
    answer = await api.http.post(
        f"{api.base_url}/api/v1/auth/register",
        json={"email": email, "password": PASSWORD, "name": "Ada", **extra},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert await api.database.fetch("SELECT id FROM users WHERE email = $1", email) == []


@pytest.mark.parametrize("missing", ["email", "password", "name"])
async def test_a_missing_field_is_named(api: Api, missing: str) -> None:
    body = {"email": new_email(), "password": PASSWORD, "name": "Ada"}
    del body[missing]
    answer = await api.http.post(f"{api.base_url}/api/v1/auth/register", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert missing in str(answer.json())


async def test_a_user_changes_their_own_name_and_nothing_else(api: Api) -> None:
    ada = await sign_up(api)
    assert (await ada.client.update_me(name="Ada King")).user.name == "Ada King"
    assert (await ada.client.get_me()).user.name == "Ada King"
    for field in ({"role": "admin"}, {"email": "eve@example.com"}, {"status": "active"}):
        answer = await api.http.patch(
            f"{api.base_url}/api/v1/me",
            json={"name": "Ada", **field},
            headers={"authorization": f"Bearer {ada.client.token}"},
        )
        assert answer.status_code == 400
    assert (await ada.client.get_me()).user.name == "Ada King"


async def test_in_production_signing_in_and_the_welcome_grant_wait_for_the_verified_address(production: Api) -> None:
    email = new_email()
    me = await production.client().register(email=email, password=PASSWORD, name="Ada")
    with refused(403, "email_unverified"):
        await production.sign_in(email, PASSWORD)
    with refused(401, "invalid_credentials"):  # who does not know the password learns nothing
        await production.sign_in(email, "not the password")

    admin = await production.admin()
    row = await admin.get_user(me.user.id)
    assert (row.email_verified, row.available) == (False, "0")
    verified = await admin.update_user(me.user.id, email_verified=True, reason="Seen their passport")
    assert (verified.email_verified, verified.available) == (True, "1")
    again = await admin.update_user(me.user.id, email_verified=True, reason="Once more")
    assert (again.email_verified, again.available) == (True, "1")

    ada = await production.sign_in(email, PASSWORD)
    assert [entry.kind for entry in (await ada.list_wallet_entries()).items] == ["welcome"]
    assert "operis/echo" not in [model.id for model in (await ada.list_models()).items]


async def test_an_address_is_never_unverified_by_the_route_that_verifies(production: Api) -> None:
    me = await production.client().register(email=new_email(), password=PASSWORD, name="Ada")
    with refused(400, "invalid_request"):
        await (await production.admin()).update_user(me.user.id, email_verified=False, reason="Changed my mind")


async def test_production_answers_tell_browsers_to_stay_on_https(production: Api, api: Api) -> None:
    answer = await production.http.get(f"{production.base_url}/healthz")
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert "strict-transport-security" not in (await api.http.get(f"{api.base_url}/healthz")).headers


@pytest.mark.parametrize("registration", ["closed", "invite"])
async def test_where_sign_up_is_not_open_nobody_signs_up(postgres: EmbeddedPostgres, registration: str) -> None:
    database = await make_database(postgres)
    async with run_api(database, OPERIS_REGISTRATION=registration) as running:
        with refused(403, "registration_closed"):
            await running.client().register(email=new_email(), password=PASSWORD, name="Ada")
        assert (await running.client().get_readiness()).registration == registration
        assert (await database.fetch("SELECT count(*) FROM users"))[0]["count"] == 1


async def test_a_body_may_come_as_json_alone(api: Api) -> None:
    answer: httpx.Response = await api.http.post(
        f"{api.base_url}/api/v1/auth/register",
        data={"email": new_email(), "password": PASSWORD, "name": "Ada"},
    )
    assert answer.status_code == 400
