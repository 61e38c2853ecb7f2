"""One chat request: admit, forward, meter, settle. The order of these is the product's promise.

The hold is durable before the upstream is called, and the charge is durable before the client sees the end.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec
import structlog

from operis_api.catalog.offers import Route
from operis_api.catalog.pricing import Meters, charge
from operis_api.gateway.admission import Admissions, Admitted, Origin
from operis_api.gateway.chat_request import ChatRequest
from operis_api.gateway.errors import UpstreamFailed
from operis_api.gateway.live import LiveCalls
from operis_api.gateway.metering import AnswerMeter, StreamMeter, is_given
from operis_api.gateway.upstreams import AttemptFailed, Protocolled, Reply
from operis_api.keys.authentication import Caller
from operis_api.kit.errors import DomainError, Unavailable
from operis_api.kit.money import format_nano
from operis_api.ledger.holds import Holds, Settled, Settlement

ATTEMPTS_MAX = 2
STREAM_SECONDS = 900
DRAIN_SECONDS = 15
"""How long an upstream may go on for its usage after the client has left."""
log = structlog.get_logger()


class Client:
    """The caller's end of one request."""

    def __init__(
        self,
        begin: Callable[[Mapping[str, str]], Awaitable[None]],
        send: Callable[[bytes], Awaitable[None]],
        left: Callable[[], Awaitable[None]],
    ) -> None:
        self.begin = begin
        """Start a streamed answer with these headers."""
        self.send = send
        self.left = left
        """Return once the client has disconnected."""


class Chat:
    """The gateway's parts, and the story that uses them."""

    def __init__(
        self, admissions: Admissions, holds: Holds, live: LiveCalls, protocols: Mapping[str, Protocolled]
    ) -> None:
        self._admissions = admissions
        self._holds = holds
        self._live = live
        self._protocols = protocols

    async def authenticate(self, origin: Origin) -> Caller:
        """Return who calls, before the body is even read."""
        return await self._admissions.authenticate(origin)

    async def complete(self, request: ChatRequest, caller: Caller, origin: Origin) -> tuple[bytes, dict[str, str]]:
        """Answer a call that is not streamed; returns body and headers."""
        call = Call(request, await self._admissions.admit(request, caller, origin), self._holds, self._live)
        async with call:
            meter, body = await self._read_answer(call)
            settled = await call.settle("completed", meter)
        cost = format_nano(settled.charged_nano)
        return _with_cost(body, meter.usage, cost), {**call.headers, "x-operis-charge": cost}

    async def stream(self, request: ChatRequest, caller: Caller, origin: Origin, client: Client) -> None:
        """Answer a streamed call. Raises only before the stream begins; later failures are told inside it."""
        call = Call(request, await self._admissions.admit(request, caller, origin), self._holds, self._live)
        async with call:
            meter = StreamMeter(request.prompt_tokens_estimate)
            reply, chunks, first = await self._open_stream(call, meter)
            relay = Relay(call, meter, client)
            try:
                await relay.run(first, chunks)
            finally:
                reply.close()
            await self._finish_stream(call, relay)

    async def _finish_stream(self, call: "Call", relay: "Relay") -> None:
        """Settle, then send the end: the usage with its cost where it was asked for, and [DONE]."""
        meter, client = relay.meter, relay.client
        if relay.client_left and (meter.output_tokens or meter.reported):
            await call.settle("disconnected", meter)
            return
        if not meter.complete:
            await call.void("the stream broke off", 200)
            await client.send(_error_event(UpstreamFailed("The provider's answer broke off; nothing was charged.")))
            return
        try:
            settled = await call.settle("completed", meter)
        except Unavailable:
            await client.send(b"data: [DONE]\n\n")  # delivered; the sweeper charges it by its last checkpoint
            return
        if call.request.wants_usage:
            await client.send(_usage_event(meter, format_nano(settled.charged_nano)))
        await client.send(b"data: [DONE]\n\n")

    async def _read_answer(self, call: "Call") -> tuple[AnswerMeter, bytes]:
        async for route in call.routes():
            meter = AnswerMeter(call.request.prompt_tokens_estimate)
            try:
                reply = await self._open(call, route)
                body = await reply.read()
                call.first_token_at = time.monotonic()
                if meter.read(body) is None or meter.failed or not meter.answered:
                    raise AttemptFailed(UpstreamFailed(), note="its answer is no chat completion", status=200)
            except AttemptFailed as failure:
                call.note_failure(failure)
                continue
            call.note_success()
            return meter, body
        raise call.refusal

    async def _open_stream(self, call: "Call", meter: StreamMeter) -> tuple[Reply, AsyncIterator[bytes], bytes]:
        """Return a stream whose first bytes have come: until then another upstream may still be tried."""
        async for route in call.routes():
            try:
                reply = await self._open(call, route)
                chunks = aiter(reply.chunks())
                first = await anext(chunks, b"")
                out = meter.feed(first)
                if not first or meter.failed:
                    reply.close()
                    raise AttemptFailed(UpstreamFailed(), note="its stream begins with an error", status=200)
            except AttemptFailed as failure:
                meter.failed = False
                call.note_failure(failure)
                continue
            call.note_success()
            return reply, chunks, out
        raise call.refusal

    async def _open(self, call: "Call", route: Route) -> Reply:
        return await self._protocols[route.protocol].open_chat(
            route, call.request, output_limit=call.admitted.output_limit
        )


