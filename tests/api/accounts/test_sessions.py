"""A user's sessions: listed, named, ended, and told of."""

import asyncio

import httpx

from tests.factories import PASSWORD, Account, sign_up
from tests.reading_mail import read_mail
from tests.refusing import refused
from tests.running import Api


async def test_sessions_are_listed_with_the_newest_first_and_this_one_marked(api: Api, ada: Account) -> None:
    await api.client().login(email=ada.email, password=PASSWORD)
    here, there = (await ada.client.list_sessions()).items[::-1]
    assert (here.current, there.current) == (True, False)
    assert there.created_at >= here.created_at
    assert (there.address, there.name) == ("127.0.0.1", None)
    assert there.agent is not None
    assert "httpx" in there.agent
    first = await ada.client.list_sessions(limit=1)
    assert [found.id for found in first.items] == [there.id]
    assert [found.id for found in (await ada.client.list_sessions(limit=1, after=first.next)).items] == [here.id]


async def test_a_session_is_named(api: Api, ada: Account) -> None:
    (only,) = (await ada.client.list_sessions()).items
    assert (await ada.client.name_session(only.id, name="  My   laptop ")).name == "My laptop"
    assert [found.name for found in (await ada.client.list_sessions()).items] == ["My laptop"]
    with refused(422, "invalid_field"):
        await ada.client.name_session(only.id, name="\u202e")


async def test_ending_a_session_is_in_force_at_once_everywhere(api: Api, second_api: Api, ada: Account) -> None:
    tokens = await api.client().login(email=ada.email, password=PASSWORD)
    other = next(found for found in (await ada.client.list_sessions()).items if not found.current)
    await ada.client.end_session(other.id)
    for running in (api, second_api):
        with refused(401, "unauthenticated"):
            await running.client(tokens.access_token).get_me()
    with refused(401, "invalid_refresh_token"):
        await api.client().refresh(refresh_token=tokens.refresh_token)
    with refused(404, "not_found"):
        await ada.client.end_session(other.id)


async def test_all_other_sessions_are_ended_together(api: Api, ada: Account) -> None:
    tokens = [await api.client().login(email=ada.email, password=PASSWORD) for _ in range(3)]
    await ada.client.end_other_sessions()
    assert [found.current for found in (await ada.client.list_sessions()).items] == [True]
    for found in tokens:
        with refused(401, "unauthenticated"):
            await api.client(found.access_token).get_me()


async def test_a_session_of_somebody_else_is_not_there(api: Api, ada: Account) -> None:
    eve = await sign_up(api)
    (theirs,) = (await ada.client.list_sessions()).items
    with refused(404, "not_found"):
        await eve.client.end_session(theirs.id)
    with refused(404, "not_found"):
        await eve.client.name_session(theirs.id, name="mine")
    assert (await ada.client.get_me()).user.id == ada.user_id


async def test_of_more_than_a_hundred_sessions_the_oldest_ends(api: Api, ada: Account) -> None:
    await asyncio.gather(*(api.client().login(email=ada.email, password=PASSWORD) for _ in range(100)))
    with refused(401, "unauthenticated"):
        await ada.client.get_me()
    alive = await api.database.fetch(
        "SELECT count(*) FROM sessions WHERE user_id = $1::text::uuid AND revoked_at IS NULL", ada.user_id
    )
    assert alive[0]["count"] == 100


async def test_a_sign_in_from_an_unknown_device_is_told_and_one_from_a_known_device_is_not(
    api: Api, ada: Account
) -> None:
    async def login(agent: str, **more: str) -> httpx.Response:
        body = {"email": ada.email, "password": PASSWORD, **more}
        return await api.http.post(f"{api.base_url}/api/v1/auth/login", json=body, headers={"user-agent": agent})

    device_token = (await login("Firefox on <b>Linux</b>")).json()["device_token"]
    mail = await read_mail(api, ada.email, "New sign-in to your account")
    assert "127.0.0.1, Firefox on <b>Linux</b>" in mail.text
    assert "<b>" not in mail.html
    await login("Firefox on <b>Linux</b>")
    await login("another name", device_token=device_token)
    rows = await api.database.fetch("SELECT template FROM mails WHERE recipient = $1 ORDER BY id", ada.email)
    assert [row["template"] for row in rows] == ["verify_email", "new_device"]


async def test_a_refresh_token_used_twice_is_told_to_its_user(api: Api, ada: Account) -> None:
    first = (await api.client().login(email=ada.email, password=PASSWORD)).refresh_token
    second = (await api.client().refresh(refresh_token=first)).refresh_token
    await api.client().refresh(refresh_token=second)
    for _ in range(2):
        with refused(401, "invalid_refresh_token"):
            await api.client().refresh(refresh_token=first)
    mail = await read_mail(api, ada.email, "A session was ended for your safety")
    assert "127.0.0.1" in mail.text
    rows = await api.database.fetch(
        "SELECT id FROM mails WHERE recipient = $1 AND template = 'session_revoked'", ada.email
    )
    assert len(rows) == 1
