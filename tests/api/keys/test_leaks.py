"""Reports of leaked keys: signed ones revoke, everything else changes nothing."""

import base64
import hashlib
import json
from collections.abc import AsyncGenerator

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from operis_api.keys.secret import new_secret
from operis_api.kit.signatures import is_signed, read_public_key
from operis_api.settings import SettingError, read_settings
from tests.factories import Account
from tests.refusing import refused
from tests.running import Api, Database, run_api

HOST = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}


def public_text(key: ec.EllipticCurvePrivateKey) -> str:
    return base64.b64encode(
        key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ).decode()


def sign(body: bytes, key: ec.EllipticCurvePrivateKey = HOST) -> str:
    return base64.b64encode(key.sign(body, ec.ECDSA(hashes.SHA256()))).decode()


@pytest.fixture(scope="module")
async def listening(database: Database) -> AsyncGenerator[Api]:
    """An API that believes the code host's reports."""
    async with run_api(
        database, OPERIS_LEAK_REPORT_KEYS=f"other:{public_text(STRANGER)},host:{public_text(HOST)}"
    ) as api:
        yield api


async def report(
    api: Api, body: bytes, *, signature: str | None = None, identifier: str | None = "host"
) -> httpx.Response:
    headers = {"content-type": "application/json", "github-public-key-signature": signature or sign(body)}
    if identifier is not None:
        headers["github-public-key-identifier"] = identifier
    return await api.http.post(f"{api.base_url}/api/v1/keys/leaks", content=body, headers=headers)


def body_of(*tokens: str) -> bytes:
    return json.dumps(
        [
            {"token": token, "type": "operis_api_key", "url": "https://git.example/x/y.py", "source": "content"}
            for token in tokens
        ]
    ).encode()


def test_a_signature_of_githubs_documentation_verifies() -> None:
    key = read_public_key(
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd"
        "AjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw=="
    )
    body = b'[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]'
    signature = "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg=="
    assert is_signed(body, signature, key)
    assert not is_signed(body + b" ", signature, key)


async def test_a_reported_key_is_revoked_and_put_on_record_without_its_secret(
    listening: Api, api: Api, ada: Account
) -> None:
    minted = await ada.client.mint_key(name="leaked")
    stranger = new_secret()
    answer = await report(listening, body_of(stranger, minted.secret, "not one of ours"))
    assert answer.status_code == 200
    assert answer.json() == [
        {"token_hash": hashlib.sha256(token.encode()).hexdigest(), "token_type": "operis_api_key", "label": label}
        for token, label in (
            (stranger, "false_positive"),
            (minted.secret, "true_positive"),
            ("not one of ours", "false_positive"),
        )
    ]
    with refused(401, "invalid_api_key"):
        await api.client(minted.secret).create_chat_completion(HELLO)
    mails = await api.database.fetch("SELECT FROM mails WHERE recipient = $1 AND template = 'key_leaked'", ada.email)
    assert len(mails) == 1
    key = await ada.client.get_key(minted.key.id)
    assert (key.status, key.reason) == ("revoked", "It was found in public.")

    assert (await report(listening, body_of(minted.secret))).json()[0]["label"] == "true_positive"
    rows = await api.database.fetch(
        "SELECT a.after ->> 'url' AS url, actor_id, organization_id::text, a::text AS whole FROM audit_events a "
        "WHERE target_id = $1 AND action = 'key.leak'",
        minted.key.id,
    )
    assert [(row["url"], row["actor_id"], row["organization_id"]) for row in rows] == [
        ("https://git.example/x/y.py", None, ada.organization_id)
    ]
    assert minted.secret[12:] not in rows[0]["whole"]
    assert minted.secret not in listening.log.read_text()
    assert "key_leaked" in listening.log.read_text()


async def test_an_old_secret_that_is_over_is_put_on_record_and_the_key_lives(
    listening: Api, api: Api, ada: Account
) -> None:
    minted = await ada.client.mint_key(name="rotated in time")
    rotated = await ada.client.rotate_key(minted.key.id, overlap="0s")
    assert (await report(listening, body_of(minted.secret))).json()[0]["label"] == "true_positive"
    await api.client(rotated.secret).create_chat_completion(HELLO)
    rows = await api.database.fetch(
        "SELECT a.after ->> 'revoked' AS revoked FROM audit_events a WHERE target_id = $1 AND action = 'key.leak'",
        minted.key.id,
    )
    assert [row["revoked"] for row in rows] == ["false"]
    overlapping = await ada.client.rotate_key(minted.key.id, overlap="1h")
    assert (await report(listening, body_of(rotated.secret))).status_code == 200
    with refused(401, "invalid_api_key"):
        await api.client(overlapping.secret).create_chat_completion(HELLO)


async def test_what_is_not_signed_by_a_trusted_key_changes_nothing(listening: Api, api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="kept")
    body = body_of(minted.secret)
    good = sign(body)
    other = base64.b64decode(good)
    tampered = base64.b64encode(other[:-1] + bytes([other[-1] ^ 1])).decode()
    for answer in (
        await report(listening, body, signature=sign(body, STRANGER)),
        await report(listening, body, identifier="other"),
        await report(listening, body, identifier="unknown"),
        await report(listening, body, identifier=None),
        await report(listening, body + b" ", signature=good),
        await report(listening, body, signature=tampered),
        await report(listening, body, signature="garbage"),
        await report(listening, body, signature="AAAA"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert (await ada.client.get_key(minted.key.id)).status == "active"
    assert (
        await api.database.fetch("SELECT FROM audit_events WHERE target_id = $1 AND action = 'key.leak'", minted.key.id)
        == []
    )


async def test_without_a_configured_key_there_is_no_such_route(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="kept")
    for body in (body_of(minted.secret), b"nonsense"):
        answer = await report(api, body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await ada.client.get_key(minted.key.id)).status == "active"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"nonsense", b'[{"token": 7}]', b"\xff", body_of(*["x"] * 1001), b"[" * 900]
)
async def test_a_signed_body_that_does_not_fit_is_refused(listening: Api, body: bytes) -> None:
    assert (await report(listening, body)).status_code == 422


async def test_a_signed_report_of_nothing_is_answered(listening: Api) -> None:
    assert (await report(listening, b"[]")).json() == []


@pytest.mark.parametrize("value", ["host", "host:", "host:AAAA", "host:" + public_text(HOST)[:-8]])
def test_a_public_key_that_is_none_stops_the_start(value: str) -> None:
    with pytest.raises(SettingError, match="OPERIS_LEAK_REPORT_KEYS"):
        read_settings({"OPERIS_LEAK_REPORT_KEYS": value, "OPERIS_SECRET_KEY": "k" * 40})
