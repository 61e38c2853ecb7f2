"""A provider that speaks OpenAI's protocol over real HTTP, and misbehaves on demand."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

API_KEY = "sk-upstream-secret-1234"
ANOTHER_KEY = "sk-another-credential-5678"


@dataclass
class Script:
    """What the provider does with the next calls."""

    words: list[str] = field(default_factory=lambda: ["The ", "answer ", "is ", "42."])
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Called after the words; the arguments are streamed in two halves."""
    finish_reason: str = "stop"
    usage: dict[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    )
    status: int = 200
    error: str = "the provider's own words"
    retry_after: str | None = None
    seconds_before_answer: float = 0.0
    seconds_between_words: float = 0.0
    break_after_words: int | None = None
    """Reset the connection after so many words."""
    error_after_words: int | None = None
    newline: str = "\n"
    split_bytes: int | None = None
    """Send the stream in pieces of this size, wherever that cuts."""
    raw_answer: bytes | None = None
    limited_keys: dict[str, str] = field(default_factory=dict[str, str])
    """Credentials that are answered 429, with this Retry-After."""
    responses: bool = False
    """Whether the provider serves /responses."""
    response_usage: dict[str, Any] | None = field(
        default_factory=lambda: {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 0},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 5},
            "total_tokens": 120,
        }
    )
    response_end: str = "response.completed"


