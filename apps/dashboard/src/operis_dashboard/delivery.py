"""What every HTTP answer of the dashboard has in common: headers, caching, clean addresses, who gets a page.

Pages are prerendered and hold no data, so sending a visitor to sign in before showing one is manners;
the gate is what protects.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from operis_dashboard import runtime
from operis_dashboard.departures import RETURN_PAGE
from operis_dashboard.downloads import DOWNLOADS
from operis_dashboard.mailed_links import LINK_PAGES, take_token
from operis_dashboard.session import read_cookie
from operis_dashboard.settings import Settings

ENTRANCES = frozenset({"/login", "/register"})
"""Pages for those who are not signed in."""
OPEN_PAGES = LINK_PAGES | {"/forgot-password", "/mailbox", RETURN_PAGE}
"""Pages for everybody."""
_OWN_PREFIXES = ("/_", "/assets/", "/fonts/", "/healthz", "/ping")


class Delivery:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers = list(security_headers(runtime.settings()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        scope = {**scope, "client": _client(scope, runtime.settings())}
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in self._headers:
                    headers[name] = value
                headers["cache-control"] = _caching(path, message["status"])
            await send(message)

        if _is_page(scope):
            if elsewhere := take_token(path.rstrip("/"), scope["query_string"]) or _elsewhere(scope):
                await elsewhere(scope, receive, send_with_headers)
                return
            if not path.endswith("/"):
                scope = {**scope, "path": f"{path}/", "raw_path": f"{path}/".encode()}
        await self._app(scope, receive, send_with_headers)


def security_headers(settings: Settings) -> Iterable[tuple[str, str]]:
    """Yield what each answer carries. Scripts need inline and eval: Reflex's own runtime uses both."""
    sockets = " ".join(origin.replace("http", "ws", 1) for origin in settings.allowed_origins)
    policy = (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data:; font-src 'self'; connect-src 'self' {sockets}; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    yield "content-security-policy", policy
    yield "x-content-type-options", "nosniff"
    yield "x-frame-options", "DENY"
    yield "referrer-policy", "same-origin"
    yield "cross-origin-opener-policy", "same-origin"
    yield "permissions-policy", "camera=(), microphone=(), geolocation=(), payment=()"
    if settings.secure:
        yield "strict-transport-security", "max-age=31536000; includeSubDomains"


def _caching(path: str, status: int) -> str:
    if path.startswith(DOWNLOADS):
        return "private, no-store"
    if status == 200 and path.startswith("/assets/"):
        return "public, max-age=31536000, immutable"  # their names carry a hash of what is in them
    if status == 200 and path.startswith("/fonts/"):
        return "public, max-age=604800"
    return "no-cache"


def _is_page(scope: Scope) -> bool:
    path: str = scope["path"]
    return (
        scope["method"] in {"GET", "HEAD"}
        and not path.startswith(_OWN_PREFIXES)
        and "." not in path.rsplit("/", maxsplit=1)[-1]
    )


def _elsewhere(scope: Scope) -> Response | None:
    """Return the way to where a page's visitor has to go instead; None to show the page."""
    target = _page_redirect(scope)
    return RedirectResponse(target, status_code=303) if target else None


def _page_redirect(scope: Scope) -> str | None:
    path = scope["path"].rstrip("/") or "/"
    cookie = read_cookie(Headers(scope=scope).get("cookie"), runtime.cookie_name())
    signed_in = runtime.sessions().find(cookie) is not None
    if path in ENTRANCES:
        return "/" if signed_in else None
    if signed_in or path in OPEN_PAGES:
        return None
    asked = path + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
    return "/login" if asked == "/" else f"/login?next={quote(asked, safe='/')}"


def _client(scope: Scope, settings: Settings) -> tuple[str, int]:
    """Return the browser's address: the nearest hop in X-Forwarded-For that is not a proxy we trust."""
    address, port = scope.get("client") or ("", 0)
    if not settings.trusted_proxies:
        return address, port
    hops = [hop.strip() for hop in Headers(scope=scope).get("x-forwarded-for", "").split(",") if hop.strip()]
    while hops and _is_trusted(address, settings):
        address = hops.pop()
    return address, port


def _is_trusted(address: str, settings: Settings) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in settings.trusted_proxies)
