"""Upstreams: credentials go in and never come out, and addresses stay outside the operator's own network."""

import asyncio
import secrets

import pytest

from operis_client import AsyncOperis
from tests.factories import Account, mint
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream
from tests.refusing import refused
from tests.running import Api

# What leads to the operator's own machines, in every way of writing it.
INSIDE = [
    "http://10.0.0.1/v1",
    "http://172.16.5.4/v1",
    "http://192.168.1.1/v1",
    "http://100.64.0.1/v1",
    "http://169.254.169.254/latest/meta-data",
    "http://0.0.0.0/v1",
    "http://255.255.255.255/v1",
    "http://224.0.0.1/v1",
    "http://192.0.2.1/v1",
    "http://2852039166/latest/meta-data",
    "http://0xa9fea9fe/latest/meta-data",
    "http://0xA9.0xFE.0xA9.0xFE/latest/meta-data",
    "http://0251.0376.0251.0376/latest/meta-data",
    "http://169.16689662/latest/meta-data",
    "http://10.1/v1",
    "http://[fd00::1]/v1",
    "http://[fe80::1]/v1",
    "http://[fe80::1%25eth0]/v1",
    "http://[::]/v1",
    "http://[::ffff:10.0.0.1]/v1",
    "http://[::ffff:a9fe:a9fe]/v1",
    "http://[::10.0.0.1]/v1",
    "http://[64:ff9b::10.0.0.1]/v1",
    "http://[2002:a00:1::]/v1",
    "http://[fd00:ec2::254]/v1",
]
LOOPBACK = [
    "http://127.0.0.1/v1",
    "http://127.1/v1",
    "http://127.255.255.254:8080/v1",
    "http://2130706433/v1",
    "http://0x7f000001/v1",
    "http://0x7f.1/v1",
    "http://0177.0.0.1/v1",
    "http://017700000001/v1",
    "http://[::1]/v1",
    "http://[::ffff:127.0.0.1]/v1",
    "http://[::ffff:7f00:1]/v1",
    "http://[64:ff9b::7f00:1]/v1",
    "http://localhost/v1",
    "http://LOCALHOST:5432/v1",
    "http://localhost./v1",
]
NO_ADDRESS = [
    "",
    "example.com/v1",
    "//example.com/v1",
    "ftp://example.com/v1",
    "file:///etc/passwd",
    "gopher://example.com:70/1",
    "javascript:alert(1)",
    "http://",
    "http:///v1",
    "http://[::1",
    "http://[::g]/v1",
    "http://example.com:99999/v1",
    "http://example.com:0/v1",
    "http://example.com:port/v1",
    "http://user@example.com/v1",
    "http://user:password@example.com/v1",
    "http://example.com@10.0.0.1/v1",
    "http://10.0.0.1\\@example.com/v1",
    "http://example.com/v1?key=1",
    "http://example.com/v1#here",
    "http://exam\nple.com/v1",
    "http://example.com/v1\r\nHost: internal",
    "http://exa mple.com/v1",
    "http://example.com/\x00",
    "http://\u2460\u2461\u2466.0.0.1/v1",
    f"http://{'a' * 64}.example.com/v1",
    "http://a..example.com/v1",
    f"http://example.com/{'a' * 2000}",
]


def new_name() -> str:
    return f"upstream {secrets.token_hex(4)}"


@pytest.mark.parametrize("base_url", [*INSIDE, *NO_ADDRESS])
async def test_an_address_inside_or_none_at_all_is_refused(admin: AsyncOperis, base_url: str) -> None:
    with refused(422, "invalid_field") as refusal:
        await admin.create_upstream(name=new_name(), base_url=base_url, api_key=API_KEY)
    assert refusal.error.facts["field"] == "base_url"


@pytest.fixture(scope="session")
async def production_admin(production: Api) -> AsyncOperis:
    return await production.admin()


@pytest.mark.parametrize("base_url", [*LOOPBACK, *INSIDE])
async def test_in_production_loopback_is_inside_too(production_admin: AsyncOperis, base_url: str) -> None:
    with refused(422, "invalid_field") as refusal:
        await production_admin.create_upstream(name=new_name(), base_url=base_url, api_key=API_KEY)
    assert refusal.error.facts["field"] == "base_url"