class OpenAIUpstream:
    def __init__(self) -> None:
        self.script = Script()
        self.calls: list[dict[str, Any]] = []
        self.base_url = ""
        self.keys_used: list[str] = []
        self.limited = 0
        """How often a limited credential was refused."""
        self.sent = b""
        """The last response's stream."""

    async def chat(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refuse_credential(request):
            return refusal
        body = await request.json()
        self.calls.append(body)
        script = self.script
        await asyncio.sleep(script.seconds_before_answer)
        if script.status != 200:
            headers = {"Retry-After": script.retry_after} if script.retry_after else {}
            return web.json_response({"error": {"message": script.error}}, status=script.status, headers=headers)
        if script.raw_answer is not None:
            return web.Response(body=script.raw_answer, content_type="application/json")
        if body.get("stream"):
            with contextlib.suppress(ConnectionResetError):  # the caller left
                return await self._stream(request, body, script)
            return web.Response()
        return web.json_response(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "message": {
                            "role": "assistant",
                            "content": "".join(script.words) or None,
                            **({"reasoning_content": script.reasoning} if script.reasoning else {}),
                            **({"tool_calls": script.tool_calls} if script.tool_calls else {}),
                        },
                        "finish_reason": script.finish_reason,
                    }
                ],
                **({"usage": script.usage} if script.usage else {}),
                "provider_extra": {"kept": True},
            }
        )

    async def responses(self, request: web.Request) -> web.StreamResponse:
        script = self.script
        if not script.responses:
            return web.json_response({"detail": "Not Found"}, status=404)
        body = await request.json()
        self.calls.append(body)
        if script.status != 200:
            return web.json_response({"error": {"message": script.error}}, status=script.status)
        text = "".join(script.words)
        part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
        item: dict[str, Any] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
        whole: dict[str, Any] = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": script.response_end.removeprefix("response."),
            "model": body["model"],
            "output": [item],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "provider_extra": {"kept": True},
            **({"usage": script.response_usage} if script.response_usage else {}),
        }
        if not body.get("stream"):
            return web.json_response(whole)
        begun: dict[str, Any] = {**whole, "status": "in_progress", "output": []}
        where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
            {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
            *({"type": "response.output_text.delta", **where, "delta": word, "logprobs": []} for word in script.words),
            {"type": "response.output_text.done", **where, "text": text, "logprobs": []},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": script.response_end, "response": whole},
        ]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        numbered = [{**event, "sequence_number": nth} for nth, event in enumerate(events)]
        self.sent = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in numbered).encode()
        size = script.split_bytes or len(self.sent)
        for start in range(0, len(self.sent), size):
            await response.write(self.sent[start : start + size])
            await asyncio.sleep(0.001)
        await response.write_eof()
        return response

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.calls.append(body)
        script = self.script
        if script.status != 200:
            return web.json_response({"error": {"message": script.error}}, status=script.status)
        if script.raw_answer is not None:
            return web.Response(body=script.raw_answer, content_type="application/json")
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"object": "embedding", "index": nth, "embedding": [0.5, -0.25]} for nth, _ in enumerate(texts)]
        usage = {"usage": {"prompt_tokens": 11, "total_tokens": 11}} if script.usage else {}
        return web.json_response({"object": "list", "data": data, "model": body["model"], **usage})

    def _refuse_credential(self, request: web.Request) -> web.Response | None:
        credential = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.keys_used.append(credential)
        if wait := self.script.limited_keys.get(credential):
            self.limited += 1
            return web.json_response({"error": {"message": "Slow down"}}, status=429, headers={"Retry-After": wait})
        if credential not in {API_KEY, ANOTHER_KEY}:
            return web.json_response({"error": {"message": "Incorrect API key provided"}}, status=401)
        return None

    async def models(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {API_KEY}":
            return web.json_response({"error": {"message": "Incorrect API key provided"}}, status=401)
        return web.json_response({"object": "list", "data": [{"id": "real-model", "object": "model"}]})

    async def _stream(self, request: web.Request, body: dict[str, Any], script: Script) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        events = [self._chunk(body, {"role": "assistant", "content": ""})]
        if script.reasoning:
            events.append(self._chunk(body, {"reasoning_content": script.reasoning}))
        for nth, word in enumerate(script.words):
            if script.error_after_words == nth:
                await self._write(response, [{"error": {"message": script.error}}], script)
                return response
            if script.break_after_words == nth:
                await self._write(response, events, script)
                assert request.transport is not None
                request.transport.abort()
                return response
            events.append(self._chunk(body, {"content": word}))
            if script.seconds_between_words:
                await self._write(response, events, script)
                events = []
                await asyncio.sleep(script.seconds_between_words)
        for nth, call in enumerate(script.tool_calls):
            arguments = call["function"]["arguments"]
            half = len(arguments) // 2
            start = {**call, "index": nth, "function": {**call["function"], "arguments": arguments[:half]}}
            events.append(self._chunk(body, {"tool_calls": [start]}))
            more = {"index": nth, "function": {"arguments": arguments[half:]}}
            events.append(self._chunk(body, {"tool_calls": [more]}))
        events.append(self._chunk(body, {}, script.finish_reason))
        options: dict[str, Any] = body.get("stream_options") or {}
        asked = options.get("include_usage")
        if asked and script.usage:
            events.append({**self._frame(body), "choices": [], "usage": script.usage})
        await self._write(response, events, script, end="data: [DONE]" + script.newline * 2)
        await response.write_eof()
        return response

    async def _write(
        self, response: web.StreamResponse, events: list[dict[str, Any]], script: Script, end: str = ""
    ) -> None:
        text = "".join(f"data: {json.dumps(event, ensure_ascii=False)}{script.newline * 2}" for event in events) + end
        raw = text.encode()
        size = script.split_bytes or len(raw) or 1
        for start in range(0, len(raw), size):
            await response.write(raw[start : start + size])
            if script.split_bytes:
                await asyncio.sleep(0)

    def _chunk(self, body: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**self._frame(body), "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    def _frame(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}


@asynccontextmanager
async def run_openai_upstream() -> AsyncGenerator[OpenAIUpstream]:
    upstream = OpenAIUpstream()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", upstream.chat)
    app.router.add_post("/v1/responses", upstream.responses)
    app.router.add_post("/v1/embeddings", upstream.embeddings)
    app.router.add_get("/v1/models", upstream.models)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield upstream
    finally:
        await runner.cleanup()