class Call:
    """An admitted call. Leaving its context settles what is not settled: nothing was charged then."""

    def __init__(self, request: ChatRequest, admitted: Admitted, holds: Holds, live: LiveCalls) -> None:
        self.request = request
        self.admitted = admitted
        self.refusal: DomainError = UpstreamFailed("The model's provider failed. Nothing was charged; try again.")
        self.first_token_at: float | None = None
        self._holds = holds
        self._lives = live
        self.live = live.add(admitted.caller.organization_id, admitted.hold_id)
        self._began_at = admitted.began_at
        self._attempt_began_at = self._began_at
        self._attempts: list[dict[str, object]] = []
        self._route: Route | None = None
        self._settled = False

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if not self._settled:
                status = error.status if isinstance(error, DomainError) else 500
                await asyncio.shield(self.void(type(error).__name__ if error else "not settled", status))
        finally:
            self._lives.remove(self.live)

    @property
    def headers(self) -> dict[str, str]:
        limit = self.admitted.output_limit
        lowered = {"x-operis-max-output-tokens": str(limit)} if self.admitted.lowered and limit is not None else {}
        return {"x-operis-request-id": str(self.admitted.hold_id), **lowered}

    async def routes(self) -> AsyncIterator[Route]:
        """Yield the upstreams to try, at most two, until a failure that another one would only repeat."""
        for route in self.admitted.offer.routes_in_order()[:ATTEMPTS_MAX]:
            self._route = route
            self._attempt_began_at = time.monotonic()
            yield route
            if self._attempts and not self._attempts[-1]["retryable"]:
                return

    def note_failure(self, failure: AttemptFailed) -> None:
        log.warning("attempt_failed", request_id=str(self.admitted.hold_id), note=failure.note)
        self.refusal = failure.refusal
        self._note_attempt(failure.status, failure.note, retryable=failure.retryable)

    def note_success(self) -> None:
        self._note_attempt(200, None, retryable=False)

    def deliver(self, output_tokens: int) -> None:
        """Note that tokens went to the client."""
        if self.first_token_at is None:
            self.first_token_at = time.monotonic()
        self._lives.note_progress(self.live, output_tokens)

    async def settle(self, outcome: str, meter: AnswerMeter) -> Settled:
        """Charge the call for what it used."""
        usage, price = meter.usage, self.admitted.price
        amount = charge(price.sale, usage)
        settled = await self._settle(
            outcome=outcome,
            usage=usage,
            charge_nano=amount,
            cost_nano=charge(price.cost, usage) if price.cost else None,
            http_status=200,
            finish_reason=meter.finish_reason,
            estimated=meter.reported is None,
        )
        if settled.loss_nano:
            log.error("platform_loss", request_id=str(self.admitted.hold_id), loss_nano=settled.loss_nano)
        return settled

    async def void(self, why: str, http_status: int) -> None:
        """Release the hold: nothing is charged."""
        log.info("call_voided", request_id=str(self.admitted.hold_id), why=why)
        await self._settle(
            outcome="failed",
            usage=Meters(),
            charge_nano=0,
            cost_nano=0,
            http_status=http_status,
            finish_reason=None,
            estimated=False,
        )

    async def _settle(
        self,
        *,
        outcome: str,
        usage: Meters,
        charge_nano: int,
        cost_nano: int | None,
        http_status: int,
        finish_reason: str | None,
        estimated: bool,
    ) -> Settled:
        self._settled = True
        now = time.monotonic()
        settled = await self._holds.settle(
            Settlement(
                organization_id=self.admitted.caller.organization_id,
                hold_id=self.admitted.hold_id,
                outcome=outcome,
                charge_nano=charge_nano,
                cost_nano=cost_nano,
                upstream_id=self._route.upstream_id if self._route else None,
                http_status=http_status,
                finish_reason=finish_reason,
                estimated=estimated,
                latency_ms=round((now - self._began_at) * 1000),
                first_token_ms=round((self.first_token_at - self._began_at) * 1000) if self.first_token_at else None,
                attempts=self._attempts,
                **msgspec.structs.asdict(usage),
            )
        )
        if not settled.first:
            charged = min(charge_nano, self.admitted.held_nano)
            return Settled(first=False, charged_nano=charged)
        return settled

    def _note_attempt(self, status: int | None, error: str | None, *, retryable: bool) -> None:
        assert self._route is not None
        self._attempts.append(
            {
                "upstream": self._route.upstream_name,
                "upstream_model": self._route.upstream_model,
                "status": status,
                "error": error,
                "latency_ms": round((time.monotonic() - self._attempt_began_at) * 1000),
                "retryable": retryable,
            }
        )


