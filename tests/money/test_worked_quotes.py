"""The table of quotes in docs/money.md, row by row: what it says is computed, and is what a call is held for."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, prod
from pathlib import Path
from typing import Any

import httpx
import pytest

from operis_api.kit.money import format_nano, parse_nano
from operis_client import AsyncOperis
from operis_client.models import PriceTier
from operis_db.embedded import EmbeddedPostgres
from tests.factories import Account, mint, set_balance, sign_up
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.running import Api, make_database, run_api

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "money.md").read_text()
TIMES = "\u00d7"
QUESTION = "What is the answer?"
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    case: str
    prompt_tokens_max: int
    formula: str
    nano: int
    answer: str


@dataclass(frozen=True)
class Case:
    """How a line is asked: the body's members beside model and messages, and what the wallet has."""

    model: str = "quote/plain"
    content: object = QUESTION
    members: dict[str, Any] = field(default_factory=dict[str, Any])
    available: str = "1"
    multiplier: str = "1"


CASES = {
    "output limit of the caller": Case(members={"max_tokens": 100}),
    "no output limit: the model's, 1,000": Case(),
    "no output limit, 0.005 available": Case(available="0.005"),
    "`n` of 3": Case(members={"max_tokens": 100, "n": 3}),
    "cache writes at 6 for an hour": Case(model="quote/writes", members={"max_tokens": 100}),
    "reasoning at 12": Case(model="quote/thinks", members={"max_tokens": 100}),
    "an image in the prompt": Case(content=[{"type": "text", "text": QUESTION}, IMAGE], members={"max_tokens": 100}),
    "500 credits for a million requests": Case(model="quote/each", members={"max_tokens": 100}),
    "tier from 1,001: not reached": Case(model="quote/tiers", members={"max_tokens": 100}),
    "tier from 1,001: reached": Case(model="quote/tiers", content="x" * 1000, members={"max_tokens": 100}),
    "plan that pays 2/3": Case(members={"max_tokens": 100}, multiplier="2/3"),
    "limit of 1,000, 0.005 available": Case(members={"max_tokens": 1000}, available="0.005"),
    "no output limit, 0.0002 available": Case(available="0.0002"),
    "limit of 100, all of it held by a running call": Case(members={"max_tokens": 100}, available="0.0013125"),
}


def read_rows() -> list[Row]:
    line = rf"^\| ([^|]+) \| ([\d,]+) \| ([^|]*{TIMES}[^|]*) \| ([\d,]+) \| (.+) \|$"
    found: list[tuple[str, str, str, str, str]] = re.findall(line, PAGE, re.MULTILINE)
    return [Row(case, _number(bound), formula, _number(nano), answer) for case, bound, formula, nano, answer in found]


def name_of(row: Row) -> str:
    return row.case


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def compute(formula: str) -> int:
    """Return the nanocredits of a sum of products in picocredits; where it is in brackets, of its fraction."""
    brackets = re.fullmatch(rf"\((.+)\) {TIMES} (\d+/\d+)", formula)
    products = (brackets[1] if brackets else formula).split(" + ")
    total = sum(prod(_number(part) for part in product.split(f" {TIMES} ")) for product in products)
    return ceil(total * Fraction(brackets[2] if brackets else 1) / 1000)


@pytest.fixture(scope="module")
async def shop(postgres: EmbeddedPostgres, provider: OpenAIUpstream) -> AsyncGenerator[Api]:
    """An API of its own with the models of the table."""
    async with run_api(await make_database(postgres)) as running:
        admin = await running.admin()
        upstream = await admin.create_upstream(name="Fake", base_url=provider.base_url, api_key=API_KEY)
        for model, prices in {
            "quote/plain": {"input": "2.5", "output": "10"},
            "quote/writes": {"input": "2.5", "output": "10", "cache_write_5m": "3.75", "cache_write_1h": "6"},
            "quote/thinks": {"input": "2.5", "output": "10", "reasoning": "12"},
            "quote/each": {"input": "2.5", "output": "10", "per_request": "500"},
            "quote/tiers": {"input": "2.5", "output": "10"},
        }.items():
            await admin.create_model(
                id=model, upstream_id=upstream.id, upstream_model="real-model", default_output_tokens=1000
            )
            tiers = [PriceTier(from_prompt_tokens=1001, input="5", output="15")] if model == "quote/tiers" else []
            await admin.create_price(model_id=model, tiers=tiers, **prices)  # pyright: ignore[reportArgumentType]  # texts by their names
        yield running


