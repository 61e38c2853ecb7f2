"""Mixed calls in three dialects on failing providers of both protocols; what was charged is what their log says.

Calls are streamed or not, tried again under an Idempotency-Key, sent twice at once, or left in the middle.
"""

import asyncio
import os
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal

import aiohttp
import asyncpg
from tests.factories import Account, mint, sign_up
from tests.running import Database, make_database, run_api

from bench.drills.moody import API_KEY, NO_USAGE, OUTPUT_TOKENS_MAX, Delivery, Log, run_provider
from bench.drills.processes import ApiProcess, run_processes
from bench.drills.progress import progress
from operis_db.embedded import EmbeddedPostgres

PROCESSES = 2
CALLERS = 48
ACCOUNTS = 8
NANO = 10**9
PRICE = {"input": "2.3", "cached_input": "0.31", "output": "10.7"}
"""Credits per million, so that charges have to be rounded."""
UPSTREAMS = {"openai": 3, "anthropic": 2}
MODELS = {"moody/openai": ("openai",), "moody/anthropic": ("anthropic",), "moody/both": ("openai", "anthropic")}
PATIENCE = {"OPERIS_UPSTREAM_IDLE_SECONDS": "3", "OPERIS_UPSTREAM_ANSWER_SECONDS": "3"}
TRIES = 60
SETTLED_WITHIN_SECONDS = 60
OWN_PROTOCOL = {"chat": "openai", "responses": "openai", "messages": "anthropic"}
_PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
_ENDS = {"chat": b"data: [DONE]", "responses": b"response.completed", "messages": b"message_stop"}
_COST = re.compile(rb'"cost":"([0-9.]+)"')


@dataclass
class Call:
    """One call as its plan has it, and what its caller was told."""

    nth: int
    dialect: str
    model: str
    streamed: bool
    key: str | None
    twice: bool
    """Whether it is sent to two processes at once under its key."""
    leaves_after: float | None
    """In how many seconds its client goes away, once."""
    left: bool = False
    told_nano: set[int] = field(default_factory=set[int])
    findings: list[str] = field(default_factory=list[str])

    @property
    def body(self) -> dict[str, object]:
        text = f"{self.nth} Chào bạn, — what is the answer?"
        if self.dialect == "responses":
            return {"model": self.model, "input": text, "max_output_tokens": OUTPUT_TOKENS_MAX, "stream": self.streamed}
        asked = {"stream_options": {"include_usage": True}} if self.dialect == "chat" and self.streamed else {}
        messages = [{"role": "user", "content": text}]
        return {
            "model": self.model,
            "messages": messages,
            "max_tokens": OUTPUT_TOKENS_MAX,
            "stream": self.streamed,
            **asked,
        }


@dataclass
class Told:
    status: int = 0
    body: bytes = b""
    replayed: bool = False
    whole: bool = False

    @property
    def made(self) -> bool:
        """Whether the key's call needs no further try."""
        return self.whole or (self.status == 409 and b"answer_not_kept" in self.body)


class Callers:
    def __init__(self, http: aiohttp.ClientSession, processes: Sequence[ApiProcess], secrets: Sequence[str]) -> None:
        self._http = http
        self._processes = processes
        self._secrets = secrets

    async def make(self, call: Call) -> None:
        """Make a call; one with a key until it was answered, and once more."""
        if call.twice:
            await asyncio.gather(self._send(call, 0), self._send(call, 1))
        else:
            await self._send(call, call.nth, leaves_after=call.leaves_after)
        if call.key is None:
            return
        for tried in range(TRIES):
            first = await self._send(call, call.nth + tried)
            if first.made:
                break
            await asyncio.sleep(0.1)
        else:
            call.findings.append(f"it was not made in {TRIES} tries")
            return
        again = await self._send(call, call.nth + 1)
        if call.streamed and (again.status != 409 or not again.made):
            call.findings.append(f"its stream was answered again: {again.status}")
        if not call.streamed and not (again.replayed and again.body == first.body):
            call.findings.append(f"its answer was not told again: {again.status}")

    async def _send(self, call: Call, process: int, *, leaves_after: float | None = None) -> Told:
        told = Told()
        try:
            async with asyncio.timeout(leaves_after):
                await self._receive(call, process, told)
        except TimeoutError:
            call.left = True
            return told
        if told.status == 200:
            told.whole = not call.streamed or _ENDS[call.dialect] in told.body[-4096:]
            if told.whole and (costs := _COST.findall(told.body)):
                call.told_nano.add(int(Decimal(costs[-1].decode()) * NANO))
            elif told.whole or b"error" not in told.body:
                call.findings.append(f"its end tells neither a cost nor an error: {told.body[-200:]!r}")
        elif told.status not in {409, 429, 502} or (told.status == 409 and call.key is None):
            call.findings.append(f"it was answered {told.status}: {told.body[:200]!r}")
        return told

    async def _receive(self, call: Call, process: int, told: Told) -> None:
        headers = {
            "Authorization": f"Bearer {self._secrets[call.nth % len(self._secrets)]}",
            "User-Agent": f"drill/{call.nth}",
            **({"Idempotency-Key": call.key} if call.key else {}),
        }
        url = self._processes[process % len(self._processes)].base_url + _PATHS[call.dialect]
        async with self._http.post(url, json=call.body, headers=headers) as response:
            told.status, told.replayed = response.status, "idempotent-replayed" in response.headers
            told.body = await response.read()


