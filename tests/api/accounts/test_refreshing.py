"""Refresh tokens rotate; what was used before ends its session."""

import asyncio

from tests.factories import PASSWORD, Account
from tests.refusing import refused
from tests.running import Api


async def sign_in(api: Api, ada: Account) -> str:
    return (await api.client().login(email=ada.email, password=PASSWORD)).refresh_token


async def age_session(api: Api, refresh_token: str, seconds: int) -> None:
    """Let the session's last rotation lie so many seconds back."""
    session_id = refresh_token.removeprefix("op-rt-").split(".")[0]
    await api.database.fetch(
        "UPDATE sessions SET rotated_at = rotated_at - make_interval(secs => $2) WHERE id = $1::text::uuid",
        session_id,
        float(seconds),
    )


async def test_the_newest_token_rotates_and_its_access_token_works(api: Api, ada: Account) -> None:
    token = await sign_in(api, ada)
    seen = {token}
    for _ in range(5):
        answer = await api.client().refresh(refresh_token=token)
        token = answer.refresh_token
        assert token not in seen
        seen.add(token)
        assert (await api.client(answer.access_token).get_me()).user.id == ada.user_id


async def test_the_token_before_yields_the_same_successor_while_that_is_unused(api: Api, ada: Account) -> None:
    first = await sign_in(api, ada)
    second = (await api.client().refresh(refresh_token=first)).refresh_token
    for _ in range(3):
        again = await api.client().refresh(refresh_token=first)
        assert again.refresh_token == second
        assert (await api.client(again.access_token).get_me()).user.id == ada.user_id
    assert (await api.client().refresh(refresh_token=second)).refresh_token not in {first, second}


async def test_the_token_before_is_refused_after_thirty_seconds_and_ends_the_session(api: Api, ada: Account) -> None:
    first = await sign_in(api, ada)
    answer = await api.client().refresh(refresh_token=first)
    await age_session(api, first, 29)
    assert (await api.client().refresh(refresh_token=first)).refresh_token == answer.refresh_token
    await age_session(api, first, 2)
    with refused(401, "invalid_refresh_token"):
        await api.client().refresh(refresh_token=first)
    with refused(401, "invalid_refresh_token"):
        await api.client().refresh(refresh_token=answer.refresh_token)
    with refused(401, "unauthenticated"):
        await api.client(answer.access_token).get_me()


async def test_a_token_whose_successor_was_used_ends_the_session(api: Api, ada: Account) -> None:
    first = await sign_in(api, ada)
    second = (await api.client().refresh(refresh_token=first)).refresh_token
    newest = await api.client().refresh(refresh_token=second)
    with refused(401, "invalid_refresh_token"):
        await api.client().refresh(refresh_token=first)
    with refused(401, "invalid_refresh_token"):
        await api.client().refresh(refresh_token=newest.refresh_token)
    with refused(401, "unauthenticated"):
        await api.client(newest.access_token).get_me()
    session_id = first.removeprefix("op-rt-").split(".")[0]
    rows = await api.database.fetch("SELECT revoked_reason FROM sessions WHERE id = $1::text::uuid", session_id)
    assert [row["revoked_reason"] for row in rows] == ["refresh_reused"]


async def test_fifty_refreshes_at_once_yield_one_successor_and_sign_nobody_out(
    api: Api, second_api: Api, ada: Account
) -> None:
    token = await sign_in(api, ada)
    for _ in range(3):
        answers = await asyncio.gather(
            *((api, second_api)[n % 2].client().refresh(refresh_token=token) for n in range(50))
        )
        successors = {answer.refresh_token for answer in answers}
        assert len(successors) == 1
        assert token not in successors
        assert (await api.client(answers[0].access_token).get_me()).user.id == ada.user_id
        token = successors.pop()


async def test_a_session_that_rested_a_week_or_lived_a_month_is_over(api: Api, ada: Account) -> None:
    rested = await sign_in(api, ada)
    await age_session(api, rested, 7 * 24 * 3600)
    with refused(401, "invalid_refresh_token"):
        await api.client().refresh(refresh_token=rested)

    old = await api.client().login(email=ada.email, password=PASSWORD)
    session_id = old.refresh_token.removeprefix("op-rt-").split(".")[0]
    await api.database.fetch("UPDATE sessions SET expires_at = now() WHERE id = $1::text::uuid", session_id)
    with refused(401, "invalid_refresh_token"):
        await api.client().refresh(refresh_token=old.refresh_token)
    with refused(401, "unauthenticated"):
        await api.client(old.access_token).get_me()
    with refused(401, "invalid_api_key"):
        await api.client(old.access_token).list_gateway_models()


async def test_what_is_no_refresh_token_is_refused_and_harms_no_session(api: Api, ada: Account) -> None:
    tokens = await api.client().login(email=ada.email, password=PASSWORD)
    good = tokens.refresh_token
    session, generation, mac = good.removeprefix("op-rt-").split(".")
    forged = [
        "",
        "op-rt-",
        "op-rt-..",
        good[:-1],
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good + ".0",
        good.removeprefix("op-rt-"),
        f"op-rt-{session}.{int(generation) + 1}.{mac}",
        f"op-rt-{'0' * 32}.{generation}.{mac}",
        f"op-rt-{session}.{'9' * 5000}.{mac}",
        f"op-rt-{session}.-1.{mac}",
        f"op-rt-{session}.{generation}.\u00e9",
        tokens.access_token,
        "\x00",
    ]
    for token in forged:
        with refused(401, "unauthenticated"):
            await api.client().refresh(refresh_token=token)
    assert (await api.client().refresh(refresh_token=good)).access_token


async def test_a_suspended_users_token_does_not_rotate(api: Api, ada: Account) -> None:
    token = await sign_in(api, ada)
    admin = await api.admin()
    await admin.update_user(ada.user_id, status="suspended", reason="Unpaid")
    with refused(401, "invalid_refresh_token"):
        await api.client().refresh(refresh_token=token)
    await admin.update_user(ada.user_id, status="active", reason="Paid")
    with refused(401, "invalid_refresh_token"):  # the sessions of before stay ended
        await api.client().refresh(refresh_token=token)
    assert (await api.sign_in(ada.email, PASSWORD)).token
