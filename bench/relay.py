"""The baseline: the same server and the same upstream client, without keys, money or metering."""

import os
from typing import cast

import aiohttp
from litestar.types import HTTPScope, Receive, Scope, Send

UPSTREAM = os.environ.get("BENCH_UPSTREAM", "")
_http: list[aiohttp.ClientSession] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    if cast("HTTPScope", scope)["path"] == "/readyz":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        if not message["more_body"]:
            break
    if not _http:
        _http.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False))
    headers = {"content-type": "application/json"}
    async with _http[0].post(f"{UPSTREAM}/chat/completions", data=body, headers=headers) as response:
        kind = response.headers["content-type"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        async for chunk in response.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
