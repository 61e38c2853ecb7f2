"""Placing, renewing and settling holds: the hot path's SQL, each a batch in one round trip and one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar, cast
from uuid import UUID

import asyncpg
import msgspec
import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.batching import Batcher
from operis_api.kit.connection import HotConnection
from operis_api.kit.errors import Unavailable
from operis_api.limits.errors import Binding
from operis_db.ledger import Hold, RateCount

LEASE_SECONDS = 60
CHECKPOINT_SECONDS = 2
SETTLE_RETRY_SECONDS = 1.0
Item = TypeVar("Item")
Answer = TypeVar("Answer")
Shape = TypeVar("Shape")
log = structlog.get_logger()


class HoldRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What `place_holds` reads of one call. `floor_nano` is the least hold the call can do with."""

    hold_id: UUID
    created_at: datetime
    organization_id: UUID
    user_id: UUID
    key_id: UUID | None
    key_version: int | None
    session_id: UUID | None
    plan_id: UUID | None = None
    model_id: str
    price_id: UUID
    catalog_version: int
    multiplier_numerator: int = 1
    multiplier_denominator: int = 1
    quote_nano: int
    floor_nano: int
    quote_tokens: int = 0
    """What it may use of its tokens per minute, and the least it can do with."""
    floor_tokens: int = 0
    streamed: bool
    prompt_tokens: int
    client_address: str | None
    client_agent: str | None
    lease_seconds: int = LEASE_SECONDS


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """The tightest limits per minute and what they leave; None: there is none."""

    rpm: int | None
    requests_left: int | None
    tpm: int | None
    tokens_left: int | None


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    decision: str
    """held, or why not: see place_holds."""
    amount_nano: int
    available_nano: int
    held_nano: int
    tokens: int | None = None
    """What the call may use of its tokens per minute; None: they are not limited."""
    rates: Rates | None = None
    binding: Binding | None = None
    """The limit that refused it."""


class Attempt(msgspec.Struct, kw_only=True):
    """One upstream's try at a call, as its usage record keeps it."""

    upstream: str
    upstream_id: UUID
    upstream_model: str
    status: int | None
    error: str | None
    latency_ms: int
    retryable: bool
    usage: dict[str, int] = {}
    """What it reported, by meter; of an attempt that broke off, what it had reported by then."""
    cost_nano: int | None = 0
    """What it asks for that; None where the operator has not said."""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What `settle_holds` reads of one call: the exact charge and everything its usage record keeps."""

    organization_id: UUID
    hold_id: UUID
    outcome: str
    charge_nano: int
    cost_nano: int | None
    upstream_id: UUID | None
    http_status: int
    finish_reason: str | None
    estimated: bool
    input: int
    cached_input: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    reasoning: int
    audio_input: int
    audio_output: int
    image: int
    per_request: int
    latency_ms: int
    first_token_ms: int | None
    attempts: list[Attempt]
    only_lapsed: bool = False
    """Leave a hold alone whose lease was renewed: the sweeper's."""