class Relay:
    """Passes a stream on as it comes, and drains it for a while when the client has left."""

    def __init__(self, call: Call, meter: StreamMeter, client: Client) -> None:
        self.meter = meter
        self.client = client
        self.client_left = False
        self._call = call

    async def run(self, first: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Return when the stream has ended, broken off, or run out of time; what it used is in the meter."""
        await self.client.begin(self._call.headers)
        try:
            async with asyncio.timeout(STREAM_SECONDS) as limit:
                watcher = asyncio.create_task(self._watch(limit))
                try:
                    await self._pass_on(first)
                    async for received in chunks:
                        await self._pass_on(self.meter.feed(received))
                        if self.meter.failed:
                            break
                finally:
                    watcher.cancel()
        except TimeoutError:
            log.warning("stream_timed_out", request_id=str(self._call.admitted.hold_id), client_left=self.client_left)
            self.meter.failed = True
        except AttemptFailed as failure:
            self._call.note_failure(failure)
            self.meter.failed = not self.meter.done

    async def _pass_on(self, events: bytes) -> None:
        if not events:
            return
        self._call.deliver(self.meter.output_tokens)
        if not self.client_left:
            await self.client.send(events)

    async def _watch(self, limit: asyncio.Timeout) -> None:
        await self.client.left()
        self.client_left = True
        limit.reschedule(asyncio.get_running_loop().time() + DRAIN_SECONDS)


def _usage_object(usage: Meters, cost: str) -> dict[str, object]:
    """Return OpenAI's usage object with the customer's cost, for an answer whose upstream sent none."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost": cost,
    }


def _with_cost(answer: bytes, usage: Meters, cost: str) -> bytes:
    """Return an answer or chunk with `cost` in its usage object, everything else as it was."""
    members = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
    given = members.get("usage", msgspec.Raw())
    if not is_given(given):
        members["usage"] = msgspec.Raw(msgspec.json.encode(_usage_object(usage, cost)))
    else:
        object_ = msgspec.json.decode(given, type=dict[str, msgspec.Raw])
        object_["cost"] = msgspec.Raw(msgspec.json.encode(cost))
        members["usage"] = msgspec.Raw(msgspec.json.encode(object_))
    return msgspec.json.encode(members)


def _usage_event(meter: StreamMeter, cost: str) -> bytes:
    chunk = meter.usage_event
    if chunk is None:  # the upstream sent no usage: our estimate, in the frame of the stream's first chunk
        frame = msgspec.json.decode(meter.first_chunk or b"{}", type=dict[str, msgspec.Raw])
        chunk = msgspec.json.encode({**frame, "choices": [], "usage": None})
    return b"data: " + _with_cost(chunk, meter.usage, cost) + b"\n\n"


def _error_event(error: DomainError) -> bytes:
    members = {"message": error.detail, "type": "upstream_error", "code": error.code, "param": None}
    return b"data: " + msgspec.json.encode({"error": members}) + b"\n\n"
