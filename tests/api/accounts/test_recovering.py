"""Passwords that were forgotten, and those that are changed: whoever held the old one is out."""

import asyncio

import pytest

from tests.factories import PASSWORD, Account, new_email
from tests.reading_mail import link_in, read_mail, token_in
from tests.refusing import refused
from tests.running import Api

FORGOT, CHANGED = "Set a new password", "Your password was changed"
NEW = "quite another password"


async def forget(api: Api, ada: Account) -> str:
    await api.client().forgot_password(email=ada.email)
    return token_in((await read_mail(api, ada.email, FORGOT)).text)


async def test_the_mailed_link_sets_a_new_password_and_ends_every_session(
    api: Api, second_api: Api, ada: Account
) -> None:
    tokens = await api.client().login(email=ada.email, password=PASSWORD)
    token = await forget(api, ada)
    await second_api.client().reset_password(token=token, new_password=NEW)
    for running in (api, second_api):
        with refused(401, "unauthenticated"):
            await running.client(tokens.access_token).get_me()
    with refused(401, "invalid_refresh_token"):
        await api.client().refresh(refresh_token=tokens.refresh_token)
    with refused(401, "invalid_credentials"):
        await api.sign_in(ada.email, PASSWORD)
    assert (await api.sign_in(ada.email, NEW)).token
    await read_mail(api, ada.email, CHANGED)
    events = await api.database.fetch(
        "SELECT action FROM audit_events WHERE target_id = $1 AND action LIKE 'password.%' ORDER BY id", ada.user_id
    )
    assert [event["action"] for event in events] == ["password.forget", "password.reset"]


async def test_a_link_works_once_however_many_try_at_once(api: Api, second_api: Api, ada: Account) -> None:
    token = await forget(api, ada)

    async def reset(nth: int) -> int:
        running = (api, second_api)[nth % 2]
        answer = await running.http.post(
            f"{running.base_url}/api/v1/auth/password/reset", json={"token": token, "new_password": f"{NEW} {nth}"}
        )
        return answer.status_code

    assert sorted(await asyncio.gather(*(reset(nth) for nth in range(10)))) == [204, *[400] * 9]


async def test_a_weak_password_does_not_use_the_link_up(api: Api, ada: Account) -> None:
    token = await forget(api, ada)
    with refused(422, "weak_password"):
        await api.client().reset_password(token=token, new_password="password1")
    await api.client().reset_password(token=token, new_password=NEW)


async def test_only_the_newest_link_works(api: Api, ada: Account) -> None:
    first = await forget(api, ada)
    await api.client().forgot_password(email=ada.email)
    with refused(400, "invalid_link"):
        await api.client().reset_password(token=first, new_password=NEW)


async def test_a_link_is_for_one_purpose_alone(api: Api, ada: Account) -> None:
    reset = await forget(api, ada)
    verify = token_in((await read_mail(api, ada.email, "Confirm your address")).text)
    with refused(400, "invalid_link"):
        await api.client().verify_email(token=reset)
    with refused(400, "invalid_link"):
        await api.client().reset_password(token=verify, new_password=NEW)


@pytest.mark.parametrize("token", ["", "op-ol-", "op-ol-" + "A" * 43, "' OR 1=1 --", "\x00", "a" * 100_000])
async def test_what_is_no_link_is_refused(api: Api, token: str) -> None:
    with refused(400, "invalid_link"):
        await api.client().reset_password(token=token, new_password=NEW)
    with refused(400, "invalid_link"):
        await api.client().verify_email(token=token)


async def test_only_the_hash_of_a_link_is_stored(api: Api, ada: Account) -> None:
    token = await forget(api, ada)
    rows = await api.database.fetch(
        "SELECT l::text AS text FROM one_time_links l UNION ALL SELECT m::text FROM mails m"
    )
    assert rows
    assert [row for row in rows if token in row["text"] or token.encode().hex() in row["text"]] == []


async def test_nobody_is_told_whether_an_address_has_an_account(api: Api, ada: Account) -> None:
    stranger = new_email()
    await api.client().forgot_password(email=stranger)
    await forget(api, ada)
    assert await api.database.fetch("SELECT id FROM mails WHERE recipient = $1", stranger) == []


async def test_a_suspended_user_gets_no_link(api: Api, ada: Account) -> None:
    await (await api.admin()).update_user(ada.user_id, status="suspended", reason="Unpaid")
    await api.client().forgot_password(email=ada.email)
    rows = await api.database.fetch("SELECT template FROM mails WHERE recipient = $1", ada.email)
    assert [row["template"] for row in rows] == ["verify_email"]


async def test_the_host_header_is_never_part_of_a_link(api: Api, ada: Account) -> None:
    await api.http.post(
        f"{api.base_url}/api/v1/auth/password/forgot",
        json={"email": ada.email},
        headers={"host": "attacker.example", "origin": "https://attacker.example"},
    )
    mail = await read_mail(api, ada.email, FORGOT)
    assert link_in(mail.text).startswith("http://127.0.0.1:")
    assert "attacker.example" not in mail.text + mail.html


async def test_changing_the_password_ends_all_other_sessions(api: Api, ada: Account) -> None:
    others = [await api.client().login(email=ada.email, password=PASSWORD) for _ in range(2)]
    link = await forget(api, ada)
    await ada.client.change_password(current_password=PASSWORD, new_password=NEW)
    assert (await ada.client.get_me()).user.id == ada.user_id
    for tokens in others:
        with refused(401, "unauthenticated"):
            await api.client(tokens.access_token).get_me()
    with refused(401, "invalid_credentials"):
        await api.sign_in(ada.email, PASSWORD)
    assert (await api.sign_in(ada.email, NEW)).token
    with refused(400, "invalid_link"):  # what was mailed before is void
        await api.client().reset_password(token=link, new_password=PASSWORD)
    await read_mail(api, ada.email, CHANGED)


async def test_the_password_is_not_changed_without_the_current_one_or_to_a_weak_one(api: Api, ada: Account) -> None:
    with refused(401, "invalid_credentials"):
        await ada.client.change_password(current_password="not the password", new_password=NEW)
    with refused(422, "weak_password"):
        await ada.client.change_password(current_password=PASSWORD, new_password="short")
    assert (await api.sign_in(ada.email, PASSWORD)).token


@pytest.mark.parametrize("password", ["Lovelace1843", "ada.lovelace!", "Operis2026!", "LovelaceAda99", "operis-operis"])
async def test_words_that_anybody_knows_of_the_owner_are_no_password(api: Api, password: str) -> None:
    with refused(422, "weak_password"):
        await api.client().register(email=new_email(), password=password, name="Ada Lovelace")


async def test_a_password_may_hold_the_owners_name_among_words_of_its_own(api: Api) -> None:
    await api.client().register(email=new_email(), password="lovelace waters forty tomatoes", name="Ada Lovelace")
