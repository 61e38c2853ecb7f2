"""A model provider for drills: answers with as many words as it is asked for, and keeps its own log of deliveries."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

API_KEY = "sk-drill-provider"
WORD = "abc "
"""Four bytes: one token by the gateway's estimate too, so that what a checkpoint says can be compared in words."""
PROMPT_TOKENS = 11


class _Message(msgspec.Struct):
    content: str


class _Body(msgspec.Struct):
    messages: list[_Message]
    stream: bool = False


class Provider:
    def __init__(self, seconds_between_words: float) -> None:
        self.delivered: dict[int, int] = {}
        """Words sent for each call, by the number in its prompt."""
        self.base_url = ""
        self._gap = seconds_between_words

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read(), type=_Body)
        nth, words = map(int, body.messages[-1].content.split())
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": words, "total_tokens": PROMPT_TOKENS + words}
        frame = {"id": "chatcmpl-1", "created": 1, "model": "drill"}
        if not body.stream:
            message = {"role": "assistant", "content": WORD * words}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.delivered[nth] = words
            return _json({**frame, "object": "chat.completion", "choices": [choice], "usage": usage})
        frame["object"] = "chat.completion.chunk"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        with contextlib.suppress(ConnectionResetError):  # the process that asked was killed
            await response.prepare(request)
            chunk = _event({**frame, "choices": [{"index": 0, "delta": {"content": WORD}, "finish_reason": None}]})
            for _ in range(words):
                self.delivered[nth] = self.delivered.get(nth, 0) + 1
                await response.write(chunk)
                await asyncio.sleep(self._gap)
            stop = _event({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            no_choices: list[object] = []
            await response.write(stop + _event({**frame, "choices": no_choices, "usage": usage}) + b"data: [DONE]\n\n")
            await response.write_eof()
        return response


@asynccontextmanager
async def run_provider(seconds_between_words: float) -> AsyncGenerator[Provider]:
    provider = Provider(seconds_between_words)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", provider.chat)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield provider
    finally:
        await runner.cleanup()


def _event(members: dict[str, object]) -> bytes:
    return b"data: " + msgspec.json.encode(members) + b"\n\n"


def _json(members: dict[str, object]) -> web.Response:
    return web.Response(body=msgspec.json.encode(members), content_type="application/json")
