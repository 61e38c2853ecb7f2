"""Links of mails: the token goes into a cookie before the page is shown, so no history, script or Referer has it."""

import re
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse, Response

from operis_dashboard import runtime
from operis_dashboard.session import read_cookie

LINK_PAGES = frozenset(
    {"/verify-email", "/reset-password", "/confirm-address", "/undo-address", "/invitation", "/register"}
)
"""Pages that mails lead to with a token."""

_SECONDS_MAX = 3600
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")


def take_token(path: str, query: bytes) -> Response | None:
    """Return the way to the page without its token, which goes along as a cookie; None where there is none."""
    token = parse_qs(query.decode("latin-1")).get("token", [""])[0] if path in LINK_PAGES else ""
    if not token:
        return None
    response = RedirectResponse(path, status_code=303)
    if _TOKEN.fullmatch(token):
        response.set_cookie(
            _cookie(path),
            token,
            max_age=_SECONDS_MAX,
            path="/",
            secure=runtime.settings().secure,
            httponly=True,
            samesite="lax",
        )
    return response


def read_token(cookies: str | None, path: str) -> str:
    """Return the token that came with the link to this page; empty where none did."""
    return read_cookie(cookies, _cookie(path)) or ""


def forget_tokens(response: Response) -> None:
    for path in LINK_PAGES:
        response.delete_cookie(_cookie(path), path="/", secure=runtime.settings().secure, httponly=True, samesite="lax")


def _cookie(path: str) -> str:
    name = "operis_link" + path.replace("/", "_").replace("-", "_")
    return f"__Host-{name}" if runtime.settings().secure else name
