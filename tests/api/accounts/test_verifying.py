"""Proving an address, and the welcome grant that waits for it in production."""

import asyncio

import pytest

from operis_client import AsyncOperis
from tests.factories import PASSWORD, new_email
from tests.fakes.mail_server import MailServer
from tests.reading_mail import read_mail, receive, text_of, token_in
from tests.refusing import refused
from tests.running import Api

VERIFY = "Confirm your address"


async def sign_up(production: Api, server: MailServer, email: str) -> str:
    """Sign up in production and return the token that was mailed."""
    await production.client().register(email=email, password=PASSWORD, name="Ada")
    return token_in(text_of(await receive(server, email, VERIFY)))


async def available(client: AsyncOperis) -> str:
    return (await client.get_wallet()).available


async def test_the_mailed_link_opens_the_account_and_brings_the_welcome_grant(
    production: Api, mail_server: MailServer
) -> None:
    email = new_email()
    token = await sign_up(production, mail_server, email)
    with refused(403, "email_unverified"):
        await production.sign_in(email, PASSWORD)
    await production.client().verify_email(token=token)
    ada = await production.sign_in(email, PASSWORD)
    assert await available(ada) == "1"
    assert (await ada.get_me()).user.email_verified
    with refused(400, "invalid_link"):
        await production.client().verify_email(token=token)


async def test_twenty_clicks_at_once_bring_one_grant(production: Api, mail_server: MailServer) -> None:
    email = new_email()
    token = await sign_up(production, mail_server, email)

    async def click() -> int:
        answer = await production.http.post(f"{production.base_url}/api/v1/auth/verify-email", json={"token": token})
        return answer.status_code

    assert sorted(await asyncio.gather(*(click() for _ in range(20)))) == [204, *[400] * 19]
    ada = await production.sign_in(email, PASSWORD)
    assert [entry.kind for entry in (await ada.list_wallet_entries()).items] == ["welcome"]


async def test_a_link_that_was_sent_again_replaces_the_one_before(production: Api, mail_server: MailServer) -> None:
    email = new_email()
    first = await sign_up(production, mail_server, email)
    await production.client().resend_verification(email=email.upper())
    second = token_in(text_of(await receive(mail_server, email, VERIFY, count=2)))
    assert first != second
    with refused(400, "invalid_link"):
        await production.client().verify_email(token=first)
    await production.client().verify_email(token=second)


async def test_a_link_that_has_expired_is_refused(production: Api, mail_server: MailServer) -> None:
    token = await sign_up(production, mail_server, new_email())
    await production.database.fetch("UPDATE one_time_links SET expires_at = now()")
    with refused(400, "invalid_link"):
        await production.client().verify_email(token=token)


async def test_nobody_is_told_whether_an_address_waits_for_its_link(production: Api, mail_server: MailServer) -> None:
    email = new_email()
    await production.client().verify_email(token=await sign_up(production, mail_server, email))
    await production.client().resend_verification(email=email)
    await production.client().resend_verification(email=new_email())
    await asyncio.sleep(1.5)
    assert len(mail_server.sent_to(email)) == 1


async def test_signing_up_with_a_known_address_is_answered_alike_and_its_owner_is_told(
    production: Api, mail_server: MailServer
) -> None:
    email = new_email()
    await production.client().verify_email(token=await sign_up(production, mail_server, email))
    known = await production.client().register(email=email, password="another long secret", name="Eve")
    unknown = await production.client().register(email=new_email(), password="another long secret", name="Eve")
    assert (known.user.name, known.user.email_verified) == (unknown.user.name, unknown.user.email_verified)
    assert known.user.email == email
    assert known.organization.role == unknown.organization.role
    ada = await production.sign_in(email, PASSWORD)
    assert (await ada.get_me()).user.name == "Ada"
    assert (await ada.get_me()).user.id != known.user.id
    with refused(401, "invalid_credentials"):
        await production.sign_in(email, "another long secret")
    await receive(mail_server, email, "You already have an account")


async def test_twenty_sign_ups_at_once_are_answered_alike_in_production(production: Api) -> None:
    email = new_email()

    async def register() -> int:
        body = {"email": email, "password": PASSWORD, "name": "Ada"}
        answer = await production.http.post(f"{production.base_url}/api/v1/auth/register", json=body)
        return answer.status_code

    assert set(await asyncio.gather(*(register() for _ in range(20)))) == {201}
    rows = await production.database.fetch("SELECT count(*) FROM users WHERE email = $1", email)
    assert rows[0]["count"] == 1


async def test_who_signed_up_with_an_address_of_others_does_not_get_in_after_they_did(
    production: Api, mail_server: MailServer
) -> None:
    email = new_email()
    first = await sign_up(production, mail_server, email)
    await production.client().register(email=email, password="the owner's own words", name="Owner")
    second = token_in(text_of(await receive(mail_server, email, VERIFY, count=2)))
    with refused(400, "invalid_link"):
        await production.client().verify_email(token=first)
    await production.client().verify_email(token=second)
    with refused(401, "invalid_credentials"):
        await production.sign_in(email, PASSWORD)
    assert (await (await production.sign_in(email, "the owner's own words")).get_me()).user.name == "Owner"


@pytest.mark.parametrize("domain", ["gmail.com", "googlemail.com"])
async def test_one_mailbox_gets_one_welcome_grant_however_it_is_spelled(
    production: Api, mail_server: MailServer, domain: str
) -> None:
    local = new_email().partition("@")[0].replace(".", "") + domain[:5]
    grants: list[str] = []
    for email in (f"{local}@{domain}", f"{local}+more@{domain}", f"{local[:4]}.{local[4:]}@gmail.com"):
        await production.client().verify_email(token=await sign_up(production, mail_server, email))
        grants.append(await available(await production.sign_in(email, PASSWORD)))
    assert grants == ["1", "0", "0"]


@pytest.mark.parametrize("domain", ["mailinator.com", "deep.mailinator.com", "guerrillamail.com"])
async def test_a_disposable_address_gets_no_welcome_grant(api: Api, domain: str) -> None:
    email = f"{new_email().partition('@')[0]}@{domain}"
    await api.client().register(email=email, password=PASSWORD, name="Ada")
    assert await available(await api.sign_in(email, PASSWORD)) == "0"


async def test_in_development_addresses_of_example_domains_are_each_their_own(api: Api) -> None:
    local = new_email().partition("@")[0]
    for email in (f"{local}+1@example.com", f"{local}+2@example.com"):
        await api.client().register(email=email, password=PASSWORD, name="Ada")
        assert await available(await api.sign_in(email, PASSWORD)) == "1"


async def test_in_development_the_link_is_mailed_too_and_harms_nothing(api: Api) -> None:
    email = new_email()
    await api.client().register(email=email, password=PASSWORD, name="Ada")
    mail = await read_mail(api, email, VERIFY)
    ada = await api.sign_in(email, PASSWORD)
    assert "verify-email?token=op-ol-" in mail.text
    assert (await ada.get_me()).user.email_verified
