"""Files that the browser saves: the wallet's statement of any length, and lists up to so many rows, page by page."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from operis_client import ApiError, AsyncOperis, OperisError
from operis_client.models import Page
from operis_dashboard import runtime
from operis_dashboard.sheets import KEY_COLUMNS, REQUEST_COLUMNS, key_cells, request_cells, row

DOWNLOADS = "/_download/"
"""What begins the address of each file."""
ROWS_MAX = 10_000
PAGE_ROWS = 200
"""The most that the API gives at once."""

Item = TypeVar("Item")
Asked = Mapping[str, str]
"""What the page's list is narrowed to; an empty text is no filter."""
Source = Callable[[AsyncOperis, Asked], AsyncGenerator[bytes]]


def downloads() -> list[Route]:
    sources: dict[str, Source] = {"statement": _statement, "requests": _requests, "keys": _keys}
    return [
        Route(f"{DOWNLOADS}{name}.csv", partial(_send, name=name, source=source), methods=["GET"])
        for name, source in sources.items()
    ]


async def _send(request: Request, *, name: str, source: Source) -> Response:
    """Send the file as this user may read it, piece by piece."""
    address = request.client.host if request.client else ""
    runtime.browser.set(runtime.Browser(address, request.headers.get("user-agent", "")))
    try:
        api = await runtime.connect(request.cookies.get(runtime.cookie_name()))
        pieces = source(api, {key: value for key, value in request.query_params.items() if value})
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
        headers={"content-disposition": f'attachment; filename="{name}.csv"'},
    )


async def _statement(api: AsyncOperis, asked: Asked) -> AsyncGenerator[bytes]:
    """Pass the API's own file on. Raises ValueError for a time that is none."""
    begin, end = (datetime.fromisoformat(asked[name]) if name in asked else None for name in ("from", "to"))
    async with api.stream_wallet_statement(kind=asked.get("kind"), from_=begin, to=end) as pieces:
        async for piece in pieces:
            yield piece


def _requests(api: AsyncOperis, asked: Asked) -> AsyncGenerator[bytes]:
    return _list(
        lambda after: api.list_requests(
            limit=PAGE_ROWS,
            after=after,
            model=asked.get("model"),
            key_id=asked.get("key_id"),
            outcome=asked.get("outcome"),
        ),
        REQUEST_COLUMNS,
        request_cells,
    )


def _keys(api: AsyncOperis, _asked: Asked) -> AsyncGenerator[bytes]:
    return _list(lambda after: api.list_keys(limit=PAGE_ROWS, after=after), KEY_COLUMNS, key_cells)


async def _list(
    read: Callable[[str | None], Awaitable[Page[Item]]],
    columns: tuple[str, ...],
    cells: Callable[[Item], tuple[object, ...]],
) -> AsyncGenerator[bytes]:
    """Yield a list as CSV, a page at a time, up to so many rows."""
    head, after = row(columns), None
    for _ in range(ROWS_MAX // PAGE_ROWS):
        page = await read(after)
        yield (head + "".join(row(cells(item)) for item in page.items)).encode()
        head, after = "", page.next
        if after is None:
            return


async def _chain(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(rest):  # who goes away in between must not keep the API's answer open
        yield first
        async for piece in rest:
            yield piece
