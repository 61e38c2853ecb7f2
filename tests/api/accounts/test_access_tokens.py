"""Access tokens: one algorithm, every claim required, and nothing else is taken for one."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from operis_client import AsyncOperis
from tests.factories import PASSWORD, Account, mint
from tests.refusing import refused
from tests.running import Api

SECRET_KEY = "for-tests-alone-0123456789-abcdefghijklmnop"
"""What tests/running.py starts the API with: these tests sign as a thief of the key would, with one thing wrong."""
ACCESS_KEY = hmac.digest(SECRET_KEY.encode(), b"operis/access-token", hashlib.sha256)
REFRESH_KEY = hmac.digest(SECRET_KEY.encode(), b"operis/refresh-token", hashlib.sha256)


@pytest.fixture
def claims(ada: Account) -> dict[str, object]:
    """What the API itself would sign for Ada, now."""
    assert ada.client.token is not None
    return jwt.decode(ada.client.token, options={"verify_signature": False})


def sign(claims: dict[str, object], key: bytes = ACCESS_KEY, **headers: object) -> str:
    return jwt.encode(claims, key, algorithm="HS256", headers=headers)


async def expect_refusal(api: Api, token: str) -> None:
    """Expect both doors to refuse the token: the management API and the gateway."""
    client = api.client(token)
    with refused(401, "unauthenticated"):
        await client.get_me()
    with refused(401, "unauthenticated"):
        await client.list_gateway_models()


async def test_a_token_signed_as_the_api_signs_is_accepted(api: Api, ada: Account, claims: dict[str, object]) -> None:
    assert (await api.client(sign(claims)).get_me()).user.id == ada.user_id
    assert set(claims) == {"iss", "aud", "sub", "sid", "typ", "iat", "exp"}
    assert int(str(claims["exp"])) - int(str(claims["iat"])) == 600


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "typ", "exp"])
async def test_a_missing_claim_is_refused(api: Api, claims: dict[str, object], claim: str) -> None:
    del claims[claim]
    await expect_refusal(api, sign(claims))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "somebody"),
        ("aud", "another-api"),
        ("typ", "refresh"),
        ("typ", "mfa"),
        ("typ", None),
        ("sub", "admin"),
        ("sub", "' OR 1=1 --"),
        ("sid", ""),
        ("exp", "tomorrow"),
    ],
)
async def test_another_claim_is_refused(api: Api, claims: dict[str, object], claim: str, value: object) -> None:
    await expect_refusal(api, sign({**claims, claim: value}))


async def test_an_expired_token_is_refused_by_name(api: Api, claims: dict[str, object]) -> None:
    token = sign({**claims, "exp": datetime.now(UTC) - timedelta(seconds=1)})
    with refused(401, "unauthenticated") as refusal:
        await api.client(token).get_me()
    assert "expired" in refusal.error.detail


async def test_a_session_and_a_user_that_do_not_belong_together_are_refused(
    api: Api, claims: dict[str, object], admin: AsyncOperis
) -> None:
    somebody, nowhere = (await admin.get_me()).user.id, "00000000-0000-7000-8000-000000000001"
    for wrong in ({"sub": somebody}, {"sid": nowhere}, {"sub": nowhere}):
        client = api.client(sign({**claims, **wrong}))
        with refused(401, "unauthenticated"):
            await client.get_me()
        with refused(401, "invalid_api_key"):
            await client.list_gateway_models()


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
async def test_an_unsigned_token_is_refused(api: Api, claims: dict[str, object], name: str) -> None:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    body = f"{part({'alg': name, 'typ': 'JWT'})}.{part(claims)}"
    for signature in ("", "AAAA"):
        await expect_refusal(api, f"{body}.{signature}")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_another_algorithm_with_the_right_key_is_refused(
    api: Api, claims: dict[str, object], algorithm: str
) -> None:
    longer = ACCESS_KEY  # the key is right; only the algorithm is not ours
    with pytest.warns(UserWarning, match="below the minimum recommended length"):
        token = jwt.encode(claims, longer, algorithm=algorithm)
    await expect_refusal(api, token)


async def test_another_key_is_refused_whatever_the_header_says_of_it(api: Api, claims: dict[str, object]) -> None:
    foreign = b"the attacker's own key, long enough"
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(foreign).decode().rstrip("=")}
    headers: list[dict[str, object]] = [
        {},
        {"kid": "../../../../dev/null"},
        {"kid": "' UNION SELECT 'key' --"},
        {"jku": "https://attacker.example/jwks.json"},
        {"x5u": "https://attacker.example/cert.pem"},
        {"jwk": jwk},
    ]
    for header in headers:
        await expect_refusal(api, sign(claims, foreign, **header))
    await expect_refusal(api, sign(claims, REFRESH_KEY))
    await expect_refusal(api, sign(claims, b"\x00" * 32))


async def test_headers_that_point_elsewhere_change_nothing_for_the_right_key(
    api: Api, ada: Account, claims: dict[str, object]
) -> None:
    token = sign(claims, kid="../../etc/passwd", jku="https://attacker.example/jwks.json")
    assert (await api.client(token).get_me()).user.id == ada.user_id


async def test_no_other_credential_is_taken_for_an_access_token(api: Api, ada: Account) -> None:
    refresh = (await api.client().login(email=ada.email, password=PASSWORD)).refresh_token
    await expect_refusal(api, refresh)
    secret = await mint(ada)
    with refused(401, "unauthenticated"):
        await api.client(secret).get_me()
    for token in ("null", "undefined", "...", "a.b.c", "x" * 8000):
        await expect_refusal(api, token)


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YWRhOmFkYQ==", "Token abc"])
async def test_a_header_without_a_bearer_token_is_refused(api: Api, header: str) -> None:
    answer = await api.http.get(f"{api.base_url}/api/v1/me", headers={"authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_an_access_token_in_a_cookie_or_query_is_not_looked_at(api: Api, ada: Account) -> None:
    token = ada.client.token or ""
    answer = await api.http.get(
        f"{api.base_url}/api/v1/me?access_token={token}&token={token}", headers={"cookie": f"access_token={token}"}
    )
    assert answer.status_code == 401
