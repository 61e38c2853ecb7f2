"""Guessing is slowed for whoever guesses, in every process at once, and not for whom they guess about."""

import asyncio
import secrets
from collections.abc import AsyncGenerator

import httpx
import pytest

from tests.factories import PASSWORD, new_email
from tests.fakes.mail_server import MailServer
from tests.reading_mail import receive, text_of, token_in
from tests.running import Api, run_api


@pytest.fixture(scope="session")
async def second_production(production: Api, production_settings: dict[str, str]) -> AsyncGenerator[Api]:
    async with run_api(production.database, **production_settings) as running:
        yield running


def new_network() -> str:
    return f"198.{secrets.randbelow(250)}.{secrets.randbelow(250)}.{secrets.randbelow(250)}"


async def post(api: Api, path: str, network: str, **body: str) -> httpx.Response:
    return await api.http.post(f"{api.base_url}/api/v1/auth/{path}", json=body, headers={"x-forwarded-for": network})


async def guess(api: Api, email: str, network: str, **more: str) -> httpx.Response:
    return await post(api, "login", network, email=email, password=f"wrong {secrets.token_hex(4)}", **more)


async def sign_up(production: Api, mail_server: MailServer) -> str:
    email = new_email()
    await production.client().register(email=email, password=PASSWORD, name="Ada")
    token = token_in(text_of(await receive(mail_server, email, "Confirm your address")))
    await production.client().verify_email(token=token)
    return email


async def test_after_ten_guesses_the_next_one_waits_and_the_right_password_too(
    production: Api, mail_server: MailServer
) -> None:
    email, network = await sign_up(production, mail_server), new_network()
    assert [(await guess(production, email, network)).status_code for _ in range(10)] == [401] * 10
    refusal = await guess(production, email, network)
    assert (refusal.status_code, refusal.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(refusal.headers["retry-after"]) <= 10
    assert (await post(production, "login", network, email=email, password=PASSWORD)).status_code == 429


async def test_an_unknown_address_is_throttled_alike(production: Api) -> None:
    email, network = new_email(), new_network()
    statuses = [(await guess(production, email, network)).status_code for _ in range(11)]
    assert statuses == [*[401] * 10, 429]


async def test_forty_guesses_at_once_in_two_processes_are_ten(
    production: Api, second_production: Api, mail_server: MailServer
) -> None:
    email, network = await sign_up(production, mail_server), new_network()
    answers = await asyncio.gather(
        *(guess((production, second_production)[nth % 2], email, network) for nth in range(40))
    )
    assert sorted(answer.status_code for answer in answers) == [*[401] * 10, *[429] * 30]


async def test_a_stranger_does_not_lock_the_owner_out(production: Api, mail_server: MailServer) -> None:
    email, office = await sign_up(production, mail_server), new_network()
    known = (await post(production, "login", office, email=email, password=PASSWORD)).json()["device_token"]
    stranger = new_network()
    for _ in range(11):
        await guess(production, email, stranger)
    elsewhere = await post(production, "login", new_network(), email=email, password=PASSWORD)
    assert elsewhere.status_code == 200

    for _ in range(70):  # and many strangers, from everywhere, the owner's own network among them
        await guess(production, email, new_network())
    for _ in range(11):
        await guess(production, email, office)
    body = {"email": email, "password": PASSWORD}
    assert (await post(production, "login", new_network(), **body)).status_code == 429
    assert (await post(production, "login", office, **body, device_token=known)).status_code == 200


async def test_a_known_device_has_a_budget_too(production: Api, mail_server: MailServer) -> None:
    email = await sign_up(production, mail_server)
    known = (await post(production, "login", new_network(), email=email, password=PASSWORD)).json()["device_token"]
    statuses = [(await guess(production, email, new_network(), device_token=known)).status_code for _ in range(11)]
    assert statuses == [*[401] * 10, 429]


async def test_a_device_of_somebody_else_or_of_nobody_is_not_known(production: Api, mail_server: MailServer) -> None:
    mine, theirs = await sign_up(production, mail_server), await sign_up(production, mail_server)
    token = (await post(production, "login", new_network(), email=mine, password=PASSWORD)).json()["device_token"]
    network = new_network()
    forged = f"{token.rpartition('.')[0]}.{'0' * 64}"
    for nth in range(10):
        await guess(production, theirs, network, device_token=(token, forged, "op-dt-", "\x00")[nth % 4])
    assert (await guess(production, theirs, network, device_token=token)).status_code == 429


async def test_a_new_password_by_mail_opens_the_account_again(production: Api, mail_server: MailServer) -> None:
    email, network = await sign_up(production, mail_server), new_network()
    for _ in range(11):
        await guess(production, email, network)
    await production.client().forgot_password(email=email)
    token = token_in(text_of(await receive(mail_server, email, "Set a new password")))
    answer = await post(production, "password/reset", network, token=token, new_password="quite another password")
    assert answer.status_code == 204
    body = {"email": email, "password": "quite another password"}
    assert (await post(production, "login", network, **body)).status_code == 200


async def test_one_network_tries_fifty_accounts_and_then_waits(production: Api) -> None:
    network = new_network()
    statuses = [(await guess(production, new_email(), network)).status_code for _ in range(51)]
    assert statuses == [*[401] * 50, 429]


async def test_the_addresses_of_one_ipv6_network_share_a_budget(production: Api) -> None:
    email, prefix = new_email(), f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}"
    statuses = [(await guess(production, email, f"{prefix}::{nth + 1:x}")).status_code for nth in range(11)]
    assert statuses == [*[401] * 10, 429]


