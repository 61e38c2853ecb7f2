"""Streams of those who lose their right end at once, in their dialect, and what was delivered is charged."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

import httpx
import pytest

from operis_client import AsyncOperis
from tests.factories import Account, set_balance, sign_up
from tests.fakes.anthropic_upstream import Script as ClaudeScript
from tests.fakes.anthropic_upstream import text_block
from tests.fakes.openai_upstream import Script
from tests.running import Api, Database, run_api

MESSAGES = [{"role": "user", "content": "Tell me all."}]


@pytest.fixture
async def ada(api: Api, admin: AsyncOperis) -> Account:
    account = await sign_up(api)
    await set_balance(admin, account, "10")
    return account


@pytest.fixture
def endless(script: Script) -> Script:
    script.words = [f"word{n} " for n in range(600)]
    script.seconds_between_words = 0.1
    return script


async def cut_after_three_words(
    api: Api, path: str, body: dict[str, object], credential: str, cut: Callable[[], Awaitable[object]]
) -> tuple[bytes, float, str]:
    """Return all that was streamed, how long after the cut it ended, and the request's id."""
    headers = {"authorization": f"Bearer {credential}"}
    async with api.http.stream("POST", api.base_url + path, json=body, headers=headers) as answer:
        assert answer.status_code == 200
        received, cut_at = b"", 0.0
        async for piece in answer.aiter_raw():
            received += piece
            if not cut_at and b"word2" in received:
                await cut()
                cut_at = time.monotonic()
        return received, time.monotonic() - cut_at, answer.headers["x-operis-request-id"]


def last_event(received: bytes) -> tuple[bytes, dict[str, object]]:
    """Return the name of the last event and its error."""
    *_, last, rest = received.split(b"\n\n")
    assert rest == b""
    head, _, data = last.rpartition(b"data: ")
    found: dict[str, dict[str, object]] = json.loads(data)
    return head, found["error"]


async def remove_from_organization(account: Account, api: Api) -> None:
    """Remove the member, as their organization would."""
    await api.database.fetch("DELETE FROM memberships WHERE user_id = $1::text::uuid", account.user_id)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("revoke", "invalid_api_key"),
        ("delete", "invalid_api_key"),
        ("disable", "key_disabled"),
        ("rotate", "invalid_api_key"),
        ("suspend", "suspended"),
        ("suspend organization", "suspended"),
        ("remove", "invalid_api_key"),
    ],
)
async def test_the_stream_of_a_key_that_is_not_good_any_more_ends_within_a_second_and_settles(
    api: Api, ada: Account, admin: AsyncOperis, endless: Script, real_model: str, name: str, code: str
) -> None:
    minted = await ada.client.mint_key(name="cut")
    cuts: dict[str, Callable[[], Awaitable[object]]] = {
        "revoke": lambda: ada.client.revoke_key(minted.key.id),
        "delete": lambda: ada.client.delete_key(minted.key.id),
        "disable": lambda: ada.client.disable_key(minted.key.id),
        "rotate": lambda: ada.client.rotate_key(minted.key.id, overlap="0s"),
        "suspend": lambda: admin.update_user(ada.user_id, status="suspended", reason="Unpaid"),
        "suspend organization": lambda: api.database.fetch(
            "UPDATE organizations SET status = 'suspended' WHERE id = $1::text::uuid", ada.organization_id
        ),
        "remove": lambda: remove_from_organization(ada, api),
    }
    body: dict[str, object] = {"model": real_model, "messages": MESSAGES, "stream": True, "max_tokens": 2000}
    received, seconds, request_id = await cut_after_three_words(
        api, "/v1/chat/completions", body, minted.secret, cuts[name]
    )
    assert seconds < 1
    head, error = last_event(received)
    assert (head, error["code"], error["request_id"]) == (b"", code, request_id)
    assert b"[DONE]" not in received

    (record,) = await api.database.fetch("SELECT * FROM usage_records WHERE id = $1::text::uuid", request_id)
    words = received.count(b"word")
    assert (record["outcome"], record["estimated"]) == ("interrupted", True)
    assert 3 <= words <= 20
    assert 0 < record["output"] <= words * 3
    assert record["charge_nano"] == record["input"] * 2500 + record["output"] * 10000
    assert await api.database.fetch("SELECT FROM holds WHERE id = $1::text::uuid", request_id) == []
    assert await api.database.broken_invariants() == []


async def test_the_end_is_told_in_anthropics_dialect_too(
    api: Api, ada: Account, claude_script: ClaudeScript, claude: str
) -> None:
    claude_script.blocks = [text_block(" ".join(f"word{n}" for n in range(600)))]
    claude_script.seconds_between_deltas = 0.1
    minted = await ada.client.mint_key(name="cut")
    body: dict[str, object] = {"model": claude, "messages": MESSAGES, "stream": True, "max_tokens": 2000}
    received, seconds, _ = await cut_after_three_words(
        api, "/v1/messages", body, minted.secret, lambda: ada.client.revoke_key(minted.key.id)
    )
    assert seconds < 1
    head, error = last_event(received)
    assert (head, error["code"]) == (b"event: error\n", "invalid_api_key")


