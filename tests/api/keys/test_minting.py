"""Minting keys: the secret is shown once, and an Idempotency-Key mints once."""

import asyncio
import string
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.factories import Account, sign_up
from tests.refusing import refused
from tests.running import Api

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits.rjust(6, "0")


async def post_key(api: Api, ada: Account, idempotency_key: str | None, **body: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {ada.client.token}"}
    if idempotency_key is not None:
        headers["idempotency-key"] = idempotency_key
    return await api.http.post(f"{api.base_url}/api/v1/keys", json={"name": "test", **body}, headers=headers)


async def test_a_minted_key_has_the_documented_form_and_works_at_once(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="  My   key ")
    secret, key = minted.secret, minted.key
    assert len(secret) == 44
    assert secret.startswith("sk-op-")
    assert set(secret[6:]) <= set(BASE62)
    assert secret[-6:] == checksum(secret[:-6])
    assert (key.name, key.prefix, key.last_four) == ("My key", secret[:12], secret[-4:])
    assert (key.status, key.models, key.owner_email, key.expires_at) == ("active", [], ada.email, None)
    assert (key.spent, key.requests, key.last_used_at, key.revoked_at) == ("0", 0, None, None)

    answer = await api.openai(secret).chat.completions.create(
        model="operis/echo", messages=[{"role": "user", "content": "hi"}]
    )
    assert answer.choices[0].message.content == "hi"
    used = await ada.client.get_key(key.id)
    assert (used.spent, used.requests) == ("0.000006", 1)
    assert used.last_used_at is not None
    assert datetime.now(UTC) - used.last_used_at < timedelta(minutes=1)
    itself = await api.client(secret).get_calling_key()
    assert (itself["id"], itself["name"], itself["spent"], itself["requests"]) == (key.id, "My key", "0.000006", 1)


async def test_the_secret_is_stored_nowhere_and_shown_nowhere_else(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="hidden", idempotency_key="shown-once")
    secret = minted.secret
    headers = {"authorization": f"Bearer {ada.client.token}"}
    for path in ("keys", f"keys/{minted.key.id}"):
        assert secret not in (await api.http.get(f"{api.base_url}/api/v1/{path}", headers=headers)).text
    tables = await api.database.fetch(
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    for table in tables:
        name = table["name"]
        for needle in (secret, secret[12:]):
            rows = await api.database.fetch(f"SELECT 1 FROM {name} t WHERE t::text LIKE '%' || $1 || '%'", needle)
            assert rows == [], f"{name} holds the secret"
            stored = await api.database.fetch(
                f"SELECT 1 FROM {name} t WHERE t::text LIKE '%' || encode($1::bytea, 'hex') || '%'", needle.encode()
            )
            assert stored == [], f"{name} holds the secret as bytes"
    assert secret not in api.log.read_text()


async def test_the_same_idempotency_key_and_body_replay_the_first_answer(api: Api, ada: Account) -> None:
    first = await post_key(api, ada, "once")
    again = await post_key(api, ada, "once")
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len((await ada.client.list_keys()).items) == 1


async def test_another_body_with_the_same_idempotency_key_is_refused(api: Api, ada: Account) -> None:
    await post_key(api, ada, "once")
    other = await post_key(api, ada, "once", name="other")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert [key.name for key in (await ada.client.list_keys()).items] == ["test"]


async def test_idempotency_keys_are_each_users_own(api: Api, ada: Account) -> None:
    eve = await sign_up(api)
    first, second = await post_key(api, ada, "shared"), await post_key(api, eve, "shared")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["secret"] != second.json()["secret"]


async def test_without_an_idempotency_key_each_post_mints(api: Api, ada: Account) -> None:
    secrets = {(await post_key(api, ada, None)).json()["secret"] for _ in range(3)}
    assert len(secrets) == 3


async def test_a_refused_post_keeps_nothing_under_its_idempotency_key(api: Api, ada: Account) -> None:
    assert (await post_key(api, ada, "try", name="")).status_code == 422
    assert (await post_key(api, ada, "try", name="good")).status_code == 201


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_an_idempotency_key_has_1_to_255_characters(api: Api, ada: Account, key: str) -> None:
    answer = await post_key(api, ada, key)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


async def test_fifty_posts_with_one_idempotency_key_at_once_mint_one_key(
    api: Api, second_api: Api, ada: Account
) -> None:
    for turn in range(1, 5):
        key = f"race-{turn}"
        answers = await asyncio.gather(*(post_key((api, second_api)[n % 2], ada, key) for n in range(50)))
        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) <= {201, 409}, statuses
        assert len({answer.json()["secret"] for answer in answers if answer.status_code == 201}) == 1
        for answer in answers:
            if answer.status_code == 409:
                assert answer.json()["code"] == "idempotency_key_in_use"
                assert answer.headers["retry-after"] == "1"
        assert len((await ada.client.list_keys()).items) == turn
        assert (await post_key(api, ada, key)).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 81}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"models": ["m" * 129]}, "models"),
        ({"models": [""]}, "models"),
        ({"models": ["operis/echo"] * 201}, "models"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
    ],
)
async def test_what_a_key_cannot_have_is_refused_by_field(
    api: Api, ada: Account, body: dict[str, object], field: str
) -> None:
    answer = await post_key(api, ada, None, **body)
    assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (422, "invalid_field", field)
    assert (await ada.client.list_keys()).items == []


async def test_a_model_name_with_nul_is_refused(api: Api, ada: Account) -> None:
    answer = await post_key(api, ada, None, models=["a\x00b"])
    assert (answer.status_code, answer.json()["code"]) == (422, "unusable_text")


@pytest.mark.parametrize(
    "body",
    [
        {"secret": "sk-op-mine"},
        {"user_id": "00000000-0000-7000-8000-000000000001"},
        {"organization_id": "00000000-0000-7000-8000-000000000001"},
        {"status": "active"},
        {"name": None},
        {"name": 7},
        {"models": "operis/echo"},
        {"expires_at": "soon"},
    ],
)
async def test_a_body_of_another_shape_is_refused(api: Api, ada: Account, body: dict[str, object]) -> None:
    answer = await post_key(api, ada, None, **body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_an_organization_may_have_500_keys_that_are_not_revoked(api: Api, ada: Account) -> None:
    key = (await ada.client.mint_key(name="first")).key
    await api.database.fetch(
        """
        INSERT INTO api_keys (organization_id, id, user_id, name, prefix, last_four)
        SELECT organization_id, gen_random_uuid(), user_id, 'many', '', ''
        FROM api_keys, generate_series(1, 499) WHERE id = $1::text::uuid
        """,
        key.id,
    )
    with refused(409, "too_many_keys") as refusal:
        await ada.client.mint_key(name="one more")
    assert refusal.error.facts["limit"] == 500
    await ada.client.revoke_key(key.id)
    assert (await ada.client.mint_key(name="one more")).secret


async def test_minting_is_in_the_audit_log_without_the_secret(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="audited")
    await ada.client.update_key(minted.key.id, models=["operis/echo"])
    await ada.client.revoke_key(minted.key.id)
    rows = await api.database.fetch(
        "SELECT action, actor_id::text, organization_id::text, a::text AS whole FROM audit_events a "
        "WHERE target_id = $1 ORDER BY id",
        minted.key.id,
    )
    assert [(row["action"], row["actor_id"], row["organization_id"]) for row in rows] == [
        (action, ada.user_id, ada.organization_id) for action in ("key.mint", "key.update", "key.revoke")
    ]
    assert all(minted.secret[12:] not in row["whole"] for row in rows)
