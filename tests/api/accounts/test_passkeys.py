"""Passkeys: registered, asked for after the password, enough alone, and good for nobody else and for nothing twice."""

import asyncio
import json
import secrets
from dataclasses import replace
from typing import Any, cast

import pytest

from operis_client import AsyncOperis
from tests.api.accounts.test_second_factor import age, turn_on
from tests.factories import PASSWORD, Account, sign_up
from tests.fakes.authenticator import PRESENT, Authenticator, add_passkey, b64, device_for, unb64
from tests.reading_mail import read_mail
from tests.refusing import refused
from tests.running import Api


@pytest.fixture
async def device(api: Api, ada: Account) -> Authenticator:
    """A device that Ada has registered. Its origin is the dashboard's of development, by the name of loopback."""
    return await register(ada, device_for(api))


async def register(account: Account, device: Authenticator) -> Authenticator:
    await add_passkey(account, device)
    return device


async def test_a_passkey_signs_in_without_address_or_password(api: Api, ada: Account, device: Authenticator) -> None:
    visitor = api.client()
    asked = await visitor.begin_passkey_sign_in()
    assert asked.public_key["rpId"] == "localhost"
    assert asked.public_key["userVerification"] == "required"
    assert asked.public_key["allowCredentials"] == []
    tokens = await visitor.finish_passkey_sign_in(credential=device.get(asked))
    assert (await api.client(tokens.access_token).get_me()).user.id == ada.user_id
    assert (await ada.client.list_passkeys())[0].last_used_at is not None
    await read_mail(api, ada.email, "A passkey was added to your account")


async def test_with_a_passkey_the_password_alone_signs_nobody_in(api: Api, ada: Account, device: Authenticator) -> None:
    visitor = api.client()
    asked = await visitor.login(email=ada.email, password=PASSWORD)
    assert (asked.access_token, asked.mfa_methods) == ("", ["passkey", "recovery_code"])
    options = await visitor.begin_passkey_sign_in(mfa_token=asked.mfa_token)
    assert [one["id"] for one in as_list(options.public_key["allowCredentials"])] == [b64(device.credential_id)]
    device.flags = PRESENT  # a security key without a PIN is enough beside the password
    tokens = await visitor.finish_passkey_sign_in(credential=device.get(options), mfa_token=asked.mfa_token)
    assert (await api.client(tokens.access_token).get_me()).user.id == ada.user_id
    again = await visitor.begin_passkey_sign_in()
    with refused(401, "invalid_passkey"):  # alone it is not
        await visitor.finish_passkey_sign_in(credential=device.get(again))


def as_list(value: object) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", value)


async def test_the_first_passkey_comes_with_recovery_codes_which_go_with_the_last(api: Api, ada: Account) -> None:
    first = device_for(api)
    added = await ada.client.add_passkey(name=" My  phone ", credential=first.create(await ada.client.begin_passkey()))
    assert (added.passkey.name, len(added.recovery_codes)) == ("My phone", 10)
    second = device_for(api)
    more = await ada.client.add_passkey(name="Key", credential=second.create(await ada.client.begin_passkey()))
    assert more.recovery_codes == []
    token = (await api.client().login(email=ada.email, password=PASSWORD)).mfa_token
    await api.client().verify_second_factor(mfa_token=token, code=added.recovery_codes[0])
    names = {row.name: row.id for row in await ada.client.list_passkeys()}
    assert list(names) == ["My phone", "Key"]
    assert (await ada.client.name_passkey(names["Key"], name="Blue key")).name == "Blue key"
    await ada.client.remove_passkey(names["My phone"])
    view = await ada.client.get_second_factor()
    assert (view.enabled_at, view.passkeys, view.recovery_codes_left) == (None, 1, 9)
    await ada.client.remove_passkey(names["Key"])
    assert (await ada.client.get_second_factor()).recovery_codes_left == 0
    assert (await api.client().login(email=ada.email, password=PASSWORD)).access_token
    await read_mail(api, ada.email, "A passkey was removed from your account")


