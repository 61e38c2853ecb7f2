"""Signing in and out."""

import asyncio
import time
from statistics import median

from tests.factories import PASSWORD, Account, mint, new_email, sign_up
from tests.refusing import refused
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, Api


async def test_signing_in_answers_tokens_that_work(api: Api, ada: Account) -> None:
    tokens = await api.client().login(email=ada.email, password=PASSWORD)
    assert (tokens.expires_in, tokens.token_type) == (600, "Bearer")
    assert (await api.client(tokens.access_token).get_me()).user.id == ada.user_id


async def test_an_unknown_address_and_a_wrong_password_are_answered_alike(api: Api, ada: Account) -> None:
    with refused(401, "invalid_credentials") as wrong:
        await api.client().login(email=ada.email, password="not the password")
    with refused(401, "invalid_credentials") as unknown:
        await api.client().login(email=new_email(), password="not the password")
    assert (wrong.error.title, wrong.error.detail, wrong.error.facts) == (
        unknown.error.title,
        unknown.error.detail,
        unknown.error.facts,
    )


async def test_an_unknown_address_takes_as_long_as_a_wrong_password(api: Api, ada: Account) -> None:
    async def seconds(email: str) -> float:
        began = time.monotonic()
        with refused(401, "invalid_credentials"):
            await api.client().login(email=email, password="not the password")
        return time.monotonic() - began

    wrong = median([await seconds(ada.email) for _ in range(7)])
    unknown = median([await seconds(new_email()) for _ in range(7)])
    assert 0.5 < wrong / unknown < 2, (wrong, unknown)


async def test_odd_addresses_are_nobody(api: Api) -> None:
    for email in ("", "%", "' OR 1=1 --", "a" * 10_000, "ada\x00@example.com"):
        answer = await api.http.post(
            f"{api.base_url}/api/v1/auth/login", json={"email": email, "password": "not the password"}
        )
        assert answer.status_code in {401, 422}, (email, answer.text)


async def test_a_password_of_a_megabyte_costs_nobody_anything(api: Api, ada: Account) -> None:
    began = time.monotonic()
    with refused(401, "invalid_credentials"):
        await api.client().login(email=ada.email, password="a" * 1_000_000)
    assert time.monotonic() - began < 2


async def test_signing_out_is_in_force_at_once_everywhere(api: Api, second_api: Api, ada: Account) -> None:
    tokens = await api.client().login(email=ada.email, password=PASSWORD)
    here, there = api.client(tokens.access_token), second_api.client(tokens.access_token)
    await there.get_me()
    await here.logout(refresh_token=tokens.refresh_token)
    for client in (here, there):
        with refused(401, "unauthenticated"):
            await client.get_me()
        with refused(401, "invalid_api_key"):
            await client.create_chat_completion(
                {"model": "operis/echo", "messages": [{"role": "user", "content": "still here?"}]}
            )
    with refused(401, "invalid_refresh_token"):
        await api.client().refresh(refresh_token=tokens.refresh_token)
    assert (await ada.client.get_me()).user.id == ada.user_id  # the other session lives on


async def test_signing_out_needs_no_body(api: Api, ada: Account) -> None:
    answer = await api.http.post(
        f"{api.base_url}/api/v1/auth/logout", headers={"authorization": f"Bearer {ada.client.token}"}
    )
    assert (answer.status_code, answer.content) == (204, b"")
    with refused(401, "unauthenticated"):
        await ada.client.get_me()


async def test_a_refresh_token_that_is_none_does_not_keep_one_signed_in(api: Api, ada: Account) -> None:
    await ada.client.logout(refresh_token="op-rt-garbage")
    with refused(401, "unauthenticated"):
        await ada.client.get_me()


async def test_signing_out_everywhere_ends_every_session_of_the_user_and_of_nobody_else(api: Api, ada: Account) -> None:
    eve = await sign_up(api)
    sessions = [await api.client().login(email=ada.email, password=PASSWORD) for _ in range(3)]
    await ada.client.logout_all()
    for tokens in sessions:
        with refused(401, "unauthenticated"):
            await api.client(tokens.access_token).get_me()
        with refused(401, "invalid_refresh_token"):
            await api.client().refresh(refresh_token=tokens.refresh_token)
    assert (await eve.client.get_me()).user.id == eve.user_id


async def test_a_suspended_user_is_refused_by_name_only_with_the_right_password(api: Api, ada: Account) -> None:
    admin = await api.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD)
    await admin.update_user(ada.user_id, status="suspended", reason="Unpaid")
    with refused(403, "suspended"):
        await api.sign_in(ada.email, PASSWORD)
    with refused(401, "invalid_credentials"):
        await api.sign_in(ada.email, "not the password")


async def test_forty_sign_ins_at_once_do_not_keep_others_waiting(api: Api, ada: Account) -> None:
    eve = await sign_up(api)
    secret = await mint(eve)
    openai = api.openai(secret)

    async def try_to_sign_in() -> None:
        with refused(401, "invalid_credentials"):
            await api.client().login(email=ada.email, password="not the password")

    storm = asyncio.gather(*(try_to_sign_in() for _ in range(40)))
    await asyncio.sleep(0.05)
    waits: list[float] = []
    while not storm.done() and len(waits) < 10:
        began = time.monotonic()
        await eve.client.get_wallet()
        await openai.chat.completions.create(model="operis/echo", messages=[{"role": "user", "content": "hi"}])
        waits.append(time.monotonic() - began)
    assert waits
    await storm
    assert max(waits) < 1, waits
