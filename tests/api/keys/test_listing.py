"""Pages of keys: whole, in order, and only by cursors that are ours."""

import base64

import pytest

from tests.factories import Account, sign_up
from tests.refusing import refused
from tests.running import Api


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


async def test_pages_show_every_key_once_newest_first(ada: Account) -> None:
    minted = [(await ada.client.mint_key(name=f"key {n}")).key.id for n in range(7)]
    for limit in (1, 2, 3, 7, 50):
        seen: list[str] = []
        after: str | None = None
        while True:
            page = await ada.client.list_keys(limit=limit, after=after)
            assert len(page.items) <= limit
            seen += [key.id for key in page.items]
            after = page.next
            if after is None:
                break
        assert seen == minted[::-1], limit


async def test_a_key_minted_while_somebody_turns_pages_neither_repeats_nor_hides_others(ada: Account) -> None:
    minted = [(await ada.client.mint_key(name=f"key {n}")).key.id for n in range(4)]
    first = await ada.client.list_keys(limit=2)
    await ada.client.mint_key(name="newcomer")
    second = await ada.client.list_keys(limit=2, after=first.next)
    assert [key.id for key in (*first.items, *second.items)] == minted[::-1]


async def test_revoked_keys_stay_listed(ada: Account) -> None:
    key = (await ada.client.mint_key(name="gone")).key
    await ada.client.revoke_key(key.id)
    assert [(row.id, row.status) for row in (await ada.client.list_keys()).items] == [(key.id, "revoked")]


async def test_anothers_cursor_shows_ones_own_keys_alone(api: Api, ada: Account) -> None:
    eve = await sign_up(api)
    own = (await ada.client.mint_key(name="older")).key.id
    for _ in range(2):
        await eve.client.mint_key(name="Eve's")
    foreign = (await eve.client.list_keys(limit=1)).next
    assert [key.id for key in (await ada.client.list_keys(after=foreign)).items] == [own]


@pytest.mark.parametrize(
    "after",
    [
        "garbage",
        "!!!",
        "a",
        "\u00e9",
        cursor("7"),
        cursor('"no id"'),
        cursor("{}"),
        cursor("null"),
        cursor("' OR 1=1 --"),
        cursor('{"id": "00000000-0000-7000-8000-000000000001"}'),
    ],
)
async def test_what_is_no_cursor_of_ours_is_refused(ada: Account, after: str) -> None:
    with refused(422, "invalid_field") as refusal:
        await ada.client.list_keys(after=after)
    assert refusal.error.facts["field"] == "after"


@pytest.mark.parametrize("limit", ["0", "-1", "201", "1000000", "1.5", "ten", "", "99999999999999999999"])
async def test_a_page_has_1_to_200_rows(api: Api, ada: Account, limit: str) -> None:
    answer = await api.http.get(
        f"{api.base_url}/api/v1/keys?limit={limit}", headers={"authorization": f"Bearer {ada.client.token}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_a_cursor_longer_than_any_of_ours_is_refused(ada: Account) -> None:
    with refused(400, "invalid_request"):
        await ada.client.list_keys(after="A" * 501)
