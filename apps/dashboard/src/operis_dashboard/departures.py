"""The way to an identity provider and back: the browser keeps, in a cookie no script reads, what proves it left here.

The way there is a page rather than a redirect: browsers let a form of ours lead to our own site alone.
"""

from html import escape
from urllib.parse import quote, unquote

from starlette.responses import HTMLResponse, Response

from operis_client.models import Departure
from operis_dashboard import runtime
from operis_dashboard.session import read_cookie, safe_path

RETURN_PAGE = "/provider"
"""Where providers send the browser back to."""
_SECONDS_MAX = 600


def send_away(departure: Departure, next_path: str) -> Response:
    there = f'<meta http-equiv="refresh" content="0;url={escape(departure.url, quote=True)}">'
    response = HTMLResponse(f'<!doctype html><title>Operis</title><link rel="icon" href="data:,">{there}')
    response.set_cookie(
        _cookie(),
        f"{departure.browser_token}:{quote(next_path, safe='')}",
        max_age=_SECONDS_MAX,
        path="/",
        secure=runtime.settings().secure,
        httponly=True,
        samesite="lax",
    )
    return response


def read_departure(cookies: str | None) -> tuple[str, str]:
    """Return the token of the browser that left from here, and where its viewer wanted to go."""
    token, _, wanted = (read_cookie(cookies, _cookie()) or "").partition(":")
    return token, safe_path(unquote(wanted))


def _cookie() -> str:
    return runtime.cookie_name().replace("_session", "_provider")
