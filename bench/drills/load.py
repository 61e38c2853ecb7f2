"""What drills do to API processes: customers that call models, operators that move money, and what each was told.

Nobody here knows what the ledger says: `judging.py` compares the two at the end.
"""

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

import aiohttp
import httpx
from tests.factories import Account, mint, sign_up
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD, Database, run_api

from bench.drills.processes import ApiProcess
from bench.drills.provider import API_KEY, PROMPT_TOKENS, WORD, Provider
from operis_api.kit.money import format_nano
from operis_client import ApiError, AsyncOperis, UnreachableError

MODEL = "acme/drill"
ACCOUNTS = 8
WORDS_MAX = 100
NANO = 10**9
PACE_SECONDS = 0.03
MOVEMENT_PLACES = ("in_adjustment", "in_reversal", "after_commit")
_WORD = f'"content":"{WORD}"'.encode()
_COST = re.compile(rb'"cost":"([0-9.]+)"')


@dataclass
class Call:
    """One call of a model, as its caller saw it."""

    nth: int
    words: int
    place: str
    """Where the process that serves it is to die."""
    status: int = 0
    """0 where no answer began."""
    word_times: list[float] = field(default_factory=list)
    charged_nano: int | None = None
    """What the answer's end said; None where the end did not come."""
    request_id: str = ""


@dataclass
class Movement:
    """One credit, debit or reversal by an operator, tried under one Idempotency-Key until it was answered."""

    reason: str
    amount_nano: int
    place: str = ""
    tries: int = 0
    posting_id: UUID | None = None
    refused: str = ""


Move = Callable[[AsyncOperis, Movement], Awaitable[str]]
"""Tries a movement through one process; returns its posting's id."""


