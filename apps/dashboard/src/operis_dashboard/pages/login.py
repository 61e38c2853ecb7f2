"""Signing in."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import reflex as rx

from operis_client import ApiError, OperisError
from operis_client.models import SignIn
from operis_dashboard import runtime, theme
from operis_dashboard.asking_devices import read_answer, show_passkey
from operis_dashboard.components.cards import entrance
from operis_dashboard.components.controls import alert, field, press, submit, text_input
from operis_dashboard.components.links import page_link
from operis_dashboard.departures import read_departure
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.session import read_cookie
from operis_dashboard.signing_in import depart, enter, next_path, onward
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_REFUSALS = {
    "invalid_credentials": "login.wrong",
    "email_unverified": "login.unverified",
    "invalid_code": "login.wrong_code",
    "invalid_passkey": "login.wrong_passkey",
}


@dataclass(frozen=True)
class Provider:
    name: str = ""
    title: str = ""


class Login(Viewer):
    busy: bool = False
    failure: str = ""
    unverified: bool = False
    onward: str = ""
    code_asked: bool = False
    methods: list[str] = []
    """By which a second factor is shown."""

    providers: list[Provider] = []
    owner_asked: bool = False
    """Somebody has the address of who came back: their password is asked for."""

    _mfa_token: str = ""
    _link_token: str = ""
    _wanted: str = ""
    """Where the viewer wanted to go before they left for a provider."""

    @rx.event
    async def load(self) -> None:
        expired = self.router.url.query_parameters.get("expired") is not None
        self.failure = self._say("login.expired") if expired else ""
        self.busy, self.unverified, self.onward = False, False, onward(self)
        self._begin_anew()
        try:
            found = await self._ask_as_visitor(lambda api: api.list_identity_providers())
            self.providers = [Provider(one.name, one.title) for one in found]
        except OperisError:
            self.providers = []  # a password goes without them

    @rx.event
    async def submit(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure, self.unverified = True, "", False
        yield
        email, password = read_field(form, "email"), read_field(form, "password")
        try:
            self._tell_browser()
            yield enter(await runtime.open_session(email, password, device_token=self._device()), next_path(self))
        except runtime.SecondFactorAskedError as asked:
            self._ask_second_factor(asked)
        except OperisError as error:
            self._refuse(error)

    @rx.event
    async def submit_code(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self._mfa_token:
            return
        self.busy, self.failure = True, ""
        yield
        try:
            self._tell_browser()
            code = read_field(form, "code").strip()
            yield enter(await runtime.finish_session(self._mfa_token, code, device_token=self._device()), self._onto())
        except OperisError as error:
            self._refuse(error)

    @rx.event
    async def ask_device(self) -> AsyncGenerator[Any, None]:
        """Ask for a passkey: instead of the password, or after it."""
        self.busy, self.failure, self.unverified = True, "", False
        yield
        mfa_token = self._mfa_token or None
        try:
            options = await self._ask_as_visitor(lambda api: api.begin_passkey_sign_in(mfa_token=mfa_token))
        except OperisError as error:
            self._refuse(error)
            return
        yield show_passkey(options, Login.submit_passkey)

    @rx.event
    async def submit_passkey(self, answer: dict[str, Any]) -> AsyncGenerator[Any, None]:
        credential, failure = read_answer(answer)
        if failure:
            self.busy, self.failure = False, self._say(failure)
            return
        try:
            self._tell_browser()
            session = await runtime.open_session_by_passkey(
                credential, mfa_token=self._mfa_token or None, device_token=self._device()
            )
            yield enter(session, self._onto())
        except OperisError as error:
            self._refuse(error)

    @rx.event
    async def leave(self, provider: str) -> AsyncGenerator[Any, None]:
        """Send the browser to an identity provider."""
        self.busy, self.failure = True, ""
        yield
        if str(provider) not in {one.name for one in self.providers}:
            self.busy = False
            return
        try:
            departure = await self._ask_as_visitor(lambda api: api.begin_provider_sign_in(provider))
        except OperisError as error:
            self._refuse(error)
            return
        yield depart(departure, next_path(self))

    @rx.event
    async def come_back(self) -> AsyncGenerator[Any, None]:
        """Sign in who comes back from a provider, or link them to who is signed in."""
        self.busy, self.failure = False, ""
        self._begin_anew()
        yield
        query = self.router.url.query_parameters
        state, code, issuer = query.get("state", ""), query.get("code", ""), query.get("iss")
        browser_token, self._wanted = read_departure(self.router.headers.cookie)
        try:
            if not (state and code and browser_token):
                self.failure = self._say("login.came_without")
            elif self._is_still_here():
                await self._ask(
                    lambda api: api.finish_link(state=state, code=code, browser_token=browser_token, iss=issuer)
                )
                yield rx.redirect(self._wanted)
            else:
                answer = await self._ask_as_visitor(
                    lambda api: api.finish_provider_sign_in(
                        state=state,
                        code=code,
                        browser_token=browser_token,
                        iss=issuer,
                        device_token=self._device(),
                        locale=self.language,
                    )
                )
                yield await self._arrive(answer)
        except OperisError as error:
            self._refuse(error)

    @rx.event
    async def submit_owner(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Link who came back to the account with their address, by its password."""
        if not self._link_token:
            return
        self.busy, self.failure = True, ""
        yield
        browser_token, _ = read_departure(self.router.headers.cookie)
        link_token, password = self._link_token, read_field(form, "password")
        try:
            answer = await self._ask_as_visitor(
                lambda api: api.prove_identity(
                    link_token=link_token, browser_token=browser_token, password=password, device_token=self._device()
                )
            )
            yield await self._arrive(answer)
        except OperisError as error:
            self._refuse(error)

    async def _arrive(self, answer: SignIn) -> Any:
        if answer.password_required:
            self.owner_asked, self._link_token = True, answer.link_token
            return None
        try:
            return enter(await runtime.keep_session(answer), self._onto())
        except runtime.SecondFactorAskedError as asked:
            self._ask_second_factor(asked)

    def _ask_second_factor(self, asked: runtime.SecondFactorAskedError) -> None:
        self.busy, self.code_asked, self._mfa_token = False, True, asked.mfa_token
        self.methods = list(asked.methods)

    def _begin_anew(self) -> None:
        self.code_asked, self._mfa_token = False, ""
        self.owner_asked, self._link_token, self._wanted = False, "", ""

    def _onto(self) -> str | None:
        return self._wanted or next_path(self)

    def _refuse(self, error: OperisError) -> None:
        code = error.code if isinstance(error, ApiError) else ""
        self.busy, self.unverified = False, code == "email_unverified"
        self.failure = self._say(_REFUSALS[code]) if code in _REFUSALS else self._explain(error)
        if code == "unauthenticated" and self._mfa_token:
            self.code_asked, self._mfa_token, self.failure = False, "", self._say("login.expired")

    def _device(self) -> str | None:
        return read_cookie(self.router.headers.cookie, runtime.device_cookie_name())