async def test_signing_out_ends_the_streams_of_the_session(
    api: Api, ada: Account, endless: Script, real_model: str
) -> None:
    body: dict[str, object] = {"model": real_model, "messages": MESSAGES, "stream": True, "max_tokens": 2000}
    received, seconds, _ = await cut_after_three_words(
        api, "/v1/chat/completions", body, ada.client.token or "", ada.client.logout_all
    )
    assert seconds < 1
    assert last_event(received)[1]["code"] == "invalid_api_key"


async def test_streams_of_others_go_on(api: Api, ada: Account, endless: Script, real_model: str) -> None:
    endless.words = endless.words[:20]
    kept, ended = [await ada.client.mint_key(name=name) for name in ("kept", "ended")]
    body = {"model": real_model, "messages": MESSAGES, "stream": True, "max_tokens": 2000}

    async def revoke_soon() -> None:
        await asyncio.sleep(0.5)
        await ada.client.revoke_key(ended.key.id)

    headers = {"authorization": f"Bearer {kept.secret}"}
    answer, _ = await asyncio.gather(
        api.http.post(f"{api.base_url}/v1/chat/completions", json=body, headers=headers), revoke_soon()
    )
    assert b"word19" in answer.content
    assert answer.content.endswith(b"data: [DONE]\n\n")


async def test_a_key_that_expires_ends_its_streams_by_itself(
    api: Api, ada: Account, endless: Script, real_model: str
) -> None:
    minted = await ada.client.mint_key(name="cut")
    body: dict[str, object] = {"model": real_model, "messages": MESSAGES, "stream": True, "max_tokens": 2000}

    async def let_it_expire() -> None:
        await api.database.fetch(
            "UPDATE api_keys SET expires_at = now() + interval '1 second' WHERE id = $1::text::uuid", minted.key.id
        )

    received, seconds, _ = await cut_after_three_words(api, "/v1/chat/completions", body, minted.secret, let_it_expire)
    assert 1 <= seconds < 6
    assert last_event(received)[1]["code"] == "invalid_api_key"


@pytest.fixture
async def deaf(database: Database) -> AsyncGenerator[Api]:
    """An API that hears no notification."""
    async with run_api(database, OPERIS_LISTEN_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere") as running:
        yield running


async def test_a_process_that_hears_nothing_ends_the_stream_within_five_seconds(
    deaf: Api, ada: Account, endless: Script, real_model: str
) -> None:
    minted = await ada.client.mint_key(name="cut")
    body: dict[str, object] = {"model": real_model, "messages": MESSAGES, "stream": True, "max_tokens": 2000}
    received, seconds, _ = await cut_after_three_words(
        deaf, "/v1/chat/completions", body, minted.secret, lambda: ada.client.revoke_key(minted.key.id)
    )
    assert seconds < 5
    assert last_event(received)[1]["code"] == "invalid_api_key"
    assert "listener_away" in deaf.log.read_text()


async def test_a_stream_whose_upstream_is_silent_ends_too(
    api: Api, ada: Account, endless: Script, real_model: str
) -> None:
    endless.seconds_between_words = 30
    minted = await ada.client.mint_key(name="cut")
    body = {"model": real_model, "messages": MESSAGES, "stream": True, "max_tokens": 2000}
    headers = {"authorization": f"Bearer {minted.secret}"}
    async with api.http.stream("POST", f"{api.base_url}/v1/chat/completions", json=body, headers=headers) as answer:
        pieces = answer.aiter_raw()
        received = await anext(pieces)
        await ada.client.revoke_key(minted.key.id)
        async with asyncio.timeout(1):
            async for piece in pieces:
                received += piece
    assert last_event(received)[1]["code"] == "invalid_api_key"


async def test_a_client_that_left_before_the_end_is_charged_once(
    api: Api, ada: Account, endless: Script, real_model: str
) -> None:
    minted = await ada.client.mint_key(name="cut")
    body = {"model": real_model, "messages": MESSAGES, "stream": True, "max_tokens": 2000}
    headers = {"authorization": f"Bearer {minted.secret}"}
    async with (
        httpx.AsyncClient() as http,
        http.stream("POST", f"{api.base_url}/v1/chat/completions", json=body, headers=headers) as answer,
    ):
        request_id = answer.headers["x-operis-request-id"]
        await anext(answer.aiter_raw())
    await ada.client.revoke_key(minted.key.id)
    async with asyncio.timeout(10):
        while not (rows := await api.database.fetch("SELECT * FROM usage_records WHERE id = $1::uuid", request_id)):
            await asyncio.sleep(0.1)
    assert rows[0]["outcome"] in {"disconnected", "interrupted"}
    assert await api.database.broken_invariants() == []
