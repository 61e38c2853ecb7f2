"""One request in any dialect: admit, forward, meter, settle. The order of these is the product's promise.

The hold is durable before the upstream is called, and the charge is durable before the client sees the end.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import msgspec

from operis_api.catalog.offers import Route
from operis_api.gateway.admission import Admissions, CallOrigin
from operis_api.gateway.call import ATTEMPTS_MAX, Call
from operis_api.gateway.dialects import AnswerMeter, Form, GatewayRequest, StreamMeter
from operis_api.gateway.errors import DialectNotServed, SettlementUnknown, StreamTooLong, UpstreamFailed
from operis_api.gateway.idempotency import KeptAnswer, KeyedCall
from operis_api.gateway.live import LiveCalls
from operis_api.gateway.relay import Client, Relay
from operis_api.gateway.upstreams import AttemptFailed, Protocolled, Reply
from operis_api.gateway.upstreams.health import Health
from operis_api.gateway.upstreams.paths import NOT_SERVED, MissingPaths
from operis_api.keys.authentication import Caller
from operis_api.kit.errors import DomainError, Unavailable
from operis_api.kit.money import format_nano
from operis_api.ledger.holds import Holds


class Chat:
    """The gateway's parts, and the story that uses them."""

    def __init__(
        self,
        admissions: Admissions,
        holds: Holds,
        live: LiveCalls,
        health: Health,
        protocols: Mapping[str, Protocolled],
        *,
        stream_seconds: int,
    ) -> None:
        self._admissions = admissions
        self._holds = holds
        self._live = live
        self._health = health
        self._protocols = protocols
        self._stream_seconds = stream_seconds
        self._missing = MissingPaths()

    async def authenticate(self, origin: CallOrigin) -> Caller:
        """Return who calls, before the body is even read."""
        return await self._admissions.authenticate(origin)

    async def authenticate_use(self, origin: CallOrigin) -> Caller:
        """Return who asks for what is free."""
        return await self._admissions.authenticate_use(origin)

    async def complete(
        self, request: GatewayRequest, caller: Caller, origin: CallOrigin, keyed: KeyedCall | None
    ) -> KeptAnswer:
        """Answer a call that is not streamed."""
        admitted = await self._admissions.admit(request, caller, origin)
        call = Call(request, admitted, self._holds, self._live, self._health)
        async with call:
            meter, body = await self._read_answer(call)
            expected = call.expect_charge(meter)
            if keyed is not None:
                await keyed.keep(_answer(call, meter, body, expected))
            call.deliver(meter.output_tokens)
            try:
                settled = await call.settle("completed", meter)
            except Unavailable as error:
                raise SettlementUnknown from error
        answer = _answer(call, meter, body, settled.charged_nano)
        if keyed is not None and settled.charged_nano != expected:
            await keyed.keep(answer)
        return answer

    async def stream(self, request: GatewayRequest, caller: Caller, origin: CallOrigin, client: Client) -> bool:
        """Answer a streamed call; returns whether it was charged.

        Raises only before the stream begins; later failures are told inside it.
        """
        admitted = await self._admissions.admit(request, caller, origin)
        call = Call(request, admitted, self._holds, self._live, self._health)
        async with call:
            reply, chunks, meter, first = await self._open_stream(call)
            if call.live.refusal is not None:
                reply.close()
                raise call.live.refusal
            relay = Relay(call, meter, client, seconds=self._stream_seconds)
            try:
                await relay.run(first, chunks)
            except asyncio.CancelledError:
                if meter.output_tokens:  # the process has to stop now: what was delivered is charged
                    await asyncio.shield(call.settle("interrupted", meter))
                raise
            finally:
                reply.close()
            await self._finish_stream(call, relay)
        return call.charged

    async def count_tokens(self, request: GatewayRequest, caller: Caller) -> bytes:
        """Say what a prompt would count as. It is free: there is no hold, so the caller must be freshly read.

        Where no upstream of the model counts, our estimate is told, and that it is one.
        """
        try:
            offer, forms = await self._admissions.choose(request, caller)
        except DialectNotServed:
            return msgspec.json.encode({"input_tokens": request.prompt_tokens_estimate, "estimated": True})
        refusal: DomainError = UpstreamFailed("The model's provider failed; try again.")
        groups, tried = forms.group_routes(offer), list[Route]()
        while len(tried) < ATTEMPTS_MAX and (route := self._health.choose(groups, tried)) is not None:
            tried.append(route)
            try:
                reply = await self._protocols[route.protocol].open(route, request, output_limit=None)
                try:
                    body = await reply.read()
                finally:
                    reply.close()
                if request.answer_meter().read_answer(body):
                    return body
            except AttemptFailed as failure:
                refusal = failure.refusal
                if not failure.retryable:
                    break
        raise refusal

    async def _finish_stream(self, call: Call, relay: Relay) -> None:
        """Settle, then send the end, with the cost where the dialect tells it."""
        meter, client = relay.meter, relay.client
        if relay.client_left and (meter.output_tokens or meter.reported):
            await call.settle("disconnected", meter)
        elif call.live.refusal is not None:
            await call.settle("interrupted", meter)
            await client.send(call.error_event(call.live.refusal))
        elif relay.too_long:
            await call.settle("interrupted", meter)
            await client.send(call.error_event(StreamTooLong()))
        elif not meter.complete:
            call.note_break(meter, relay.failure)
            await call.void("the stream broke off", UpstreamFailed.status)
            refusal = UpstreamFailed("The provider's answer broke off; nothing was charged.")
            await client.send(call.error_event(refusal))
        else:
            await client.send(await self._settled_end(call, meter))

    async def _settled_end(self, call: Call, meter: StreamMeter) -> bytes:
        try:
            settled = await call.settle("completed", meter)
        except Unavailable:
            return meter.end(None)  # it was delivered; the sweeper charges it by its last checkpoint
        return meter.end(format_nano(settled.charged_nano))

    async def _read_answer(self, call: Call) -> tuple[AnswerMeter, bytes]:
        async for route in call.routes():
            try:
                form, reply = await self._open(call, route)
                meter = form.answer_meter()
                try:
                    body = await reply.read()
                finally:
                    reply.close()
                call.first_token_at = time.monotonic()
                if not meter.read_answer(body):
                    raise AttemptFailed(UpstreamFailed(), note="its answer is not what was asked for", status=200)
            except AttemptFailed as failure:
                call.note_failure(failure)
                continue
            call.note_success()
            return meter, body
        raise call.refusal

    async def _open_stream(self, call: Call) -> tuple[Reply, AsyncIterator[bytes], StreamMeter, bytes]:
        """Return a stream whose first bytes have come: until then another upstream may still be tried."""
        async for route in call.routes():
            try:
                form, reply = await self._open(call, route)
                meter = form.stream_meter()
                chunks = aiter(reply.chunks())
                first = await anext(chunks, b"")
                out = meter.feed(first)
                if not first or meter.failed:
                    reply.close()
                    raise AttemptFailed(UpstreamFailed(), note="its stream begins with an error", status=200)
            except AttemptFailed as failure:
                call.note_failure(failure)
                continue
            call.note_success()
            return reply, chunks, meter, out
        raise call.refusal

    async def _open(self, call: Call, route: Route) -> tuple[Form, Reply]:
        """Return the form that the upstream was asked in, and its reply."""
        forms, limit = call.admitted.forms, call.admitted.output_limit
        form, fallback = forms[route.protocol], forms.fallback(route.protocol)
        protocol = self._protocols[route.protocol]
        if fallback is None or not self._missing.has(route, form.upstream_path):
            try:
                return form, await protocol.open(route, form, output_limit=limit)
            except AttemptFailed as failure:
                if failure.status in NOT_SERVED and forms.fallback_refusal is not None:
                    raise AttemptFailed(forms.fallback_refusal, note=failure.note, status=failure.status) from failure
                if fallback is None or failure.status not in NOT_SERVED:
                    raise
        reply = await protocol.open(route, fallback, output_limit=limit)
        self._missing.note(route, form.upstream_path)
        return fallback, reply


def _answer(call: Call, meter: AnswerMeter, body: bytes, charged_nano: int) -> KeptAnswer:
    cost = format_nano(charged_nano)
    return KeptAnswer(meter.add_cost(body, cost), {**call.headers, "x-operis-charge": cost})
