"""Every kind of credential on every route: the management API takes access tokens alone, the gateway API keys too."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import pytest

from operis_api.kit.tokens import ALGORITHM, AUDIENCE, ISSUER, TokenSigner
from operis_api.settings import read_settings
from tests.factories import PASSWORD, Account
from tests.habits.walking import PRIVATE, Operation, name_of, read_refusal, send
from tests.running import Api, environment

CLOSED_READS = {"export_me"}
"""What only the person themselves reads."""
TYPES = ("refresh", "mfa", "impersonation", "key", "", "ACCESS", None)
"""Of tokens signed with the right key that are not access tokens."""


@pytest.fixture(scope="session")
async def credentials(api: Api, stranger: Account) -> dict[str, str | None]:
    """One of each kind that opens nothing on the management API, all of one living session but for its kind."""
    tokens = await api.client().login(email=stranger.email, password=PASSWORD)
    settings = read_settings(environment(api.database, Path("/nowhere"), 3001))
    key = settings.derive_key("access-token")
    genuine: dict[str, Any] = jwt.decode(tokens.access_token, key, algorithms=[ALGORITHM], audience=AUDIENCE)
    signer = TokenSigner(key, settings.derive_key("refresh-token"))
    past = datetime.now(UTC) - timedelta(seconds=1)

    def signed(with_key: bytes | str = key, algorithm: str = ALGORITHM, **changes: object) -> str:
        claims = {name: value for name, value in {**genuine, **changes}.items() if value is not None}
        return jwt.encode(claims, with_key, algorithm=algorithm)

    assert genuine["iss"] == ISSUER
    ended = await (await api.admin()).impersonate_user(stranger.user_id, reason="For a test")
    await api.client(ended.token).end_impersonation()
    return {
        "none": None,
        "empty": "",
        "garbage": "garbage",
        "key that is none": "sk-op-garbage",
        "refresh token": tokens.refresh_token,
        "refresh token of nobody": signer.issue_refresh(UUID(int=7), 0),
        **{f"typ {kind}": signed(typ=kind) for kind in TYPES},
        "expired": signed(exp=past),
        "without end": signed(exp=None),
        "of another issuer": signed(iss="attacker"),
        "for another audience": signed(aud="dashboard"),
        "without a session": signed(sid=None),
        "of another's session": signed(sub=str(UUID(int=7))),
        "ended impersonation": ended.token,
        "signed with another key": signed(b"another key of the right length...."),
        "unsigned": signed("", algorithm="none"),
        "another algorithm": signed(key + key, algorithm="HS512"),
    }


@pytest.mark.parametrize("operation", PRIVATE, ids=name_of)
async def test_what_is_no_access_token_opens_no_route(
    api: Api, credentials: dict[str, str | None], operation: Operation
) -> None:
    for kind, credential in credentials.items():
        answer = await send(api, operation, token=credential)
        assert answer.status_code == 401, (kind, answer.text)
        code = read_refusal(answer)
        assert (401, code) in operation.errors, (kind, code)


@pytest.fixture(scope="session")
async def impersonation(api: Api, stranger: Account) -> str:
    return (await (await api.admin()).impersonate_user(stranger.user_id, reason="For a test")).token


@pytest.mark.parametrize("operation", PRIVATE, ids=name_of)
async def test_an_impersonation_opens_what_its_user_may_read_and_nothing_else(
    api: Api, stranger: Account, impersonation: str, operation: Operation
) -> None:
    token = impersonation
    if operation.name == "end_impersonation":
        token = (await (await api.admin()).impersonate_user(stranger.user_id, reason="For a test")).token
    own = {"organization_id": stranger.organization_id}
    answer = await send(api, operation, token=token, values=own)
    if operation.is_gateway:
        assert (answer.status_code, read_refusal(answer)) == (401, "unauthenticated")
    elif operation.name == "end_impersonation":
        assert answer.status_code == 204, answer.text
    elif operation.method != "GET" or operation.name in CLOSED_READS:
        assert (answer.status_code, read_refusal(answer)) == (403, "impersonation_reads_only")
        assert (403, "impersonation_reads_only") in operation.errors
    elif operation.for_operators:
        assert (answer.status_code, read_refusal(answer)) == (403, "forbidden")
    else:
        assert answer.status_code in {200, 404}, answer.text
        assert (403, "impersonation_reads_only") not in operation.errors


@pytest.mark.parametrize("operation", PRIVATE, ids=name_of)
async def test_an_api_key_opens_the_routes_of_its_scopes_and_nothing_else(
    api: Api, stranger: Account, operation: Operation
) -> None:
    secret = (await stranger.client.mint_key(name="walker", scopes=["inference", "models"])).secret
    answer = await send(api, operation, token=secret, values={"model_id": "operis/echo"})
    if operation.is_gateway:
        assert answer.status_code in {200, 400}, answer.text
    elif operation.scope == "models":
        assert answer.status_code == 200, answer.text
    elif operation.scope is not None:
        assert (answer.status_code, read_refusal(answer)) == (403, "scope_required")
        assert (403, "scope_required") in operation.errors
    else:
        assert (answer.status_code, read_refusal(answer)) == (401, "unauthenticated")
