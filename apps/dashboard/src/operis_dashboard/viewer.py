"""The person in front of a tab: base of every page's state, and the pages' one way to the API."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import reflex as rx
from reflex.event import EventSpec

from operis_client import ApiError, AsyncOperis, OperisError, UnreachableError
from operis_dashboard import runtime
from operis_dashboard.formatting import Writer
from operis_dashboard.session import Place, Session, binding, read_cookie
from operis_dashboard.texts import LANGUAGES, say

Answer = TypeVar("Answer")


class Viewer(rx.State):
    """Vars without an underscore reach the browser; the session and its tokens are in neither kind."""

    language: str = "en"
    name: str = ""
    email: str = ""
    organization: str = ""
    organization_id: str = ""
    organizations: list[Place] = []
    admin: bool = False
    permissions: list[str] = []
    """What buttons are shown for; the API judges every call."""
    api_url: str = ""
    registration: str = "open"
    development: bool = False
    """Where mail is written to a mailbox that everybody reads."""
    snippet: str = "curl"
    """Which of the code snippets is shown, on every page that has some."""

    _bound: str = ""
    """Fingerprint of the session this state belongs to."""
    _zone: str = "UTC"

    @rx.var
    def vietnamese(self) -> bool:
        return self.language == "vi"

    @rx.event
    def choose_language(self, language: str) -> list[EventSpec]:
        """Remember the language for a year and draw the page anew, since amounts and times are written in it."""
        chosen = language if language in LANGUAGES else "en"
        cookie = f"operis_language={chosen}; Path=/; Max-Age=31536000; SameSite=Lax"
        return [rx.call_script(f"document.cookie = '{cookie}'; window.location.reload()")]

    @rx.event
    async def choose_organization(self, organization_id: str) -> Any:
        """Go to work in another organization; the page is loaded anew, since everything on it is another's."""
        if organization_id == "new":
            return rx.redirect("/team?create=1")
        session_id = self._session_id()
        try:
            if session_id:
                await runtime.enter_organization(session_id, str(organization_id))
        except OperisError as error:
            await self._reread()
            return rx.toast.error(self._explain(error))
        return rx.call_script("window.location.assign('/')")

    @rx.event
    def choose_snippet(self, snippet: str) -> None:
        self.snippet = snippet if snippet in {"curl", "python", "javascript", "anthropic"} else "curl"

    def _greet(self, session: Session | None) -> None:
        """Take over who is signed in, and how they read amounts and times. The gate calls this per event."""
        headers = self.router.headers
        facts = {
            "language": _language(headers.cookie, headers.accept_language),
            "_zone": Writer.known_zone(_chosen_zone(session) or read_cookie(headers.cookie, "operis_zone")),
            "api_url": runtime.settings().public_api_url,
            "registration": runtime.settings().registration,
            "development": not runtime.settings().production,
            "name": session.name or session.email if session else "",
            "email": session.email if session else "",
            "organization": session.organization if session else "",
            "organization_id": session.organization_id if session else "",
            "organizations": list(session.organizations) if session else [],
            "admin": bool(session and session.admin),
            "permissions": list(session.permissions) if session else [],
        }
        for name, value in facts.items():
            if getattr(self, name) != value:  # an assignment is sent to the browser, changed or not
                setattr(self, name, value)

    @property
    def _writer(self) -> Writer:
        return Writer(self.language, self._zone)

    def _say(self, key: str, **facts: object) -> str:
        return say(self.language, key, **facts)

    def _session_id(self) -> str | None:
        return read_cookie(self.router.headers.cookie, runtime.cookie_name())

    def _is_still_here(self) -> bool:
        """Return whether the session this state belongs to is alive: asked again during long work."""
        session_id = self._session_id()
        session = runtime.sessions().find(session_id)
        return session is not None and binding(session_id, session) == self._bound

    async def _ask(self, call: Callable[[AsyncOperis], Awaitable[Answer]]) -> Answer:
        """Call the API as this user and return the answer.

        A token the API no longer takes is renewed once. Raises OperisError, SignedOutError when the session is
        over, and SecondFactorMissingError where an operator has to enrol one first.
        """
        self._tell_browser()
        try:
            return await call(await runtime.connect(self._session_id()))
        except ApiError as error:
            if error.status == 404:
                await self._refuse_lost_organization()
            if error.code == "second_factor_required":
                raise runtime.SecondFactorMissingError from error
            if error.code != "unauthenticated":
                raise
        try:
            return await call(await runtime.connect(self._session_id(), renew=True))
        except ApiError as error:
            if error.code == "unauthenticated":
                raise runtime.SignedOutError from error
            raise

    def _tell_browser(self) -> None:
        """Let the calls that follow be known as this browser's."""
        runtime.browser.set(runtime.Browser(self.router.session.client_ip, self.router.headers.user_agent))

    async def _refuse_lost_organization(self) -> None:
        """Raise `OrganizationLostError` if the user is no longer where they were at work."""
        before = self.organization_id
        await self._reread()
        if self.organization_id != before:
            raise runtime.OrganizationLostError

    async def _reread(self) -> None:
        """Take over what has changed about the user and where they are, also in the cookie's session."""
        if session_id := self._session_id():
            await runtime.reread_session(session_id)
            self._greet(runtime.sessions().find(session_id))

    async def _ask_as_visitor(self, call: Callable[[AsyncOperis], Awaitable[Answer]]) -> Answer:
        """Call the API as nobody: for signing up and in, and for what mailed links do. Raises OperisError."""
        self._tell_browser()
        return await call(runtime.anonymous())

    def _explain(self, error: OperisError) -> str:
        """Return what went wrong, for people."""
        if isinstance(error, UnreachableError):
            return self._say("error.unreachable")
        if isinstance(error, ApiError) and error.status >= 500 and error.request_id:
            return self._say("error.server", detail=error.detail or error.title, request_id=error.request_id)
        if isinstance(error, ApiError):
            return error.detail or error.title
        return self._say("error.unexpected")


def _language(cookies: str | None, accepted: str | None) -> str:
    chosen = read_cookie(cookies, "operis_language")
    if chosen in LANGUAGES:
        return chosen
    preferred = (accepted or "").split(",")[0].strip().lower()
    return "vi" if preferred.startswith("vi") else "en"


def _chosen_zone(session: Session | None) -> str:
    return session.time_zone if session and session.time_zone != "UTC" else ""
