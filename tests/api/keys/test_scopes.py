"""What a key may do: scopes, models by pattern, networks; and that nobody hands on more than they have."""

import ipaddress
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operis_api.access.rights import AREAS, SCOPES, Rights, allows_address, allows_model, find_excess, holds_scope
from tests.factories import Account, sign_up
from tests.refusing import refused
from tests.running import Api, Database, run_api

MESSAGES = [{"role": "user", "content": "hi"}]
CALLS = {
    "inference:chat": ("POST", "/v1/chat/completions", {"model": "operis/echo", "messages": MESSAGES}),
    "inference:messages": ("POST", "/v1/messages", {"model": "operis/echo", "messages": MESSAGES, "max_tokens": 5}),
    "inference:embeddings": ("POST", "/v1/embeddings", {"model": "no/model", "input": "hi"}),
    "models": ("GET", "/v1/models", None),
    "usage": ("GET", "/api/v1/requests", None),
    "billing:read": ("GET", "/api/v1/wallet", None),
    "keys:read": ("GET", "/api/v1/keys", None),
    "keys:write": ("POST", "/api/v1/keys", {"name": ""}),
}
PASSED = {200, 404, 422}
"""What a request answers that its scope let through, for what it then asks."""


@pytest.fixture(scope="module")
async def behind_proxy(database: Database) -> AsyncGenerator[Api]:
    """An API that believes X-Forwarded-For of this machine."""
    async with run_api(database, OPERIS_TRUSTED_PROXIES="127.0.0.0/8") as running:
        yield running


def fact_of(answer: httpx.Response, name: str) -> str:
    """Return a fact of a refusal, whoever's dialect it is told in; empty where there is none."""
    body: dict[str, Any] = answer.json()
    error: dict[str, Any] = body.get("error", body)
    return str(error.get(name, ""))


async def statuses(api: Api, secret: str) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for scope, (method, path, body) in CALLS.items():
        answer = await api.http.request(
            method, api.base_url + path, json=body, headers={"authorization": f"Bearer {secret}"}
        )
        found[scope] = answer.status_code, fact_of(answer, "scope")
    return found


@pytest.mark.parametrize("scope", sorted(SCOPES - {"billing:write"}))
async def test_a_scope_opens_its_own_routes_and_no_other(api: Api, ada: Account, scope: str) -> None:
    minted = await ada.client.mint_key(name="narrow", scopes=[scope])
    for needed, (status, named) in (await statuses(api, minted.secret)).items():
        if holds_scope([scope], needed):
            assert status in PASSED, (needed, status)
        else:
            assert (status, named) == (403, needed)
    assert (await api.client(minted.secret).get_calling_key())["scopes"] == [scope]


async def test_a_new_key_may_call_models_and_list_them_and_nothing_else(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="plain")
    assert minted.key.scopes == ["inference", "models"]
    open_to_it = {scope for scope, (status, _) in (await statuses(api, minted.secret)).items() if status in PASSED}
    assert open_to_it == {"inference:chat", "inference:messages", "inference:embeddings", "models"}


async def test_a_scope_given_or_taken_is_in_force_for_the_next_call(api: Api, second_api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="changing", scopes=["models"])
    chat = {"model": "operis/echo", "messages": MESSAGES}
    for running in (api, second_api):
        with refused(403, "scope_required") as refusal:
            await running.client(minted.secret).create_chat_completion(chat)
        assert (refusal.error.facts["scope"], refusal.error.facts["scopes"]) == ("inference:chat", ["models"])
    await ada.client.update_key(minted.key.id, scopes=["inference:chat"])
    for running in (api, second_api):
        await running.client(minted.secret).create_chat_completion(chat)
    await ada.client.update_key(minted.key.id, scopes=["inference:embeddings"])
    for running in (second_api, api):
        with refused(403, "scope_required"):
            await running.client(minted.secret).create_chat_completion(chat)


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": ["inference:"]},
        {"scopes": ["keys:admin"]},
        {"models": ["*mid*"]},
        {"models": ["a*b"]},
        {"cidrs": ["10.0.0.1/8"]},
        {"cidrs": ["300.0.0.0/8"]},
        {"cidrs": ["::ffff:10.0.0.0/104"]},
        {"cidrs": ["everywhere"]},
        {"cidrs": [""]},
        {"cidrs": [f"10.0.{n}.0/24" for n in range(101)]},
    ],
)
async def test_rights_that_make_no_sense_are_refused_by_field(
    api: Api, ada: Account, body: dict[str, list[str]]
) -> None:
    for path, method in (("keys", "POST"), (f"keys/{(await ada.client.mint_key(name='x')).key.id}", "PATCH")):
        answer = await api.http.request(
            method,
            f"{api.base_url}/api/v1/{path}",
            json={"name": "odd", **body},
            headers={"authorization": f"Bearer {ada.client.token}"},
        )
        assert (answer.status_code, answer.json()["field"]) == (422, next(iter(body)))