@pytest.fixture
async def buyer(shop: Api, script: Script) -> Account:
    return await sign_up(shop)


async def ask(shop: Api, secret: str, body: bytes) -> httpx.Response:
    return await shop.http.post(
        f"{shop.base_url}/v1/chat/completions", content=body, headers={"authorization": f"Bearer {secret}"}
    )


def body_of(case: Case) -> bytes:
    messages = [{"role": "user", "content": case.content}]
    return json.dumps({"model": case.model, "messages": messages, **case.members}).encode()


def test_the_table_has_a_row_for_each_case() -> None:
    assert [row.case for row in read_rows()] == list(CASES)


@pytest.mark.parametrize("row", read_rows(), ids=name_of)
async def test_a_row_is_what_is_held_or_refused(
    shop: Api, buyer: Account, provider: OpenAIUpstream, script: Script, row: Row
) -> None:
    case = CASES[row.case]
    admin = await shop.admin()
    await _set_multiplier(shop, admin, buyer, case.multiplier)
    await set_balance(admin, buyer, case.available)
    secret, body = await mint(buyer), body_of(case)
    assert row.prompt_tokens_max == len(body) + (2000 if b"image_url" in body else 0)
    assert compute(row.formula) == row.nano
    if "Retry-After" in row.answer:
        script.seconds_between_words = 30
        running = asyncio.create_task(ask(shop, secret, body_of(Case(members={"max_tokens": 100, "stream": True}))))
        while (await buyer.client.get_wallet()).held == "0":
            await asyncio.sleep(0.02)
        answer = await ask(shop, secret, body)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert answer.headers["retry-after"] == "2"
    else:
        answer = await ask(shop, secret, body)
    if row.answer.startswith("402"):
        error = answer.json()["error"]
        assert (answer.status_code, parse_nano("required", error["required"])) == (402, row.nano)
        assert f"`affordable_output_tokens` {error['affordable_output_tokens']}" in row.answer
        assert ("retry-after" in answer.headers) is ("Retry-After" in row.answer)
        return
    assert answer.status_code == 200, answer.text
    request = (await buyer.client.list_requests(limit=1)).items[0]
    held = parse_nano("hold", (await buyer.client.explain_request(request.id)).hold)
    lowered = answer.headers.get("x-operis-max-output-tokens")
    if lowered is None:
        assert (held, row.answer) == (row.nano, "held")
    else:
        assert (format_nano(held), held < row.nano) == (case.available, True)
        assert row.answer == f"all of it is held, the limit becomes {lowered}"
        assert provider.calls[-1]["max_tokens"] == int(lowered)
    assert parse_nano("charge", request.charge) <= held


async def _set_multiplier(shop: Api, admin: AsyncOperis, buyer: Account, multiplier: str) -> None:
    if multiplier == "1":
        return
    (plan,) = await shop.database.fetch(
        "INSERT INTO plans (id, name) VALUES (gen_random_uuid(), $1) RETURNING id::text AS id", secrets.token_hex(4)
    )
    await shop.database.fetch(
        "UPDATE organizations SET plan_id = $1::text::uuid WHERE id = $2::text::uuid",
        plan["id"],
        buyer.organization_id,
    )
    await admin.set_multiplier(plan_id=plan["id"], multiplier=multiplier)