async def test_who_makes_up_the_forwarded_address_is_seen_through(production: Api) -> None:
    """Only the last hop was written by a proxy of ours."""
    email, network = new_email(), new_network()
    statuses = [(await guess(production, email, f"{new_network()}, {network}")).status_code for _ in range(11)]
    assert statuses == [*[401] * 10, 429]


async def test_mail_to_one_address_is_throttled_wherever_it_is_asked_for(
    production: Api, mail_server: MailServer
) -> None:
    for email in (await sign_up(production, mail_server), new_email()):
        statuses = [
            (await post(production, "password/forgot", new_network(), email=email)).status_code for _ in range(4)
        ]
        assert statuses == [204, 204, 204, 429]
        assert (await post(production, "verify-email/resend", new_network(), email=email)).status_code == 429


async def test_one_network_signs_up_ten_people_and_then_waits(production: Api) -> None:
    network = new_network()

    async def register() -> int:
        return (await post(production, "register", network, email=new_email(), password="x", name="A")).status_code

    assert [await register() for _ in range(11)] == [*[422] * 10, 429]


async def test_made_up_links_are_throttled(production: Api) -> None:
    network = new_network()
    paths = ("verify-email", "address/confirm", "address/undo")
    answers = [await post(production, paths[nth % 3], network, token="op-ol-x") for nth in range(31)]
    assert [answer.status_code for answer in answers] == [*[400] * 30, 429]


async def test_in_development_loopback_may_try_two_hundred_times_a_minute(api: Api) -> None:
    email, waiting = new_email(), list(range(200))

    async def guess_on() -> set[int]:
        found = set[int]()
        while waiting:
            waiting.pop()
            found.add((await guess(api, email, "127.0.0.1")).status_code)
        return found

    assert await asyncio.gather(*(guess_on() for _ in range(8))) == [{401}] * 8


async def test_a_refused_sign_in_is_in_the_audit_log_and_the_log(production: Api, mail_server: MailServer) -> None:
    email, network = await sign_up(production, mail_server), new_network()
    await guess(production, email, network)
    rows = await production.database.fetch("SELECT id::text FROM users WHERE email = $1", email)
    audit = await (await production.admin()).list_audit(action="session.refuse", target_id=rows[0]["id"])
    assert [row.address for row in audit.items] == [network]
    assert "sign_in_refused" in production.log.read_text()
    assert email not in production.log.read_text()
