"""A process that is told to stop: readiness turns first, no call is lost, and what runs too long is settled."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.factories import Account, mint, sign_up
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.running import Api, Database, run_api

MODEL = "drained/model"
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "What is the answer?"}], "max_tokens": 50}


@dataclass
class Stage:
    api: Api
    account: Account
    secret: str

    def ask(self, **members: object) -> asyncio.Task[httpx.Response]:
        headers = {"Authorization": f"Bearer {self.secret}"}
        url = f"{self.api.base_url}/v1/chat/completions"
        return asyncio.create_task(self.api.http.post(url, json={**ASKED, **members}, headers=headers))

    def tell_to_stop(self) -> float:
        self.api.process.send_signal(signal.SIGTERM)
        return time.monotonic()

    async def readiness(self) -> httpx.Response:
        async with httpx.AsyncClient() as http:
            return await http.get(f"{self.api.base_url}/readyz")

    async def newest(self, database: Database) -> tuple[str, int]:
        """Return outcome and charge: the process that could tell them is gone."""
        rows = await database.fetch(
            "SELECT outcome, charge_nano FROM usage_records WHERE organization_id = $1 ORDER BY created_at DESC",
            self.account.organization_id,
        )
        held = await database.fetch(
            "SELECT held_nano FROM wallets WHERE organization_id = $1", self.account.organization_id
        )
        assert held[0]["held_nano"] == 0
        return rows[0]["outcome"], rows[0]["charge_nano"]


@pytest.fixture(scope="module")
async def model(provider: OpenAIUpstream, api: Api) -> str:
    admin = await api.admin()
    made = await admin.create_upstream(name="Drained", base_url=provider.base_url, api_key=API_KEY)
    await admin.create_model(id=MODEL, upstream_id=made.id, upstream_model="real-model")
    await admin.create_price(model_id=MODEL, input="2.5", output="10")
    return MODEL


@asynccontextmanager
async def stopping(database: Database, **settings: str) -> AsyncGenerator[Stage]:
    async with run_api(database, **settings) as api:
        account = await sign_up(api)
        yield Stage(api, account, await mint(account))


async def test_readiness_turns_before_the_door_closes_and_calls_are_still_taken(
    database: Database, model: str, script: Script
) -> None:
    async with stopping(database, OPERIS_DRAIN_SECONDS="2") as stage:
        assert (await stage.readiness()).status_code == 200
        began = stage.tell_to_stop()
        await asyncio.sleep(0.3)
        said = await stage.readiness()
        assert (said.status_code, said.json()["code"], said.headers["retry-after"]) == (503, "shutting_down", "1")
        assert (await stage.ask()).status_code == 200  # a balancer may not have noticed yet
        assert await stage.api.stop() == 0  # told twice: at once
        assert time.monotonic() - began < 10
    assert script.status == 200
    assert model == MODEL


async def test_the_door_closes_after_the_notice_and_a_running_stream_ends_well(
    database: Database, model: str, script: Script
) -> None:
    script.seconds_between_words = 0.7
    async with stopping(database, OPERIS_DRAIN_SECONDS="1") as stage:
        running = stage.ask(model=model, stream=True)
        await asyncio.sleep(0.5)
        began = stage.tell_to_stop()
        await asyncio.sleep(1.5)
        with pytest.raises(httpx.TransportError):
            await stage.readiness()
        told = await running
        assert told.text.endswith("data: [DONE]\n\n")
        assert await stage.api.process.wait() == 0
        assert 1 <= time.monotonic() - began < 15
        assert await stage.newest(database) == ("completed", 97_500)


async def test_a_stream_that_does_not_end_in_time_is_told_and_charged_for_what_it_delivered(
    database: Database, model: str, script: Script
) -> None:
    script.words, script.seconds_between_words = ["word "] * 1000, 0.1
    async with stopping(database, OPERIS_GRACEFUL_SECONDS="4") as stage:
        running = stage.ask(model=model, stream=True)
        await asyncio.sleep(0.5)
        began = stage.tell_to_stop()
        told = await running
        assert "shutting_down" in told.text.split("\n\n")[-2]
        assert await stage.api.process.wait() == 0
        assert 1.9 < time.monotonic() - began < 10
        outcome, charge = await stage.newest(database)
        delivered = told.text.count("word ")
        assert outcome == "interrupted"
        assert delivered * 10_000 <= charge <= (delivered * 2 + 20) * 10_000  # an estimate, of five bytes a word


async def test_a_call_that_does_not_end_in_time_is_told_and_costs_nothing(
    database: Database, model: str, script: Script
) -> None:
    script.seconds_before_answer = 30
    async with stopping(database, OPERIS_GRACEFUL_SECONDS="2") as stage:
        running = stage.ask(model=model)
        await asyncio.sleep(0.5)
        stage.tell_to_stop()
        told = await running
        assert (told.status_code, told.json()["error"]["code"]) == (503, "shutting_down")
        assert told.headers["retry-after"] == "1"
        assert await stage.api.process.wait() == 0
        assert await stage.newest(database) == ("failed", 0)


async def test_a_client_that_does_not_read_cannot_keep_the_process(database: Database, model: str) -> None:
    async with stopping(database, OPERIS_GRACEFUL_SECONDS="2") as stage:
        port = int(stage.api.base_url.rsplit(":", 1)[1])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        idle[1][1].write(b"POST /v1/chat/completions HTTP/1.1\r\n")
        head = f"POST /v1/messages HTTP/1.1\r\nx-api-key: {stage.secret}\r\ncontent-length: 9\r\n\r\n"
        idle[2][1].write(head.encode())
        await asyncio.sleep(0.3)
        began = stage.tell_to_stop()
        assert await stage.api.process.wait() == 0
        assert time.monotonic() - began < 10
        for _, writer in idle:
            writer.close()
    assert model == MODEL
