"""Rotating keys: a new secret beside the old one for a while, whatever gets lost on the way."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from operis_api.keys.secret import Pepper
from operis_api.settings import Settings
from operis_db.embedded import EmbeddedPostgres
from tests.factories import Account, mint, sign_up
from tests.refusing import refused
from tests.running import Api, make_database, run_api

HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}
OLD_ROOT = "an-earlier-root-secret-0123456789-abcdef"


async def call(api: Api, secret: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {secret}"}
    return await api.http.post(f"{api.base_url}/v1/chat/completions", json=HELLO, headers=headers)


async def end_overlap(api: Api, key_id: str) -> None:
    """Let the overlap of a rotated key be over, as time would."""
    await api.database.fetch(
        "UPDATE key_secrets SET expires_at = now() WHERE key_id = $1::text::uuid AND expires_at > now()", key_id
    )
    # Processes know the true end; that it was moved they learn as of every change.
    await api.database.fetch("UPDATE api_keys SET version = version + 1 WHERE id = $1::text::uuid", key_id)


@pytest.mark.parametrize(
    ("overlap", "lasts"),
    [("1h", timedelta(hours=1)), ("24h", timedelta(hours=24)), ("7d", timedelta(days=7)), ("30d", timedelta(days=30))],
)
async def test_both_secrets_work_during_the_overlap_and_the_old_one_announces_its_end(
    api: Api, second_api: Api, ada: Account, overlap: str, lasts: timedelta
) -> None:
    minted = await ada.client.mint_key(name="rotated")
    await call(second_api, minted.secret)
    rotated = await ada.client.rotate_key(minted.key.id, overlap=overlap)
    assert rotated.secret != minted.secret
    assert (rotated.key.id, rotated.key.prefix) == (minted.key.id, rotated.secret[:12])
    ends = rotated.key.old_secret_expires_at
    assert ends is not None
    assert abs(ends - datetime.now(UTC) - lasts) < timedelta(seconds=10)
    for running in (api, second_api):
        old, new = await call(running, minted.secret), await call(running, rotated.secret)
        assert (old.status_code, new.status_code) == (200, 200)
        assert datetime.fromisoformat(old.headers["x-operis-key-expires-at"]) == ends.replace(microsecond=0)
        assert parsedate_to_datetime(old.headers["sunset"]) == ends.replace(microsecond=0)
        assert "x-operis-key-expires-at" not in new.headers

    await end_overlap(api, minted.key.id)
    for running in (api, second_api):
        assert (await call(running, minted.secret)).status_code == 401
        assert (await call(running, rotated.secret)).status_code == 200
    assert (await ada.client.get_key(minted.key.id)).old_secret_expires_at is None


async def test_every_answer_on_an_old_secret_announces_its_end(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="announcing", scopes=["inference", "models", "keys"])
    await ada.client.rotate_key(minted.key.id, overlap="1h")
    headers = {"authorization": f"Bearer {minted.secret}"}
    asked: list[tuple[str, str, object]] = [
        ("POST", "/v1/chat/completions", {**HELLO, "stream": True}),
        ("POST", "/v1/chat/completions", {"model": "no/model", "messages": []}),
        ("POST", "/v1/messages", {**HELLO, "max_tokens": 5}),
        ("POST", "/v1/messages/count_tokens", HELLO),
        ("GET", "/v1/models", None),
        ("GET", "/v1/key", None),
        ("GET", "/api/v1/keys", None),
        ("GET", "/api/v1/keys/00000000-0000-7000-8000-00000000dead", None),
    ]
    for method, path, body in asked:
        answer = await api.http.request(method, api.base_url + path, json=body, headers=headers)
        assert "x-operis-key-expires-at" in answer.headers, (path, answer.text)
    told = (await api.client(minted.secret).get_calling_key())["secret_expires_at"]
    assert told is not None


async def test_without_overlap_the_old_secret_is_refused_at_once_everywhere(
    api: Api, second_api: Api, ada: Account
) -> None:
    for _ in range(5):
        minted = await ada.client.mint_key(name="leaked")
        for running in (api, second_api):
            assert (await call(running, minted.secret)).status_code == 200
        rotated = await ada.client.rotate_key(minted.key.id, overlap="0s")
        for running in (second_api, api):
            assert (await call(running, minted.secret)).status_code == 401
            assert (await call(running, rotated.secret)).status_code == 200
            with refused(401, "invalid_api_key"):
                await running.client(minted.secret).get_calling_key()


async def test_rotating_again_never_lengthens_what_an_older_secret_has_left(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="twice")
    first = await ada.client.rotate_key(minted.key.id, overlap="1h")
    second = await ada.client.rotate_key(minted.key.id, overlap="30d")
    for secret in (minted.secret, first.secret, second.secret):
        assert (await call(api, secret)).status_code == 200
    ends = datetime.fromisoformat((await call(api, minted.secret)).headers["x-operis-key-expires-at"])
    assert ends < datetime.now(UTC) + timedelta(hours=2)

    third = await ada.client.rotate_key(minted.key.id, overlap="0s")
    for secret in (minted.secret, first.secret, second.secret):
        assert (await call(api, secret)).status_code == 401
    assert (await call(api, third.secret)).status_code == 200


async def test_a_key_has_five_secrets_in_force_at_most(ada: Account) -> None:
    minted = await ada.client.mint_key(name="restless")
    for _ in range(4):
        await ada.client.rotate_key(minted.key.id)
    with refused(409, "too_many_secrets") as refusal:
        await ada.client.rotate_key(minted.key.id)
    assert refusal.error.facts["limit"] == 5
    assert (await ada.client.rotate_key(minted.key.id, overlap="0s")).secret


async def test_a_lost_answer_can_be_asked_for_again(api: Api, second_api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="lost")
    first = await ada.client.rotate_key(minted.key.id, overlap="0s", idempotency_key="rotation-1")
    elsewhere = second_api.client(ada.client.token)
    for client in (ada.client, elsewhere):
        assert (await client.rotate_key(minted.key.id, overlap="0s", idempotency_key="rotation-1")) == first
    assert (await call(api, first.secret)).status_code == 200
    with refused(422, "idempotency_key_reused"):
        await ada.client.rotate_key(minted.key.id, overlap="1h", idempotency_key="rotation-1")
    other = await ada.client.mint_key(name="another")
    with refused(422, "idempotency_key_reused"):
        await ada.client.rotate_key(other.key.id, overlap="0s", idempotency_key="rotation-1")


async def test_many_rotations_at_once_leave_one_newest_secret(api: Api, second_api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="contended")
    clients = [running.client(ada.client.token) for running in (api, second_api)]
    rotated = await asyncio.gather(
        *(clients[n % 2].rotate_key(minted.key.id, overlap="0s", idempotency_key=f"r{n}") for n in range(12))
    )
    good = [one.secret for one in rotated if (await call(api, one.secret)).status_code == 200]
    shown = await ada.client.get_key(minted.key.id)
    assert [secret[:12] for secret in good] == [shown.prefix]


async def test_a_revoked_key_is_not_rotated(ada: Account) -> None:
    minted = await ada.client.mint_key(name="gone")
    await ada.client.revoke_key(minted.key.id)
    with refused(409, "key_revoked"):
        await ada.client.rotate_key(minted.key.id)


async def test_nobody_rotates_the_keys_of_others(api: Api, ada: Account) -> None:
    eve = await sign_up(api)
    minted = await ada.client.mint_key(name="Ada's")
    with refused(404, "not_found"):
        await eve.client.rotate_key(minted.key.id, overlap="0s")
    assert (await call(api, minted.secret)).status_code == 200


@pytest.mark.parametrize("overlap", ["", "2h", "-1h", "24H", "0"])
async def test_an_overlap_is_one_of_five(ada: Account, overlap: str) -> None:
    minted = await ada.client.mint_key(name="odd")
    with refused(400, "invalid_request"):
        await ada.client.rotate_key(minted.key.id, overlap=overlap)


async def test_rotation_is_in_the_audit_log_without_the_secret(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="audited")
    rotated = await ada.client.rotate_key(minted.key.id, overlap="7d")
    rows = await api.database.fetch(
        "SELECT a.after ->> 'overlap' AS overlap, a::text AS whole FROM audit_events a "
        "WHERE target_id = $1 AND action = 'key.rotate'",
        minted.key.id,
    )
    assert [row["overlap"] for row in rows] == ["7d"]
    assert rotated.secret[12:] not in rows[0]["whole"]


async def test_a_new_root_secret_keeps_the_keys_of_the_old_one_and_hashes_them_anew(
    postgres: EmbeddedPostgres,
) -> None:
    database = await make_database(postgres)
    root = "the-root-secret-of-before-0123456789-abcdef"
    async with run_api(database, OPERIS_SECRET_KEY=root) as before:
        ada = await sign_up(before)
        used, idle = await mint(ada), await mint(ada)
    new_root = "a-brand-new-root-secret-0123456789-abcdef"
    async with run_api(
        database, OPERIS_SECRET_KEY=new_root, OPERIS_SECRET_KEY_PREVIOUS=f"{OLD_ROOT},{root}"
    ) as renewed:
        for _ in range(2):
            assert (await call(renewed, used)).status_code == 200

    def hash_under(secret: str, key: str) -> bytes:
        settings = Settings(public_api_url="", public_dashboard_url="", secret_key=key)
        return Pepper(settings.derive_key("api-key-pepper")).hash(secret)

    stored = {row["secret_hash"] for row in await database.fetch("SELECT secret_hash FROM key_secrets")}
    assert {hash_under(used, new_root), hash_under(idle, root)} <= stored
    assert hash_under(used, root) not in stored

    async with run_api(database, OPERIS_SECRET_KEY=new_root) as forgetful:
        assert (await call(forgetful, used)).status_code == 200
        assert (await call(forgetful, idle)).status_code == 401