async def test_an_authenticator_and_a_passkey_stand_beside_each_other(
    api: Api, ada: Account, device: Authenticator
) -> None:
    _, codes = await turn_on(ada)
    asked = await api.client().login(email=ada.email, password=PASSWORD)
    assert asked.mfa_methods == ["totp", "passkey", "recovery_code"]
    await ada.client.remove_second_factor()
    asked = await api.client().login(email=ada.email, password=PASSWORD)
    assert asked.mfa_methods == ["passkey", "recovery_code"]
    await api.client().verify_second_factor(mfa_token=asked.mfa_token, code=codes[0])


async def test_a_passkey_is_a_recent_proof(api: Api, ada: Account, device: Authenticator) -> None:
    await age(api, ada)
    passkey = (await ada.client.list_passkeys())[0]
    with refused(403, "step_up_required"):
        await ada.client.remove_passkey(passkey.id)
    with refused(403, "step_up_required"):
        await ada.client.begin_passkey()
    with refused(401, "invalid_code"):
        await ada.client.step_up(password=PASSWORD)
    for_sign_in = device.get(await api.client().begin_passkey_sign_in())
    with refused(401, "invalid_passkey"):
        await ada.client.step_up(credential=for_sign_in)
    await ada.client.step_up(credential=device.get(await ada.client.begin_passkey_step_up()))
    await ada.client.remove_passkey(passkey.id)


async def test_a_challenge_is_answered_once_even_by_twenty_at_once(
    api: Api, second_api: Api, ada: Account, device: Authenticator
) -> None:
    device.counts = False  # so that its counter stops nobody
    device.count = 0
    answered = device.get(await api.client().begin_passkey_sign_in())

    async def finish(nth: int) -> int:
        running = (api, second_api)[nth % 2]
        url = f"{running.base_url}/api/v1/auth/passkey/verify"
        return (await running.http.post(url, json={"credential": answered})).status_code

    assert sorted(await asyncio.gather(*(finish(nth) for nth in range(20)))) == [200, *[401] * 19]


async def test_a_copied_device_shows_by_its_counter(api: Api, ada: Account, device: Authenticator) -> None:
    visitor, copy = api.client(), replace(device)
    for _ in range(3):
        await visitor.finish_passkey_sign_in(credential=device.get(await visitor.begin_passkey_sign_in()))
    with refused(401, "invalid_passkey"):
        await visitor.finish_passkey_sign_in(credential=copy.get(await visitor.begin_passkey_sign_in()))


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://operis.evil.test"},
        {"origin": "http://localhost.evil.test:3000"},
        {"origin": "https://localhost:3000"},
        {"party": "evil.test"},
        {"party": "127.0.0.1"},
        {"flags": 0},
        {"key": Authenticator(origin="").key},
        {"credential_id": b"unknown"},
        {"user_handle": bytes(16)},
    ],
    ids=lambda lie: next(iter(lie)),
)
async def test_what_another_page_or_device_signed_is_refused(
    api: Api, ada: Account, device: Authenticator, lie: dict[str, Any]
) -> None:
    visitor = api.client()
    with refused(401, "invalid_passkey"):
        await visitor.finish_passkey_sign_in(
            credential=replace(device, **lie).get(await visitor.begin_passkey_sign_in())
        )


async def test_a_passkey_of_another_page_is_not_registered(api: Api, ada: Account) -> None:
    for lie in (Authenticator(origin="https://evil.test"), replace(device_for(api), party="evil.test")):
        with refused(401, "invalid_passkey"):
            await ada.client.add_passkey(name="Phone", credential=lie.create(await ada.client.begin_passkey()))
    assert await ada.client.list_passkeys() == []


async def test_nobody_registers_by_the_challenge_of_another(api: Api, ada: Account) -> None:
    eve, device = await sign_up(api), device_for(api)
    with refused(401, "invalid_passkey"):
        await eve.client.add_passkey(name="Phone", credential=device.create(await ada.client.begin_passkey()))
    made = device.create(await ada.client.begin_passkey())
    await ada.client.add_passkey(name="Phone", credential=made)
    with refused(401, "invalid_passkey"):  # once
        await ada.client.add_passkey(name="Phone", credential=made)
    with refused(409, "passkey_known"):  # one credential is one person's
        await eve.client.add_passkey(name="Phone", credential=device.create(await eve.client.begin_passkey()))


