"""The HTTP side of signing in and out: the only routes that set or clear the session cookie.

Each of those is a POST from one of our own pages: the Origin header has to name the dashboard.
"""

import asyncio
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from operis_client import OperisError
from operis_dashboard import runtime
from operis_dashboard.departures import send_away
from operis_dashboard.downloads import downloads
from operis_dashboard.mailed_links import forget_tokens
from operis_dashboard.session import SESSION_SECONDS_MAX
from operis_dashboard.uploads import uploads

_FORM_BYTES_MAX = 4096
_DEVICE_SECONDS_MAX = 365 * 24 * 3600


async def redeem_ticket(request: Request) -> Response:
    """Exchange a ticket for the cookie of a new session; whoever was signed in here before is signed out."""
    if refusal := _refuse_foreign(request):
        return refusal
    redeemed = runtime.tickets.redeem(await _read_ticket(request))
    if redeemed is None:
        return RedirectResponse("/login?expired=1", status_code=303)
    session, next_path = redeemed
    await _end_session(request)
    response = RedirectResponse(next_path, status_code=303)
    device_token, session = session.device_token, msgspec.structs.replace(session, device_token="")
    _keep(response, runtime.cookie_name(), runtime.sessions().add(session), SESSION_SECONDS_MAX)
    if device_token:
        _keep(response, runtime.device_cookie_name(), device_token, _DEVICE_SECONDS_MAX)
    return response


async def leave(request: Request) -> Response:
    """Exchange a ticket for the way to an identity provider, and the cookie that the way back asks for."""
    if refusal := _refuse_foreign(request):
        return refusal
    redeemed = runtime.departures.redeem(await _read_ticket(request))
    return send_away(*redeemed) if redeemed else RedirectResponse("/login?expired=1", status_code=303)


def _keep(response: Response, name: str, value: str, seconds: int) -> None:
    secure = runtime.settings().secure
    response.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax")


async def sign_out(request: Request) -> Response:
    """End the session here and at the API, and clear the cookie."""
    if refusal := _refuse_foreign(request):
        return refusal
    await _end_session(request)
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(
        runtime.cookie_name(), path="/", secure=runtime.settings().secure, httponly=True, samesite="lax"
    )
    return response


async def forget_link(request: Request) -> Response:
    """Drop the tokens of mailed links from the browser: one of them was used."""
    if refusal := _refuse_foreign(request):
        return refusal
    response = Response(status_code=204)
    forget_tokens(response)
    return response


async def no_script(_request: Request) -> Response:
    """Where a form with a password lands when it is sent before its page is ready: nothing is read."""
    return RedirectResponse("/login", status_code=303)


async def health(_request: Request) -> Response:
    return PlainTextResponse("ok")


def doors() -> Starlette:
    return Starlette(
        routes=[
            Route("/_auth/callback", redeem_ticket, methods=["POST"]),
            Route("/_auth/depart", leave, methods=["POST"]),
            Route("/_auth/logout", sign_out, methods=["POST"]),
            Route("/_auth/link-used", forget_link, methods=["POST"]),
            Route("/_auth/nojs", no_script, methods=["POST"]),
            *downloads(),
            *uploads(),
            Route("/healthz", health, methods=["GET"]),
        ]
    )


def _refuse_foreign(request: Request) -> Response | None:
    if request.headers.get("origin") in runtime.settings().allowed_origins:
        return None
    return PlainTextResponse("This form was not sent from the dashboard.", status_code=403)


async def _read_ticket(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES_MAX:
            return ""
    return parse_qs(body.decode("latin-1")).get("ticket", [""])[0]


async def _end_session(request: Request) -> None:
    session_id = request.cookies.get(runtime.cookie_name())
    session = runtime.sessions().find(session_id)
    if session is None or session_id is None:
        return
    runtime.sessions().end(session_id)  # first, so that no answer of the API can keep the session alive here
    operis = runtime.anonymous()
    operis.token = session.access_token
    try:
        async with asyncio.timeout(5):
            await operis.logout(refresh_token=session.refresh_token)
    except (OperisError, TimeoutError):
        pass  # the tokens are gone from here; at the API they end by themselves
