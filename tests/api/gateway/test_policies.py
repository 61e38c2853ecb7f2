"""What is charged when a provider misbehaves, wherever in its answer it does: at every boundary of its chunks."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest

from operis_client import AsyncOperis
from tests.factories import Account, mint, sign_up
from tests.fakes.raw_upstream import STREAM_HEAD, Play, RawUpstream, run_raw_upstream
from tests.running import Api, Database, run_api

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
EXACT = "0.000025"  # 11 x 1 + 7 x 2 microcredits
NOTHING = "0"


def chunk(delta: dict[str, str], finish: str | None = None, **members: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "real", "choices": [choice]}
    return b"data: " + json.dumps({**frame, **members}, ensure_ascii=False).encode() + b"\n\n"


def usage_chunk(**usage: object) -> bytes:
    frame: dict[str, object] = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "real",
        "choices": [],
    }
    return b"data: " + json.dumps({**frame, "usage": {**USAGE, **usage}}).encode() + b"\n\n"


WORDS = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in ("The answer ", "is 42."))]
END = chunk({}, "stop")
DONE = b"data: [DONE]\n\n"
WHOLE = [*WORDS, END, usage_chunk(), DONE]


@dataclass
class Told:
    status: int
    text: str
    failed: bool
    """Whether the answer, or the stream's end, is an error."""
    charge: str
    outcome: str
    estimated: bool


@dataclass
class Stage:
    """A model behind a provider that plays what it is told, called by somebody with credits."""

    api: Api
    account: Account
    secret: str
    upstream: RawUpstream

    async def call(self, play: Play, *, stream: bool = True) -> Told:
        self.upstream.play = play
        body = {
            "model": "raw/model",
            "messages": [{"role": "user", "content": "What is the answer?"}],
            "max_tokens": 90,
        }
        answer = await self.api.http.post(
            f"{self.api.base_url}/v1/chat/completions",
            json={**body, "stream": stream},
            headers={"Authorization": f"Bearer {self.secret}"},
        )
        text, failed = answer.text, answer.status_code != 200
        if stream and not failed:
            payloads = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
            events = [json.loads(payload) for payload in payloads]
            failed = any("error" in event for event in events) or "[DONE]" not in answer.text
            text = "".join(event["choices"][0]["delta"].get("content", "") for event in events if event.get("choices"))
        request = (await self.account.client.list_requests(limit=1)).items[0]
        assert (await self.account.client.get_wallet()).held == "0"
        return Told(answer.status_code, text, failed, request.charge, request.outcome, request.estimated)


@pytest.fixture(scope="module")
async def impatient(database: Database) -> AsyncGenerator[Api]:
    """An API that waits a second for its providers."""
    async with run_api(database, OPERIS_UPSTREAM_IDLE_SECONDS="1", OPERIS_UPSTREAM_ANSWER_SECONDS="1") as running:
        yield running


@pytest.fixture(scope="module")
async def stage(impatient: Api) -> AsyncGenerator[Stage]:
    admin: AsyncOperis = await impatient.admin()
    async with run_raw_upstream() as upstream:
        made = await admin.create_upstream(name="Raw", base_url=upstream.base_url, api_key="sk-raw-credential")
        await admin.create_model(id="raw/model", upstream_id=made.id, upstream_model="real")
        await admin.create_price(model_id="raw/model", input="1", output="2")
        account = await sign_up(impatient)
        yield Stage(impatient, account, await mint(account), upstream)


async def test_a_stream_is_whole_wherever_its_bytes_are_cut(stage: Stage) -> None:
    raw = b"".join([*WORDS[:2], chunk({"content": "là 42 — đúng."}), END, usage_chunk(), DONE])
    for newline in (b"\n", b"\r\n"):
        cut = raw.replace(b"\n", newline)
        for size in (1, 2, 3, 5, 7, 64):
            pieces = [cut[at : at + size] for at in range(0, len(cut), size)]
            told = await stage.call(Play([STREAM_HEAD, *pieces]))
            assert (told.text, told.charge, told.failed) == ("The answer là 42 — đúng.", EXACT, False), (newline, size)


@pytest.mark.parametrize("then", ["close", "reset", "hang"])
async def test_a_stream_that_breaks_off_at_any_chunk_costs_nothing(stage: Stage, then: str) -> None:
    for events in range(len(WHOLE)):
        play = Play([STREAM_HEAD, *WHOLE[:events]], then)  # pyright: ignore[reportArgumentType]  # of the parameters
        told = await stage.call(play)
        if then != "hang" and END in WHOLE[:events]:
            continue  # its finish has come, so the answer is whole; told below
        assert (told.charge, told.outcome, told.failed) == (NOTHING, "failed", True), events
        assert told.status == (200 if events else 502)


async def test_a_stream_that_ends_after_its_finish_without_done_is_charged(stage: Stage) -> None:
    told = await stage.call(Play([STREAM_HEAD, *WORDS, END, usage_chunk()]))
    assert (told.charge, told.outcome, told.text) == (EXACT, "completed", "The answer is 42.")


