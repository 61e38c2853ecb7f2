"""Files that a page is given and that no socket could carry: kept in memory, one for each session, for a while."""

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from operis_dashboard import runtime
from operis_dashboard.session import fingerprint

FILE_BYTES_MAX = 6 * 1024 * 1024
FILES_MAX = 16
SECONDS_MAX = 900


class Shelf:
    """The last file of each session, by the session's fingerprint."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._files: dict[str, tuple[float, str]] = {}

    def put(self, owner: str, text: str) -> None:
        """Keep a file in place of the owner's last one; the oldest of too many goes."""
        self._files.pop(owner, None)
        self._files = {name: kept for name, kept in self._files.items() if kept[0] > self._clock()}
        while len(self._files) >= FILES_MAX:
            del self._files[next(iter(self._files))]
        self._files[owner] = (self._clock() + SECONDS_MAX, text)

    def find(self, owner: str) -> str:
        """Return the owner's file; empty where there is none any more."""
        ends, text = self._files.get(owner, (0.0, ""))
        return text if owner and ends > self._clock() else ""


shelf = Shelf()


async def take_price_file(request: Request) -> Response:
    """Keep an operator's file of prices until its page has it reviewed."""
    if request.headers.get("origin") not in runtime.settings().allowed_origins:
        return PlainTextResponse("This file was not sent from the dashboard.", status_code=403)
    session_id = request.cookies.get(runtime.cookie_name())
    session = runtime.sessions().find(session_id)
    if session is None or not session.admin:
        return PlainTextResponse("Sign in as an operator first.", status_code=403)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FILE_BYTES_MAX:
            return PlainTextResponse(f"A file has at most {FILE_BYTES_MAX // 1024**2} MiB.", status_code=413)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return PlainTextResponse("The file is not text in UTF-8.", status_code=422)
    shelf.put(fingerprint(session_id), text)
    return Response(status_code=204)


def uploads() -> list[Route]:
    return [Route("/_files/prices", take_price_file, methods=["POST"])]