@page(route="/login", title="login.title", role="visitor", on_load=Login.load)
def login() -> rx.Component:
    return rx.cond(Login.code_asked, code_form(), _password_form())


def code_form() -> rx.Component:
    return entrance(
        rx.el.form(
            alert(Login.failure),
            field(
                t("field.code"),
                text_input(
                    "code",
                    auto_complete="one-time-code",
                    required=True,
                    auto_focus=True,
                    max_length=64,
                    aria_describedby="code-hint",
                ),
                name="code",
                hint=t("login.code_hint"),
            ),
            submit(t("login.action"), busy=Login.busy, wide=True),
            rx.cond(Login.methods.contains("passkey"), _passkey_button(), rx.fragment()),
            on_submit=Login.submit_code,
            method="post",
            action="/_auth/nojs",
            class_name="flex flex-col gap-4",
        ),
        rx.el.a(t("login.other"), href="/login", class_name=theme.LINK + " text-sm"),
        title=t("login.code_title"),
        text=rx.cond(Login.methods.contains("totp"), t("login.code_text"), t("login.passkey_text")),
    )


def _passkey_button() -> rx.Component:
    return press(t("login.passkey"), on_click=Login.ask_device, busy=Login.busy, look=theme.BUTTON_OUTLINE + " w-full")


def _password_form() -> rx.Component:
    return entrance(
        rx.el.form(
            alert(Login.failure),
            rx.cond(
                Login.unverified,
                page_link(t("login.resend"), href="/verify-email", class_name=theme.LINK + " w-fit text-sm"),
                rx.fragment(),
            ),
            field(
                t("field.email"),
                text_input("email", type="email", auto_complete="username", required=True, auto_focus=True),
                name="email",
            ),
            field(
                t("field.password"),
                text_input("password", type="password", auto_complete="current-password", required=True),
                name="password",
            ),
            submit(t("login.action"), busy=Login.busy, wide=True),
            _passkey_button(),
            rx.foreach(
                Login.providers,
                lambda one: press(
                    t("login.provider", title=one.title),
                    on_click=Login.leave(one.name),
                    busy=Login.busy,
                    look=theme.BUTTON_OUTLINE + " w-full",
                ),
            ),
            page_link(t("login.forgot"), href="/forgot-password", class_name=theme.LINK + " w-fit self-center text-sm"),
            on_submit=Login.submit,
            method="post",
            action="/_auth/nojs",
            class_name="flex flex-col gap-4",
        ),
        rx.cond(
            Login.registration == "open",
            rx.el.p(
                t("login.no_account"),
                " ",
                page_link(t("login.register"), href="/register" + Login.onward, class_name=theme.LINK),
                class_name="text-center text-sm text-muted-foreground",
            ),
            rx.fragment(),
        ),
        title=t("login.title"),
        text=t("login.text"),
    )