async def test_an_existing_upstream_cannot_be_moved_inside(admin: AsyncOperis, provider: OpenAIUpstream) -> None:
    upstream = await admin.create_upstream(name=new_name(), base_url=provider.base_url, api_key=API_KEY)
    for base_url in ("http://169.254.169.254/v1", "http://[::ffff:10.0.0.1]/v1", "http://[::1"):
        with refused(422, "invalid_field") as refusal:
            await admin.update_upstream(upstream.id, base_url=base_url, api_key=API_KEY)
        assert refusal.error.facts["field"] == "base_url"


async def test_a_credential_is_shown_by_its_last_four_alone(
    api: Api, admin: AsyncOperis, provider: OpenAIUpstream
) -> None:
    name = new_name()
    credential = f"sk-provider-{secrets.token_hex(16)}"
    made = await admin.create_upstream(name=name, base_url=provider.base_url + "/", api_key=f" {credential} ")
    assert (made.name, made.base_url, made.api_key_last_four) == (name, provider.base_url, credential[-4:])
    assert (made.protocol, made.enabled, made.models) == ("openai", True, 0)
    headers = {"authorization": f"Bearer {admin.token}"}
    listed = await api.http.get(f"{api.base_url}/api/v1/admin/upstreams", headers=headers)
    assert name in listed.text
    assert credential[:-4] not in listed.text
    for table in ("upstreams", "audit_events", "idempotent_answers"):
        rows = await api.database.fetch(f"SELECT t::text AS whole FROM {table} t")
        assert all(credential not in row["whole"] for row in rows)
        assert all(credential.encode().hex() not in row["whole"] for row in rows)
    assert credential not in api.log.read_text()


@pytest.mark.parametrize(("credential", "shown"), [("abcd", ""), ("abcdefghijk", ""), ("abcdefghijkl", "ijkl")])
async def test_of_a_short_credential_nothing_is_shown(
    admin: AsyncOperis, provider: OpenAIUpstream, credential: str, shown: str
) -> None:
    made = await admin.create_upstream(name=new_name(), base_url=provider.base_url, api_key=credential)
    assert made.api_key_last_four == shown


@pytest.mark.parametrize("credential", ["", "   ", "a\nb", "a\x00b", "\u043a\u043b\u044e\u0447", "k" * 1001])
async def test_a_credential_that_no_header_can_carry_is_refused(
    admin: AsyncOperis, provider: OpenAIUpstream, credential: str
) -> None:
    with refused(422, "invalid_field") as refusal:
        await admin.create_upstream(name=new_name(), base_url=provider.base_url, api_key=credential)
    assert refusal.error.facts["field"] == "api_key"


async def test_two_upstreams_do_not_share_a_name(admin: AsyncOperis, provider: OpenAIUpstream) -> None:
    name = new_name()
    await admin.create_upstream(name=name, base_url=provider.base_url, api_key=API_KEY)
    with refused(409, "name_taken"):
        await admin.create_upstream(name=name, base_url=provider.base_url, api_key=API_KEY)
    other = await admin.create_upstream(name=new_name(), base_url=provider.base_url, api_key=API_KEY)
    with refused(409, "name_taken"):
        await admin.update_upstream(other.id, name=name)


async def test_an_idempotency_key_creates_one_upstream(admin: AsyncOperis, provider: OpenAIUpstream) -> None:
    name = new_name()

    async def create(named: str) -> str:
        made = await admin.create_upstream(
            name=named, base_url=provider.base_url, api_key=API_KEY, idempotency_key=name
        )
        return made.id

    first = await create(name)
    assert await create(name) == first
    with refused(422, "idempotency_key_reused"):
        await create(new_name())
    assert [row.name for row in (await admin.list_upstreams()).items].count(name) == 1


async def test_the_test_button_asks_the_provider_with_the_stored_credential(
    admin: AsyncOperis, provider: OpenAIUpstream
) -> None:
    good = await admin.create_upstream(name=new_name(), base_url=provider.base_url, api_key=API_KEY)
    result = await admin.test_upstream(good.id)
    assert (result.ok, result.status, result.error, result.models) == (True, 200, None, ["real-model"])
    assert result.latency_ms < 5000


