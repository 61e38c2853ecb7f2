"""Files of any length that the browser saves, passed on from the API piece by piece."""

from collections.abc import AsyncGenerator
from datetime import datetime

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from operis_client import ApiError, AsyncOperis, OperisError
from operis_dashboard import runtime

DOWNLOADS = "/_download/"
"""What begins the address of each file."""


async def download_statement(request: Request) -> Response:
    """Send the wallet's lines as the page has narrowed them."""
    try:
        pieces = await _open(request)
        first = await anext(pieces)  # before the answer begins: a refusal is one then
    except runtime.SignedOutError:
        return RedirectResponse("/login", status_code=303)
    except ValueError:
        return PlainTextResponse("There is no such time.", status_code=422)
    except ApiError as error:
        if error.status == 401:
            return RedirectResponse("/login", status_code=303)
        return PlainTextResponse(error.detail or error.title, status_code=error.status)
    except OperisError as error:
        return PlainTextResponse(str(error), status_code=502)
    return StreamingResponse(
        _chain(first, pieces),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="statement.csv"'},
    )


def downloads() -> list[Route]:
    return [Route(f"{DOWNLOADS}statement.csv", download_statement, methods=["GET"])]


async def _open(request: Request) -> AsyncGenerator[bytes]:
    """Return the file as this user may read it. Raises ValueError for a time that is none."""
    asked = request.query_params
    begin, end = (datetime.fromisoformat(asked[name]) if asked.get(name) else None for name in ("from", "to"))
    address = request.client.host if request.client else ""
    runtime.browser.set(runtime.Browser(address, request.headers.get("user-agent", "")))
    api = await runtime.connect(request.cookies.get(runtime.cookie_name()))
    return _read(api, kind=asked.get("kind") or None, begin=begin, end=end)


async def _read(
    api: AsyncOperis, *, kind: str | None, begin: datetime | None, end: datetime | None
) -> AsyncGenerator[bytes]:
    async with api.stream_wallet_statement(kind=kind, from_=begin, to=end) as pieces:
        async for piece in pieces:
            yield piece


async def _chain(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for piece in rest:
        yield piece