async def test_models_are_named_by_their_beginning_too(api: Api, ada: Account, real_model: str) -> None:
    minted = await ada.client.mint_key(name="acme alone", models=["acme/*"])
    client = api.client(minted.secret)
    listed = {model.id async for model in api.openai(minted.secret).models.list()}
    assert real_model in listed
    assert all(model.startswith("acme/") for model in listed)
    with refused(403, "model_not_allowed") as refusal:
        await client.create_chat_completion({"model": "operis/echo", "messages": MESSAGES})
    assert refusal.error.facts["allowed"] == ["acme/*"]
    await ada.client.update_key(minted.key.id, models=["operis/*"])
    await client.create_chat_completion({"model": "operis/echo", "messages": MESSAGES})


async def test_a_key_works_from_its_networks_alone(behind_proxy: Api, api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="office", cidrs=["203.0.113.0/24", "2001:db8::/32", "203.0.113.0/24"])
    assert minted.key.cidrs == ["2001:db8::/32", "203.0.113.0/24"]
    await ada.client.update_key(minted.key.id, scopes=["inference", "models", "keys"])

    async def status(address: str, path: str = "/v1/models", running: Api = behind_proxy) -> tuple[int, str]:
        answer = await running.http.get(
            running.base_url + path, headers={"authorization": f"Bearer {minted.secret}", "x-forwarded-for": address}
        )
        return answer.status_code, fact_of(answer, "address")

    for inside in ("203.0.113.7", "2001:db8::7", "::ffff:203.0.113.7", "198.51.100.1, 203.0.113.7"):
        for path in ("/v1/models", "/v1/key", "/api/v1/keys"):
            assert await status(inside, path) == (200, ""), inside
    for outside in ("203.0.114.7", "2001:db9::7", "::ffff:203.0.114.7", "203.0.113.7, 198.51.100.1", "nonsense"):
        told = outside.rpartition(", ")[2]
        for path in ("/v1/models", "/v1/key", "/api/v1/keys"):
            assert await status(outside, path) == (403, told), outside
    # Whoever stands before no trusted proxy cannot say where they are.
    assert await status("203.0.113.7", running=api) == (403, "127.0.0.1")

    chat = {"model": "operis/echo", "messages": MESSAGES}
    headers = {"authorization": f"Bearer {minted.secret}", "x-forwarded-for": "203.0.113.7"}
    url = f"{behind_proxy.base_url}/v1/chat/completions"
    assert (await behind_proxy.http.post(url, json=chat, headers=headers)).status_code == 200
    headers["x-forwarded-for"] = "203.0.114.7"
    answer = await behind_proxy.http.post(url, json=chat, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "address_not_allowed")
    await ada.client.update_key(minted.key.id, cidrs=[])
    assert (await behind_proxy.http.post(url, json=chat, headers=headers)).status_code == 200


async def test_a_management_key_automates_keys_within_its_own_rights(api: Api, ada: Account) -> None:
    until = datetime.now(UTC) + timedelta(days=10)
    robot = await ada.client.mint_key(
        name="robot", scopes=["keys", "inference:chat"], models=["operis/*"], cidrs=["127.0.0.0/8"], expires_at=until
    )
    client = api.client(robot.secret)
    rights = {"scopes": ["inference:chat"], "models": ["operis/echo"], "cidrs": ["127.0.0.1/32"], "expires_at": until}
    made = await client.mint_key(name="made by a key", **rights)  # type: ignore[arg-type]
    await api.client(made.secret).create_chat_completion({"model": "operis/echo", "messages": MESSAGES})
    assert made.key.owner_email == ada.email

    for field, more in (
        ("scopes", ["inference"]),
        ("scopes", ["billing"]),
        ("models", ["acme/large"]),
        ("models", ["*"]),
        ("models", []),
        ("cidrs", ["0.0.0.0/0"]),
        ("cidrs", []),
        ("cidrs", ["::/0"]),
        ("expires_at", until + timedelta(seconds=1)),
        ("expires_at", None),
    ):
        with refused(403, "beyond_own_rights") as refusal:
            await client.mint_key(name="greedy", **{**rights, field: more})  # type: ignore[arg-type]
        assert refusal.error.facts["field"] == field
        with refused(403, "beyond_own_rights"):
            await client.update_key(made.key.id, **{field: more})  # type: ignore[arg-type]
    assert len((await client.list_keys()).items) == 2

    richer = await ada.client.mint_key(name="richer", scopes=["inference", "billing"])
    await ada.client.disable_key(richer.key.id)
    with refused(403, "beyond_own_rights"):
        await client.rotate_key(richer.key.id)
    with refused(403, "beyond_own_rights"):
        await client.enable_key(richer.key.id)
    with refused(403, "beyond_own_rights"):
        await client.update_key(richer.key.id, scopes=["inference:chat"])
    assert (await client.revoke_key(richer.key.id)).status == "revoked"

    rows = await api.database.fetch(
        "SELECT action FROM audit_events WHERE key_id = $1::text::uuid AND actor_id = $2::text::uuid ORDER BY id",
        robot.key.id,
        ada.user_id,
    )
    assert [row["action"] for row in rows] == ["key.mint", "key.revoke"]


