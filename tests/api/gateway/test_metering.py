"""Usage objects as providers document them: each is taken apart exactly, adds up, and has its exact charge."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from operis_api.catalog.offers import resolve_price
from operis_api.catalog.pricing import METERS, Meters, charge
from operis_api.gateway.dialects import AnswerMeter, StreamMeter
from operis_api.gateway.dialects.anthropic.metering import MessageMeter, MessageStreamMeter
from operis_api.gateway.dialects.openai.embeddings import EmbeddingsMeter
from operis_api.gateway.dialects.openai.metering import ChatAnswerMeter, ChatStreamMeter, read_usage
from operis_api.kit.money import parse_micro
from operis_db import catalog as tables

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "usage_objects.json").read_text())
ANSWERS: list[dict[str, Any]] = TABLE["answers"]
STREAMED = [row for row in ANSWERS if row["dialect"] in {"chat", "messages"}]


def name_of(row: dict[str, Any]) -> str:
    return str(row["name"])


def read_answer(row: dict[str, Any]) -> Meters:
    """Return what the dialect's meter reads of a whole answer with this usage."""
    usage = row["usage"]
    meter: AnswerMeter
    match row["dialect"]:
        case "chat":
            meter, rest = ChatAnswerMeter(7), {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
        case "messages":
            meter, rest = MessageMeter(7), {"type": "message", "content": [{"type": "text", "text": "Hi"}]}
        case "embeddings":
            meter, rest = EmbeddingsMeter(7), {"data": [{"embedding": [0.5]}]}
        case _:
            meters = read_usage(json.dumps(usage).encode())
            assert meters is not None
            return meters
    assert meter.read_answer(json.dumps({**rest, "usage": usage}).encode())
    assert meter.reported is not None
    return meter.reported


def read_stream(row: dict[str, Any]) -> Meters:
    """Return what the dialect's meter reads of a stream whose end tells this usage."""
    usage = row["usage"]
    meter: StreamMeter
    events: list[dict[str, Any]]
    if row["dialect"] == "chat":
        meter = ChatStreamMeter(7, wants_usage=True)
        events = [{"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
    else:
        meter = MessageStreamMeter(7)
        begun: dict[str, Any] = {
            "type": "message",
            "content": [],
            "usage": {**usage, "output_tokens": 1, "output_tokens_details": None},
        }
        events = [
            {"type": "message_start", "message": begun},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
            {"type": "message_stop"},
        ]
    meter.feed("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())
    assert meter.reported is not None
    return meter.reported


def charge_of(row: dict[str, Any], meters: Meters) -> int:
    named = dict(TABLE["prices"][row["price"]])
    tiers = [
        {name: rate if name == "from_prompt_tokens" else parse_micro(name, rate) for name, rate in tier.items()}
        for tier in named.pop("tiers", [])
    ]
    rates = {name: parse_micro(name, rate) for name, rate in named.items()}
    version = tables.Price(id=UUID(int=0), model_id="m", effective_from=datetime.now(UTC), tiers=tiers, **rates)
    return charge(resolve_price(version), meters)


@pytest.mark.parametrize("row", ANSWERS, ids=name_of)
def test_a_usage_object_is_taken_apart_exactly_and_has_its_exact_charge(row: dict[str, Any]) -> None:
    meters = read_answer(row)
    counted = {meter: getattr(meters, meter) for meter in METERS if getattr(meters, meter) and meter != "per_request"}
    assert counted == row["meters"]
    assert charge_of(row, meters) == row["charge_nano"]


@pytest.mark.parametrize("row", STREAMED, ids=name_of)
def test_a_stream_is_metered_as_the_whole_answer_is(row: dict[str, Any]) -> None:
    assert read_stream(row) == read_answer(row)


@pytest.mark.parametrize("row", ANSWERS, ids=name_of)
def test_the_meters_add_up_to_what_the_provider_counted(row: dict[str, Any]) -> None:
    meters, usage = read_answer(row), row["usage"]
    beside = sum(usage.get(f"cache_{kind}_input_tokens") or 0 for kind in ("creation", "read"))
    prompt = usage.get("prompt_tokens") or usage.get("input_tokens", 0) + beside
    assert meters.prompt_tokens == prompt
    assert meters.prompt_tokens + meters.completion_tokens == row["total_tokens"]
    assert row["total_tokens"] == usage.get("total_tokens", prompt + usage.get("output_tokens", 0))


def test_every_meter_of_tokens_is_in_the_table() -> None:
    assert {meter for row in ANSWERS for meter in row["meters"]} == set(METERS) - {"per_request"}
