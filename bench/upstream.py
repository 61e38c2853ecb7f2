"""A provider that answers at once, as cheaply as Python can: `python -m bench.upstream PORT`."""

import asyncio
import sys

ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"The answer is 42."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}'
)
_CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":%s}]}\n\n'
STREAM = (
    [_CHUNK % b'{"role":"assistant","content":""}']
    + [_CHUNK % b'{"content":"word "}'] * 48
    + [
        b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":48}}\n\n',
        b"data: [DONE]\n\n",
    ]
)
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
PACE_SECONDS = 0.002
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Provider(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            length = int((head.partition(b"content-length:")[2] or b"0").split(b"\r\n", 1)[0])
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            if b'"model":"held"' in body:
                asyncio.get_running_loop().create_task(self.hold())
            elif b'"stream":true' in body:
                pace = PACE_SECONDS if b'paced"' in body else 0
                asyncio.get_running_loop().create_task(self.stream(pace))
            else:
                self.transport.write(WHOLE)

    async def stream(self, pace: float) -> None:
        """Send each chunk on its own: as fast as the loop turns, or at the pace of a fast model."""
        self.transport.write(HEAD)
        for chunk in STREAM:
            self.transport.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await asyncio.sleep(pace)
        self.transport.write(b"0\r\n\r\n")

    async def hold(self) -> None:
        """Send a word a second for as long as somebody listens."""
        self.transport.write(HEAD)
        while not self.transport.is_closing():
            self.transport.write(b"%x\r\n%s\r\n" % (len(STREAM[1]), STREAM[1]))
            await asyncio.sleep(1)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