class LapsedHold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold nobody renews any more, with what its last checkpoint says was delivered."""

    organization_id: UUID
    id: UUID
    created_at: datetime
    amount_nano: int
    price_id: UUID
    multiplier_numerator: int
    multiplier_denominator: int
    prompt_tokens: int
    output_tokens: int


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    first: bool
    """False: the hold was gone, settled before (by the sweeper, or by a try whose answer was lost)."""
    charged_nano: int = 0
    loss_nano: int = 0


class Progress(msgspec.Struct, frozen=True):
    organization_id: UUID
    hold_id: UUID
    output_tokens: int


class Holds:
    """The process's admitter and settler: two connections, two queues, and the checkpoints of live calls."""

    def __init__(self, url: str, role: str) -> None:
        self._admissions = HotConnection(url, role)
        self._settlements = HotConnection(url, role)
        self._checkpoints = HotConnection(url, role)
        self._admitter: Batcher[HoldRequest, Placement] = Batcher(self._place_batch)
        self._settler: Batcher[Settlement, Settled] = Batcher(self._settle_batch)

    async def place(self, request: HoldRequest) -> Placement:
        """Decide on a call and hold its quote, durably; raises `Unavailable` where the database is away."""
        return await self._admitter.submit(request)

    async def settle(self, settlement: Settlement) -> Settled:
        """Charge a call, write its records and release the rest, durably, once.

        Keeps trying while the database is away until the hold's lease would have ended; after that the sweeper
        settles it by its last checkpoint, and this raises `Unavailable`.
        """
        deadline = asyncio.get_running_loop().time() + LEASE_SECONDS
        while True:
            try:
                return await asyncio.shield(self._settler.submit(settlement))
            except Unavailable:
                if asyncio.get_running_loop().time() > deadline:
                    log.exception("settlement_left_to_sweeper", hold_id=str(settlement.hold_id))
                    raise
                await asyncio.sleep(SETTLE_RETRY_SECONDS)

    async def checkpoint(self, progress: Sequence[Progress]) -> None:
        """Renew the leases of live calls and keep what they have delivered so far."""
        await self._checkpoints.fetch(
            """
            UPDATE holds h SET lease_until = p.lease, output_tokens = greatest(h.output_tokens, p.output),
                seal = seal_hold(h, p.lease, greatest(h.output_tokens, p.output))
            FROM (
                SELECT *, clock_timestamp() + make_interval(secs => $2) AS lease
                FROM json_to_recordset($1::json) AS i (organization_id uuid, hold_id uuid, output_tokens bigint)
            ) p (organization_id, hold_id, output, lease)
            WHERE h.organization_id = p.organization_id AND h.id = p.hold_id
            """,
            _encode(progress),
            float(LEASE_SECONDS),
        )

    async def list_lapsed(self, *, limit: int) -> list[LapsedHold]:
        """Return holds whose lease has ended, the longest dead first."""
        rows = await self._checkpoints.fetch(
            """
            SELECT coalesce(json_agg(h), '[]')::text AS found FROM (
                SELECT organization_id, id, created_at, amount_nano, price_id, multiplier_numerator,
                    multiplier_denominator, prompt_tokens, output_tokens
                FROM holds WHERE lease_until < clock_timestamp() ORDER BY lease_until LIMIT $1
            ) h
            """,
            limit,
        )
        return msgspec.json.decode(cast("str", rows[0]["found"]), type=list[LapsedHold])

    async def close(self) -> None:
        await self._admitter.drain()
        await self._settler.drain()
        for connection in (self._admissions, self._settlements, self._checkpoints):
            await connection.close()

    async def _place_batch(self, batch: Sequence[HoldRequest]) -> Sequence[Placement | Exception]:
        return await _isolate(self._place, batch)

    async def _settle_batch(self, batch: Sequence[Settlement]) -> Sequence[Settled | Exception]:
        return await _isolate(self._settle, batch)

    async def _place(self, batch: Sequence[HoldRequest]) -> Sequence[Placement]:
        try:
            rows = await self._admissions.fetch("SELECT * FROM place_holds($1::json)", _encode(batch))
        except Unavailable:
            # An idle connection may have died unnoticed; ids make the second try safe.
            rows = await self._admissions.fetch("SELECT * FROM place_holds($1::json)", _encode(batch))
        answers: list[Placement | None] = [None] * len(batch)
        for row in rows:
            answers[cast("int", row["nth"]) - 1] = Placement(
                decision=cast("str", row["decision"]),
                amount_nano=cast("int", row["amount_nano"]),
                available_nano=cast("int", row["available_nano"] or 0),
                held_nano=cast("int", row["held_nano"] or 0),
                tokens=cast("int | None", row["tokens"]),
                rates=_decode(row["rates"], Rates),
                binding=_decode(row["binding"], Binding),
            )
        return cast("list[Placement]", answers)

    async def _settle(self, batch: Sequence[Settlement]) -> Sequence[Settled]:
        rows = await self._settlements.fetch("SELECT * FROM settle_holds($1::json)", _encode(batch))
        settled = {
            row["hold_id"]: Settled(
                first=True, charged_nano=cast("int", row["charged_nano"]), loss_nano=cast("int", row["loss_nano"])
            )
            for row in rows
        }
        return [settled.pop(item.hold_id, Settled(first=False)) for item in batch]


async def is_held(session: AsyncSession, *, organization_id: UUID, hold_id: UUID) -> bool:
    """Tell whether a call's hold is open."""
    found = await session.scalar(select(Hold.id).where(Hold.organization_id == organization_id, Hold.id == hold_id))
    return found is not None


async def forget_rate_counts(session: AsyncSession) -> None:
    """Forget the seconds that count no more: a minute, and another for clocks that differ."""
    await session.execute(
        delete(RateCount).where(RateCount.second < func.floor(func.extract("epoch", func.clock_timestamp())) - 120)
    )


async def _isolate(
    work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], batch: Sequence[Item]
) -> Sequence[Answer | Exception]:
    """Run a batch; where the database refuses it, run its items one by one, so that one bad item fails alone."""
    try:
        return await work(batch)
    except asyncpg.PostgresError as error:
        if len(batch) == 1:
            return [error]
        log.exception("batch_refused", items=len(batch))
        return [(await _isolate(work, [item]))[0] for item in batch]


def _decode(found: object, shape: type[Shape]) -> Shape | None:
    return None if found is None else msgspec.json.decode(cast("str", found), type=shape)


def _encode(items: Sequence[msgspec.Struct]) -> str:
    return msgspec.json.encode(items).decode()