async def test_the_test_button_says_what_failed(admin: AsyncOperis, provider: OpenAIUpstream) -> None:
    wrong = await admin.create_upstream(name=new_name(), base_url=provider.base_url, api_key="sk-wrong-credential")
    result = await admin.test_upstream(wrong.id)
    assert (result.ok, result.status, result.models) == (False, 401, [])
    assert result.error is not None
    assert "Incorrect API key" in result.error
    assert "sk-wrong-credential" not in result.error

    nobody = await admin.create_upstream(name=new_name(), base_url="http://127.0.0.1:9/v1", api_key=API_KEY)
    result = await admin.test_upstream(nobody.id)
    assert (result.ok, result.status, result.models) == (False, None, [])
    assert result.error

    elsewhere = await admin.create_upstream(
        name=new_name(), base_url=provider.base_url.removesuffix("/v1"), api_key=API_KEY
    )
    result = await admin.test_upstream(elsewhere.id)
    assert (result.ok, result.status) == (False, 404)


async def test_a_provider_that_quotes_the_credential_does_not_tell_it(admin: AsyncOperis) -> None:
    credential = f"plain{secrets.token_hex(16)}"

    async def quote(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        given = next(line for line in head.decode().splitlines() if line.lower().startswith("authorization:"))
        body = '{"error": {"message": "no such key: ' + given.split()[-1] + '"}}'
        writer.write(f"HTTP/1.1 401 Unauthorized\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(quote, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        made = await admin.create_upstream(name=new_name(), base_url=f"http://127.0.0.1:{port}/v1", api_key=credential)
        result = await admin.test_upstream(made.id)
    assert result.error == "HTTP 401: no such key: [removed]"


async def test_a_new_address_needs_the_credential_again(admin: AsyncOperis, provider: OpenAIUpstream) -> None:
    made = await admin.create_upstream(name=new_name(), base_url=provider.base_url, api_key=API_KEY)
    moved = provider.base_url.replace("127.0.0.1", "127.0.0.2")
    with refused(422, "invalid_field") as refusal:
        await admin.update_upstream(made.id, base_url=moved)
    assert refusal.error.facts["field"] == "api_key"
    listed = {row.id: row.base_url for row in (await admin.list_upstreams()).items}
    assert listed[made.id] == provider.base_url
    same = await admin.update_upstream(made.id, base_url=provider.base_url + "/", name=new_name())
    assert same.base_url == provider.base_url
    changed = await admin.update_upstream(made.id, base_url=moved, api_key="sk-another-9876")
    assert (changed.base_url, changed.api_key_last_four) == (moved, "9876")


async def test_a_disabled_upstream_serves_nobody_from_the_next_call_on(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account, provider: OpenAIUpstream
) -> None:
    made = await admin.create_upstream(name=new_name(), base_url=provider.base_url, api_key=API_KEY)
    model = f"acme/{secrets.token_hex(4)}"
    await admin.create_model(id=model, upstream_id=made.id, upstream_model="real-model", default_output_tokens=100)
    await admin.create_price(model_id=model, input="1", output="1")
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    secret = await mint(ada)
    for running in (api, second_api):
        await running.client(secret).create_chat_completion(body)
    off = await admin.update_upstream(made.id, enabled=False)
    assert (off.enabled, off.models) == (False, 1)
    for running in (api, second_api):
        with refused(404, "model_not_found"):
            await running.client(secret).create_chat_completion(body)
    await admin.update_upstream(made.id, enabled=True)
    for running in (api, second_api):
        await running.client(secret).create_chat_completion(body)


async def test_the_built_in_echo_cannot_be_pointed_elsewhere(admin: AsyncOperis, provider: OpenAIUpstream) -> None:
    echo = next(row for row in (await admin.list_upstreams()).items if row.protocol == "echo")
    assert (echo.base_url, echo.api_key_last_four) == ("", "")
    with refused(409, "built_in"):
        await admin.update_upstream(echo.id, base_url=provider.base_url, api_key=API_KEY)
    with refused(409, "built_in"):
        await admin.update_upstream(echo.id, name="Mine")
    with refused(409, "built_in"):
        await admin.create_model(id="acme/echo", upstream_id=echo.id, upstream_model="echo")
    assert (await admin.test_upstream(echo.id)).ok


async def test_an_unknown_upstream_is_not_found(admin: AsyncOperis) -> None:
    nowhere = "00000000-0000-7000-8000-00000000dead"
    with refused(404, "not_found"):
        await admin.update_upstream(nowhere, enabled=False)
    with refused(404, "not_found"):
        await admin.test_upstream(nowhere)