@pytest.mark.parametrize(
    ("name", "events", "charge", "estimated"),
    [
        ("in the last chunk alone", [*WORDS, END, usage_chunk(), DONE], EXACT, False),
        ("with the finish", [*WORDS, chunk({}, "stop", usage=USAGE), DONE], EXACT, False),
        ("twice", [*WORDS, END, usage_chunk(), usage_chunk(), DONE], EXACT, False),
        (
            "growing in every chunk",
            [
                *(
                    chunk({"content": word}, usage={**USAGE, "completion_tokens": nth})
                    for nth, word in enumerate("abc")
                ),
                END,
                usage_chunk(),
                DONE,
            ],
            EXACT,
            False,
        ),
        (
            "null in every chunk but the last",
            [*WORDS, chunk({"content": ""}, usage=None), END, usage_chunk(), DONE],
            EXACT,
            False,
        ),
        ("nowhere", [*WORDS, END, DONE], None, True),
        ("negative", [*WORDS, END, usage_chunk(completion_tokens=-7), DONE], None, True),
        ("absurd", [*WORDS, END, usage_chunk(completion_tokens=10**15), DONE], None, True),
        ("no number", [*WORDS, END, usage_chunk(completion_tokens="seven"), DONE], None, True),
    ],
)
async def test_usage_is_believed_once_and_only_where_it_can_be(
    stage: Stage, name: str, events: list[bytes], charge: str | None, estimated: bool
) -> None:
    told = await stage.call(Play([STREAM_HEAD, *events]))
    assert (told.outcome, told.failed, told.estimated) == ("completed", False, estimated), name
    if charge is None:
        assert 0 < float(told.charge) < 0.0001, name
    else:
        assert told.charge == charge, name


async def test_comments_and_other_fields_between_events_change_nothing(stage: Stage) -> None:
    events = [
        b": keep-alive\n\n",
        WORDS[0],
        b"event: ping\ndata: {}\n\n",
        *WORDS[1:],
        b":\n\n",
        END,
        usage_chunk(),
        DONE,
    ]
    told = await stage.call(Play([STREAM_HEAD, *events]))
    assert (told.text, told.charge) == ("The answer is 42.", EXACT)


@pytest.mark.parametrize("broken", [b"data: {not json\n\n", b"data: \xff\xfe\n\n", b"\x00\x01\n\n", b"data\n\n"])
async def test_an_event_that_cannot_be_read_does_not_cost_more_or_less(stage: Stage, broken: bytes) -> None:
    self_written = [STREAM_HEAD, *WORDS, broken, END, usage_chunk(), DONE]
    stage.upstream.play = Play(self_written)
    body = {"model": "raw/model", "messages": [{"role": "user", "content": "What?"}], "max_tokens": 90, "stream": True}
    answer = await stage.api.http.post(
        f"{stage.api.base_url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {stage.secret}"}
    )
    request = (await stage.account.client.list_requests(limit=1)).items[0]
    assert (request.charge, request.outcome) in {(EXACT, "completed"), (NOTHING, "failed")}
    assert (request.outcome == "completed") == (b'"error"' not in answer.content)


async def test_a_provider_that_stalls_is_given_up_after_the_time_that_was_set(stage: Stage) -> None:
    began = time.monotonic()
    told = await stage.call(Play([STREAM_HEAD, *WORDS[:2]], "hang"))
    assert (told.charge, told.failed) == (NOTHING, True)
    told = await stage.call(Play([], "hang"), stream=False)
    assert (told.status, told.charge) == (502, NOTHING)
    assert time.monotonic() - began < 30


async def test_an_error_whose_body_never_comes_is_not_waited_for(stage: Stage) -> None:
    head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    async with asyncio.timeout(20):
        told = await stage.call(Play([head], "hang"), stream=False)
    assert (told.status, told.charge) == (502, NOTHING)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_compressed_bomb_is_never_unpacked(stage: Stage, stream: bool) -> None:
    bomb = gzip.compress(b"0" * 200_000_000, 9)
    kind = b"text/event-stream" if stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
    told = await stage.call(Play([head, bomb]), stream=stream)
    assert (told.charge, told.failed) == (NOTHING, True)
    assert memory_mebibytes(stage.api) < 400


async def test_an_endless_event_is_cut_off(stage: Stage) -> None:
    told = await stage.call(Play([STREAM_HEAD, *WORDS[:2], *[b"data: " + b"x" * 1_000_000] * 40]))
    assert (told.charge, told.failed) == (NOTHING, True)
    assert memory_mebibytes(stage.api) < 400


def memory_mebibytes(api: Api) -> int:
    with open(f"/proc/{api.process.pid}/status") as lines:  # noqa: PTH123  # a line of the kernel's
        peak = next(line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) // 1024