@dataclass
class Verdict:
    findings: list[str]
    classes: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """How many calls each has, and what they cost together by the providers' log."""
    charged_nano: int = 0
    """By the ledger."""

    @property
    def expected_nano(self) -> int:
        return sum(nano for _, nano in self.classes.values())


def plan_calls(seed: int, calls: int) -> list[Call]:
    """Throw the dice for what customers do."""
    dice = random.Random(seed)
    planned: list[Call] = []
    for nth in range(calls):
        key = f"drill-{nth}" if dice.random() < 0.25 else None
        twice = key is not None and dice.random() < 0.3
        leaves = not twice and dice.random() < 0.15
        planned.append(
            Call(
                nth,
                dialect=dice.choice(list(_PATHS)),
                model=dice.choice(list(MODELS)),
                streamed=dice.random() < 0.6,
                key=key,
                twice=twice,
                leaves_after=dice.uniform(0.005, 0.12) if leaves else None,
            )
        )
    return planned


def charge_of(delivery: Delivery) -> int:
    """Return what a delivery costs by the price: by the usage it told, else one token for each 4 bytes."""
    fresh, cached, output = delivery.fresh_tokens, delivery.cached_tokens, delivery.output_tokens
    seen = -(-delivery.text_bytes // 4)
    if not delivery.whole and delivery.protocol == "anthropic" and delivery.mood != NO_USAGE:
        output = max(1, seen)  # the prompt is told at the beginning
    elif not delivery.whole or delivery.mood == NO_USAGE:
        fresh, cached, output = -(-delivery.prompt_bytes // 4), 0, seen
    counts = {"input": fresh, "cached_input": cached, "output": output}
    micro_per_million = {name: int(Decimal(price) * 10**6) for name, price in PRICE.items()}
    return -(-sum(count * micro_per_million[name] for name, count in counts.items()) // 1000)


async def drill_gateway(database: Database, *, seed: int, calls: int, callers: int) -> tuple[Verdict, Log]:
    """Make so many calls, and judge what was charged for them."""
    log, planned = Log(seed), plan_calls(seed, calls)
    timeout, connector = aiohttp.ClientTimeout(120), aiohttp.TCPConnector(limit=0, force_close=True)
    async with AsyncExitStack() as stack:
        secrets = await _prepare(database, log, stack)
        processes = await stack.enter_async_context(run_processes(database, PROCESSES, **PATIENCE))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, connector=connector))
        working, waiting, done = Callers(http, processes, secrets), iter(planned), Counter[str]()

        async def work() -> None:
            for call in waiting:
                await working.make(call)
                done["calls"] += 1
                progress(done["calls"], calls, "calls")

        await asyncio.gather(*(work() for _ in range(callers)))
        await _wait_until_settled(database)
        verdict = await judge(database, planned, log)
        logged = [line for process in processes for line in process.log.read_text().splitlines()]
        verdict.findings += [line[-2000:] for line in logged if "gateway_error" in line]
    return verdict, log


async def _prepare(database: Database, log: Log, stack: AsyncExitStack) -> list[str]:
    """Make providers, upstreams, models and customers who can pay; returns the customers' keys."""
    async with run_api(database) as api:
        admin = await api.admin()
        upstreams: dict[str, list[str]] = {protocol: [] for protocol in UPSTREAMS}
        for protocol, count in UPSTREAMS.items():
            for nth in range(count):
                base_url = await stack.enter_async_context(run_provider(protocol, log))
                made = await admin.create_upstream(
                    name=f"Moody {protocol} {nth}", base_url=base_url, api_key=API_KEY, protocol=protocol
                )
                upstreams[protocol].append(made.id)
        for model, protocols in MODELS.items():
            first, *others = [upstream for protocol in protocols for upstream in upstreams[protocol]]
            await admin.create_model(id=model, upstream_id=first, upstream_model="moody")
            for nth, upstream in enumerate(others):
                await admin.add_model_upstream(model, upstream_id=upstream, upstream_model="moody", weight=nth + 1)
            await admin.create_price(
                model_id=model, input=PRICE["input"], output=PRICE["output"], cached_input=PRICE["cached_input"]
            )
        accounts: list[Account] = [await sign_up(api) for _ in range(ACCOUNTS)]
        for account in accounts:
            await admin.adjust_wallet(account.organization_id, amount="10000", reason="to be drilled")
        return [await mint(account) for account in accounts]


async def _wait_until_settled(database: Database) -> None:
    """Wait for the calls whose clients left; a hold that stays open is for the judge to find."""
    until = time.monotonic() + SETTLED_WITHIN_SECONDS
    while await database.fetch("SELECT FROM holds") and time.monotonic() < until:
        await asyncio.sleep(0.2)


async def judge(database: Database, planned: Sequence[Call], log: Log) -> Verdict:
    verdict = Verdict(await database.broken_invariants())
    holds = await database.fetch("SELECT client_agent FROM holds")
    verdict.findings += [f"the hold of {row['client_agent']} is still open" for row in holds]
    rows = await database.fetch("SELECT client_agent, charge_nano, outcome, estimated FROM usage_records")
    records: dict[str, list[asyncpg.Record]] = {}
    for row in rows:
        records.setdefault(row["client_agent"], []).append(row)
    for call in planned:
        charged = [row for row in records.get(f"drill/{call.nth}", []) if row["outcome"] != "failed"]
        kind, delivery = _class_of(call, charged, log.deliveries.get(call.nth, []))
        expected = charge_of(delivery) if delivery else 0
        findings = [*call.findings, *_judge_call(call, charged, expected, delivery)]
        wholes = sum(delivery.whole for delivery in log.deliveries.get(call.nth, []))
        findings += [f"{wholes} whole answers were sent for it"] if wholes > 1 else []
        verdict.findings += [f"call {call.nth}, {kind}: {finding}" for finding in findings]
        count, nano = verdict.classes.get(kind, (0, 0))
        verdict.classes[kind] = (count + 1, nano + expected)
    [revenue] = await database.fetch(
        "SELECT coalesce(sum(amount_nano), 0)::bigint FROM entries WHERE account='revenue'"
    )
    verdict.charged_nano = revenue[0]
    if verdict.charged_nano != verdict.expected_nano:
        verdict.findings.append(f"{verdict.charged_nano} were charged, by the log it is {verdict.expected_nano}")
    return verdict


def _class_of(
    call: Call, charged: Sequence[asyncpg.Record], deliveries: Sequence[Delivery]
) -> tuple[str, Delivery | None]:
    """Return what the documented policies make of a call, and the delivery that is to be paid for.

    Where the client left a stream that then broke, either policy is right, by which of both was seen first: the
    ledger says which. A call that was charged so is not made again, so its delivery is the last.
    """
    who = "client left; " if call.left else ""
    whole = next((delivery for delivery in deliveries if delivery.whole), None)
    if whole is not None:
        return f"{who}{'estimated, no usage told' if whole.mood == NO_USAGE else 'by the usage told'}", whole
    if not deliveries:
        return f"{who}no provider asked: nothing", None
    if call.left and any(row["outcome"] == "disconnected" for row in charged):
        return f"{who}and it broke off: estimated", deliveries[-1]
    return f"{who}failed or broke off: nothing", None


def _judge_call(
    call: Call, charged: Sequence[asyncpg.Record], expected: int, delivery: Delivery | None
) -> Sequence[str]:
    findings: list[str] = []
    if [row["charge_nano"] for row in charged] != ([expected] if delivery else []):
        findings.append(f"{[dict(row) for row in charged]} is in the ledger, by the log it is {expected}: {delivery}")
    elif delivery and charged[0]["estimated"] != (not delivery.whole or delivery.mood == NO_USAGE):
        findings.append(f"it is noted as {'estimated' if charged[0]['estimated'] else 'told'}: {delivery}")
    if call.told_nano - {expected}:
        findings.append(f"its caller was told {call.told_nano}, by the log it is {expected}")
    return findings


def show(verdict: Verdict, planned: Sequence[Call], log: Log) -> None:
    deliveries = [delivery for those in log.deliveries.values() for delivery in those]
    moods = Counter(delivery.mood for delivery in deliveries)
    translated = sum(
        delivery.whole and delivery.protocol != OWN_PROTOCOL[planned[delivery.nth].dialect] for delivery in deliveries
    )
    print(f"{'what is charged':<48}{'calls':>8}{'nanocredits by the log':>26}")
    for kind, (count, nano) in sorted(verdict.classes.items()):
        print(f"{kind:<48}{count:>8,}{nano:>26,}")
    print(f"{'together':<48}{len(planned):>8,}{verdict.expected_nano:>26,}")
    print(f"{'in the ledger':<48}{'':>8}{verdict.charged_nano:>26,}")
    print(f"requests to providers: {dict(moods.most_common())}")
    print(
        f"{sum(call.key is not None for call in planned):,} calls with a key, {sum(call.twice for call in planned):,} "
        f"of them twice at once; {sum(call.streamed for call in planned):,} streamed; {translated:,} answers translated"
    )


async def main(postgres: EmbeddedPostgres, calls: int) -> list[str]:
    began, seed = time.monotonic(), int(os.environ.get("DRILL_SEED") or random.randrange(10**9))
    print(f"DRILL_SEED={seed}", flush=True)
    verdict, log = await drill_gateway(await make_database(postgres), seed=seed, calls=calls, callers=CALLERS)
    show(verdict, plan_calls(seed, calls), log)
    print(f"{calls:,} calls in {time.monotonic() - began:.0f} s")
    return verdict.findings
