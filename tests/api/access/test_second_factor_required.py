"""Where operators need a second factor, one without it gets as far as enrolling it."""

import time
from collections.abc import AsyncGenerator

import pytest

from operis_api.credentials.totp import STEP_SECONDS, code_at
from operis_client import AsyncOperis
from operis_db.embedded import EmbeddedPostgres
from tests.api.accounts.test_second_factor import code_of, secret_of
from tests.factories import Account, mint, sign_up
from tests.habits.walking import PRIVATE, Operation, name_of, send
from tests.refusing import refused
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, Api, make_database, run_api

LEADS_TO_IT = {
    "get_me",
    "step_up",
    "logout",
    "logout_all",
    "get_second_factor",
    "enrol_second_factor",
    "confirm_second_factor",
    "begin_passkey_step_up",
    "list_passkeys",
    "begin_passkey",
    "add_passkey",
}


@pytest.fixture(scope="module")
async def strict(postgres: EmbeddedPostgres) -> AsyncGenerator[Api]:
    async with run_api(await make_database(postgres), OPERIS_OPERATORS_NEED_SECOND_FACTOR="1") as running:
        yield running


@pytest.fixture(scope="module")
async def operator(strict: Api) -> Account:
    return await promote(strict, "superadmin")


async def promote(strict: Api, role: str) -> Account:
    """Return somebody signed in whose role has just become that."""
    person = await sign_up(strict)
    await strict.database.fetch("UPDATE users SET role = $2 WHERE id = $1::text::uuid", person.user_id, role)
    return person


@pytest.mark.parametrize("operation", PRIVATE, ids=name_of)
async def test_every_route_that_does_not_lead_to_it_says_where_it_is(
    strict: Api, operator: Account, operation: Operation
) -> None:
    if operation.name.startswith("logout"):
        operator = await promote(strict, "superadmin")
    values = {"model_id": "operis/echo", "organization_id": operator.organization_id}
    answer = await send(strict, operation, token=operator.client.token, values=values)
    required = "second_factor_required" in answer.text
    assert required is (operation.name not in LEADS_TO_IT), answer.text
    if required:
        assert answer.status_code == 403
        assert "/api/v1/me/mfa/totp" in answer.text


async def test_enrolling_opens_everything_at_once_and_turning_it_off_closes_it(strict: Api) -> None:
    operator = await promote(strict, "superadmin")
    with refused(403, "second_factor_required"):
        await operator.client.list_users()
    enrolment = await operator.client.enrol_second_factor()
    with refused(403, "second_factor_required"):  # asked for is not enrolled
        await operator.client.list_users()
    await operator.client.confirm_second_factor(code=code_of(enrolment.secret, -1))
    assert (await operator.client.list_users()).items
    signed_in = await second_sign_in(strict, operator, enrolment.secret)
    assert (await signed_in.list_users()).items
    await signed_in.remove_second_factor()
    with refused(403, "second_factor_required"):
        await operator.client.list_users()


async def second_sign_in(api: Api, operator: Account, secret: str) -> AsyncOperis:
    asked = await api.client().login(email=operator.email, password="a long enough password")
    assert asked.mfa_required
    code = code_at(secret_of(secret), int(time.time()) // STEP_SECONDS)
    return api.client((await api.client().verify_second_factor(mfa_token=asked.mfa_token, code=code)).access_token)


async def test_customers_are_not_asked(strict: Api) -> None:
    ada = await sign_up(strict)
    assert (await ada.client.list_keys()).items == []
    assert await mint(ada)


async def test_who_becomes_an_operator_needs_one_from_the_next_request_on(strict: Api) -> None:
    grace = await sign_up(strict)
    secret = await mint(grace)
    await strict.database.fetch("UPDATE users SET role = 'support' WHERE id = $1::text::uuid", grace.user_id)
    with refused(403, "second_factor_required"):
        await grace.client.list_keys()
    answer = await strict.openai(secret).chat.completions.create(
        model="operis/echo", messages=[{"role": "user", "content": "hi"}]
    )
    assert answer.choices, "programs go on to work"


async def test_where_it_is_not_set_nobody_is_asked(api: Api) -> None:
    client = api.client()
    client.token = (await client.login(email=ADMIN_EMAIL, password=ADMIN_PASSWORD)).access_token
    assert (await client.list_users()).items
