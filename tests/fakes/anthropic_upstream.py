"""A provider that speaks Anthropic's protocol over real HTTP, and misbehaves on demand."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

API_KEY = "sk-ant-upstream-secret-1234"


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@dataclass
class Script:
    """What the provider does with the next calls."""

    stop_reason: str = "end_turn"
    blocks: list[dict[str, Any]] = field(default_factory=lambda: [text_block("The answer is 42.")])
    """The answer's content; streamed word by word."""
    usage: dict[str, Any] | None = field(
        default_factory=lambda: {
            "input_tokens": 11,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 7,
        }
    )
    status: int = 200
    error: str = "the provider's own words"
    error_type: str = "invalid_request_error"
    retry_after: str | None = None
    seconds_between_deltas: float = 0.0
    break_after_deltas: int | None = None
    """Reset the connection after so many deltas."""
    error_after_deltas: int | None = None
    pings: bool = True
    newline: str = "\n"
    split_bytes: int | None = None
    """Send the stream in pieces of this size, wherever that cuts."""
    raw_answer: bytes | None = None
    early_usage: bool = False
    """Tell the usage in two message_deltas, the first of which counts less."""


class AnthropicUpstream:
    def __init__(self) -> None:
        self.script = Script()
        self.calls: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.sent = b""
        """The last stream's bytes."""
        self.base_url = ""

    async def messages(self, request: web.Request) -> web.StreamResponse:
        script = self.script
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        if script.raw_answer is not None:
            return web.Response(body=script.raw_answer, content_type="application/json")
        body = self.calls[-1]
        if body.get("stream"):
            with contextlib.suppress(ConnectionResetError):  # the caller left
                return await self._stream(request, body, script)
            return web.Response()
        answer = self._message(body, script.blocks, script.stop_reason, script.usage)
        return web.json_response({**answer, "provider_extra": {"kept": True}})

    async def count(self, request: web.Request) -> web.StreamResponse:
        return await self._refusal(request) or web.json_response({"input_tokens": 23})

    async def models(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("x-api-key") != API_KEY:
            return self._error("authentication_error", "invalid x-api-key", 401)
        return web.json_response({"data": [{"type": "model", "id": "real-claude"}], "has_more": False})

    async def _refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("x-api-key") != API_KEY:
            return self._error("authentication_error", "invalid x-api-key", 401)
        self.calls.append(await request.json())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.script.status == 200:
            return None
        headers = {"Retry-After": self.script.retry_after} if self.script.retry_after else {}
        return self._error(self.script.error_type, self.script.error, self.script.status, headers)

    def _error(self, kind: str, message: str, status: int, headers: dict[str, str] | None = None) -> web.Response:
        body = {"type": "error", "error": {"type": kind, "message": message}}
        return web.json_response(body, status=status, headers=headers)

    def _message(
        self, body: dict[str, Any], blocks: list[dict[str, Any]], stop_reason: str | None, usage: dict[str, Any] | None
    ) -> dict[str, Any]:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": blocks,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            **({"usage": usage} if usage else {}),
        }

    async def _stream(self, request: web.Request, body: dict[str, Any], script: Script) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.sent = b""
        begun = {**script.usage, "output_tokens": 1} if script.usage else None
        events: list[dict[str, Any]] = [{"type": "message_start", "message": self._message(body, [], None, begun)}]
        if script.pings:
            events.append({"type": "ping"})
        deltas = 0
        for index, block in enumerate(script.blocks):
            start, parts = _in_parts(block)
            events.append({"type": "content_block_start", "index": index, "content_block": start})
            for part in parts:
                if script.error_after_deltas == deltas:
                    error = {"type": "overloaded_error", "message": script.error}
                    await self._write(response, [*events, {"type": "error", "error": error}], script)
                    return response
                if script.break_after_deltas == deltas:
                    await self._write(response, events, script)
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                deltas += 1
                events.append({"type": "content_block_delta", "index": index, "delta": part})
                if script.seconds_between_deltas:
                    await self._write(response, events, script)
                    events = []
                    await asyncio.sleep(script.seconds_between_deltas)
            events.append({"type": "content_block_stop", "index": index})
        end: dict[str, Any] = {
            "type": "message_delta",
            "delta": {"stop_reason": script.stop_reason, "stop_sequence": None},
        }
        if script.early_usage:
            events.append({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}})
        events.append({**end, "usage": script.usage} if script.usage else end)
        if script.pings:
            events.append({"type": "ping"})
        events.append({"type": "message_stop"})
        await self._write(response, events, script)
        await response.write_eof()
        return response

    async def _write(self, response: web.StreamResponse, events: list[dict[str, Any]], script: Script) -> None:
        line = script.newline
        text = "".join(
            f"event: {event['type']}{line}data: {json.dumps(event, ensure_ascii=False)}{line * 2}" for event in events
        )
        raw = text.encode()
        self.sent += raw
        size = script.split_bytes or len(raw) or 1
        for start in range(0, len(raw), size):
            await response.write(raw[start : start + size])
            if script.split_bytes:
                await asyncio.sleep(0)


def _in_parts(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return how a block is streamed: its start, and its deltas."""
    match block["type"]:
        case "thinking":
            parts = [{"type": "thinking_delta", "thinking": word} for word in _words(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*parts, signed]
        case "tool_use":
            text = json.dumps(block["input"])
            halves = [text[: len(text) // 2], text[len(text) // 2 :]]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": half} for half in halves]
        case _:
            return {"type": "text", "text": ""}, [
                {"type": "text_delta", "text": word} for word in _words(block["text"])
            ]


def _words(text: str) -> list[str]:
    return text.replace(" ", " \0").split("\0")


@asynccontextmanager
async def run_anthropic_upstream() -> AsyncGenerator[AnthropicUpstream]:
    upstream = AnthropicUpstream()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/messages", upstream.messages)
    app.router.add_post("/v1/messages/count_tokens", upstream.count)
    app.router.add_get("/v1/models", upstream.models)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield upstream
    finally:
        await runner.cleanup()