async def test_a_management_key_may_change_itself_only_to_less(api: Api, ada: Account) -> None:
    robot = await ada.client.mint_key(name="robot", scopes=["keys", "usage"])
    client = api.client(robot.secret)
    with refused(403, "beyond_own_rights"):
        await client.update_key(robot.key.id, scopes=["keys", "inference"])
    assert (await client.update_key(robot.key.id, scopes=["keys:read"])).scopes == ["keys:read"]
    with refused(403, "scope_required"):
        await client.update_key(robot.key.id, scopes=["keys", "usage"])


async def test_a_management_key_stays_in_its_organization(api: Api, ada: Account) -> None:
    eve = await sign_up(api)
    robot = await ada.client.mint_key(name="robot", scopes=["keys", "usage", "billing"])
    client = api.client(robot.secret)
    client.organization_id = eve.organization_id
    for asked in (client.list_keys(), client.list_requests(), client.get_wallet(), client.mint_key(name="hers")):
        with refused(404, "not_found"):
            await asked
    client.organization_id = ada.organization_id
    assert [key.name for key in (await client.list_keys()).items] == ["robot"]
    client.organization_id = None
    theirs = (await eve.client.mint_key(name="Eve's")).key
    with refused(404, "not_found"):
        await client.revoke_key(theirs.id)


async def test_a_management_key_repeats_a_lost_mint_by_its_own_idempotency_key(api: Api, ada: Account) -> None:
    robots = [(await ada.client.mint_key(name=f"robot {n}", scopes=["keys", "models"])).secret for n in range(2)]
    first, again, other = [
        await api.client(secret).mint_key(name="once", scopes=["models"], idempotency_key="same")
        for secret in (robots[0], robots[0], robots[1])
    ]
    assert first == again
    assert first.secret != other.secret


async def test_an_expired_disabled_or_revoked_key_opens_no_management_route(api: Api, ada: Account) -> None:
    robot = await ada.client.mint_key(name="robot", scopes=["keys"])
    client = api.client(robot.secret)
    await client.list_keys()
    await ada.client.disable_key(robot.key.id)
    with refused(403, "key_disabled"):
        await client.list_keys()
    await ada.client.enable_key(robot.key.id)
    await ada.client.revoke_key(robot.key.id)
    with refused(401, "invalid_api_key"):
        await client.list_keys()


patterns = st.sampled_from(["a", "ab", "a*", "ab*", "*", "b/c", "b/*"])
models = st.text("abc/", min_size=1, max_size=4)


@given(st.frozensets(patterns), st.frozensets(patterns), models)
def test_rights_within_others_open_nothing_that_those_do_not(
    inner: frozenset[str], outer: frozenset[str], model: str
) -> None:
    if find_excess(Rights(models=inner), Rights(models=outer)) is None and allows_model(inner, model):
        assert allows_model(outer, model)


scopes = st.frozensets(st.sampled_from(sorted(SCOPES)))


@given(scopes, scopes)
def test_scopes_within_others_open_nothing_that_those_do_not(inner: frozenset[str], outer: frozenset[str]) -> None:
    if find_excess(Rights(scopes=inner), Rights(scopes=outer)) is None:
        assert all(holds_scope(outer, one) for one in SCOPES if holds_scope(inner, one))
    assert find_excess(Rights(scopes=inner), Rights(scopes=frozenset(AREAS))) is None


def network_of(number: int, bits: int) -> str:
    return str(ipaddress.IPv4Network((number >> (32 - bits) << (32 - bits), bits)))


networks = st.builds(network_of, st.integers(0, 2**32 - 1), st.integers(0, 32))


@given(st.frozensets(networks, max_size=3), st.frozensets(networks, max_size=3), st.ip_addresses(v=4))
def test_networks_within_others_open_nothing_that_those_do_not(
    inner: frozenset[str], outer: frozenset[str], address: ipaddress.IPv4Address
) -> None:
    if find_excess(Rights(cidrs=inner), Rights(cidrs=outer)) is None and allows_address(inner, str(address)):
        assert allows_address(outer, str(address))