async def test_a_passkey_of_somebody_else_is_no_second_factor(api: Api, ada: Account, device: Authenticator) -> None:
    eve = await sign_up(api)
    hers = await register(eve, device_for(api))
    visitor = api.client()
    token = (await visitor.login(email=ada.email, password=PASSWORD)).mfa_token
    for credential in (
        hers.get(await visitor.begin_passkey_sign_in(mfa_token=token)),
        hers.get(await visitor.begin_passkey_sign_in()),
        device.get(await visitor.begin_passkey_sign_in()),  # hers, but for signing in alone
    ):
        with refused(401, "invalid_passkey"):
            await visitor.finish_passkey_sign_in(credential=credential, mfa_token=token)
    for_second = device.get(await visitor.begin_passkey_sign_in(mfa_token=token))
    with refused(401, "invalid_passkey"):
        await visitor.finish_passkey_sign_in(credential=for_second)


async def test_nothing_expired_or_invented_is_answered(api: Api, ada: Account, device: Authenticator) -> None:
    visitor = api.client()
    options = await visitor.begin_passkey_sign_in()
    late = device.get(options)
    await api.database.fetch("UPDATE passkey_challenges SET expires_at = now()")
    with refused(401, "invalid_passkey"):
        await visitor.finish_passkey_sign_in(credential=late)
    options.public_key["challenge"] = b64(secrets.token_bytes(32))
    with refused(401, "invalid_passkey"):
        await visitor.finish_passkey_sign_in(credential=device.get(options))


async def test_who_is_suspended_does_not_sign_in_by_one(
    api: Api, admin: AsyncOperis, ada: Account, device: Authenticator
) -> None:
    await admin.update_user(ada.user_id, status="suspended", reason="for a test")
    visitor = api.client()
    with refused(403, "suspended"):
        await visitor.finish_passkey_sign_in(credential=device.get(await visitor.begin_passkey_sign_in()))


async def test_broken_answers_are_refused_and_break_nothing(api: Api, ada: Account, device: Authenticator) -> None:
    visitor = api.client()
    outside: list[dict[str, Any]] = [
        {"type": "password"},
        {"id": "other"},
        {"rawId": 7},
        {"rawId": "é"},
        {"rawId": "a" * 100_000},
        {"response": None},
        {"response": {}},
    ]
    inside: list[dict[str, Any]] = [
        {"authenticatorData": ""},
        {"authenticatorData": b64(b"x" * 37)},
        {"signature": ""},
        {"signature": 7},
        {"clientDataJSON": b64(b"{}")},
        {"clientDataJSON": b64(b"\xff\xfe")},
        {"clientDataJSON": b64(b"[" * 100_000)},
        {"userHandle": 7},
    ]
    with refused(401, "invalid_passkey"):
        await visitor.finish_passkey_sign_in(credential={})
    for patch in outside + [{"response": one} for one in inside]:
        whole = device.get(await visitor.begin_passkey_sign_in())
        if patch.get("response"):
            patch["response"] = {**whole["response"], **patch["response"]}
        with refused(401, "invalid_passkey"):
            await visitor.finish_passkey_sign_in(credential={**whole, **patch})
    made = device_for(api)
    for attestation in (b"", b"\xa0", b"\xff" * 40, secrets.token_bytes(200)):
        credential = made.create(await ada.client.begin_passkey())
        credential["response"]["attestationObject"] = b64(attestation)
        with refused(401, "invalid_passkey"):
            await ada.client.add_passkey(name="Phone", credential=credential)
    signed_other = made.create(await ada.client.begin_passkey())
    data = json.loads(unb64(signed_other["response"]["clientDataJSON"]))
    signed_other["response"]["clientDataJSON"] = b64(json.dumps({**data, "type": "webauthn.get"}).encode())
    with refused(401, "invalid_passkey"):
        await ada.client.add_passkey(name="Phone", credential=signed_other)


async def test_there_are_twenty_at_most(api: Api, ada: Account) -> None:
    waiting = [device_for(api).create(await ada.client.begin_passkey()) for _ in range(21)]
    for credential in waiting[:20]:
        await ada.client.add_passkey(name="Phone", credential=credential)
    with refused(409, "too_many_passkeys"):
        await ada.client.add_passkey(name="Phone", credential=waiting[20])
    with refused(409, "too_many_passkeys"):
        await ada.client.begin_passkey()