@dataclass
class Load:
    """Customers and operators, at work until `stopped`. They use whichever of `live` they like."""

    accounts: Sequence[tuple[Account, str]]
    idle: Account
    """Somebody whose wallet only jobs touch."""
    live: list[ApiProcess] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    stopped: bool = False
    _open: set[int] = field(default_factory=set)
    _reversible: list[tuple[Account, Call]] = field(default_factory=list)

    def in_flight(self, place: str) -> int:
        return sum(self.calls[nth].place == place for nth in self._open)

    async def run(self, *, callers: int, operators: int) -> None:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            await asyncio.gather(
                *(self._call_until_stopped(http) for _ in range(callers)),
                *(self._move_until_stopped() for _ in range(operators)),
            )

    async def _call_until_stopped(self, http: aiohttp.ClientSession) -> None:
        while not self.stopped:
            if not self.live:
                await asyncio.sleep(0.02)
                continue
            process, (account, secret) = random.choice(self.live), random.choice(self.accounts)
            call = Call(len(self.calls), random.randint(2, WORDS_MAX), process.place)
            self.calls.append(call)
            self._open.add(call.nth)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._call(http, process, call, secret)
            self._open.discard(call.nth)
            if call.charged_nano:
                self._reversible.append((account, call))
            if call.status != 200:
                await asyncio.sleep(0.05)

    async def _call(self, http: aiohttp.ClientSession, process: ApiProcess, call: Call, secret: str) -> None:
        streamed = random.random() < 0.7
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"{call.nth} {call.words}"}],
            "max_tokens": WORDS_MAX,
            **({"stream": True, "stream_options": {"include_usage": True}} if streamed else {}),
        }
        headers = {"Authorization": f"Bearer {secret}", "User-Agent": f"drill/{call.nth}"}
        url = f"{process.base_url}/v1/chat/completions"
        async with http.post(url, json=body, headers=headers, timeout=aiohttp.ClientTimeout(120)) as response:
            call.status, call.request_id = response.status, response.headers["x-request-id"]
            tail = b""
            async for chunk in response.content.iter_any():
                tail = (tail + chunk)[-4096:]
                if streamed:
                    call.word_times += [time.monotonic()] * chunk.count(_WORD)
            if response.status == 200 and (not streamed or tail.endswith(b"data: [DONE]\n\n")):
                cost = _COST.findall(tail)
                call.charged_nano = int(Decimal(cost[-1].decode()) * NANO) if cost else -1

    async def _move_until_stopped(self) -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            client = AsyncOperis("", http=http)
            while not self.stopped:
                movement, move = self._choose_movement()
                self.movements.append(movement)
                while movement.posting_id is None and not movement.refused:
                    process = self._process_for_movements()
                    if process is not None:
                        client = AsyncOperis(process.base_url, token=client.token, http=http)
                        await self._try_movement(client, movement, move, process)
                    await asyncio.sleep(PACE_SECONDS)

    async def _try_movement(self, client: AsyncOperis, movement: Movement, move: Move, process: ApiProcess) -> None:
        movement.place, movement.tries = process.place, movement.tries + 1
        try:
            movement.posting_id = UUID(await move(client, movement))
        except (UnreachableError, AttributeError):  # anyio's own, of a connection that broke as it was made
            return  # nobody knows what came of it: the same key is tried again, elsewhere
        except ApiError as error:
            if error.status == 401:
                with contextlib.suppress(UnreachableError, ApiError, AttributeError):
                    client.token = (await client.login(email=ADMIN_EMAIL, password=ADMIN_PASSWORD)).access_token
            elif error.status != 503 and error.code != "idempotency_key_in_use":
                movement.refused = f"{error.status} {error.code}"

    def _process_for_movements(self) -> ApiProcess | None:
        """Return one that is to die at a movement, where there is one."""
        dying = [process for process in self.live if process.place in MOVEMENT_PLACES]
        return random.choice(dying or self.live) if self.live else None

    def _choose_movement(self) -> tuple[Movement, Move]:
        reason = f"drill {len(self.movements)}"
        if self._reversible and random.random() < 0.5:
            account, call = self._reversible.pop(random.randrange(len(self._reversible)))

            async def reverse(client: AsyncOperis, movement: Movement) -> str:
                reversal = await client.reverse_charge(
                    account.organization_id, call.request_id, reason=reason, idempotency_key=movement.reason
                )
                return reversal.posting_id

            return Movement(reason, call.charged_nano or 0), reverse
        account, _ = random.choice(self.accounts)
        amount_nano = random.choice([1, -1]) * random.randint(1, NANO // 100)

        async def adjust(client: AsyncOperis, movement: Movement) -> str:
            adjustment = await client.adjust_wallet(
                account.organization_id, amount=format_nano(amount_nano), reason=reason, idempotency_key=movement.reason
            )
            return adjustment.posting_id

        return Movement(reason, amount_nano), adjust


@asynccontextmanager
async def run_load(load: Load, *, callers: int, operators: int) -> AsyncGenerator[asyncio.Task[None]]:
    """Run the load beside the block, until it is told to stop; a load that breaks ends the block."""
    async with asyncio.TaskGroup() as group:
        yield group.create_task(load.run(callers=callers, operators=operators))


async def prepare_load(database: Database, provider: Provider) -> Load:
    """Make the model and the customers, who can pay for everything a drill does."""
    async with run_api(database) as api:
        admin = await api.admin()
        upstream = await admin.create_upstream(name="Drill", base_url=provider.base_url, api_key=API_KEY)
        await admin.create_model(id=MODEL, upstream_id=upstream.id, upstream_model="drill")
        await admin.create_price(model_id=MODEL, input="2", output="10")
        accounts = [await sign_up(api) for _ in range(ACCOUNTS)]
        for account in accounts:
            await admin.adjust_wallet(account.organization_id, amount="10000", reason="to be drilled")
        return Load([(account, await mint(account)) for account in accounts], await sign_up(api))


def exact_charge_nano(words: int) -> int:
    """Return what a call costs that was answered to its end, at 2 credits a million in and 10 out."""
    return PROMPT_TOKENS * 2_000 + words * 10_000
