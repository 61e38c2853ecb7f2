"""Signing in."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import ApiError, OperisError
from operis_dashboard import runtime, theme
from operis_dashboard.asking_devices import read_answer, show_passkey
from operis_dashboard.components.cards import entrance
from operis_dashboard.components.controls import alert, field, press, submit, text_input
from operis_dashboard.components.links import page_link
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.session import read_cookie
from operis_dashboard.signing_in import enter, next_path, onward
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_REFUSALS = {
    "invalid_credentials": "login.wrong",
    "email_unverified": "login.unverified",
    "invalid_code": "login.wrong_code",
    "invalid_passkey": "login.wrong_passkey",
}


class Login(Viewer):
    busy: bool = False
    failure: str = ""
    unverified: bool = False
    onward: str = ""
    code_asked: bool = False
    methods: list[str] = []
    """By which a second factor is shown."""

    _mfa_token: str = ""

    @rx.event
    def load(self) -> None:
        expired = self.router.url.query_parameters.get("expired") is not None
        self.failure = self._say("login.expired") if expired else ""
        self.busy, self.unverified, self.onward = False, False, onward(self)
        self.code_asked, self._mfa_token = False, ""

    @rx.event
    async def submit(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure, self.unverified = True, "", False
        yield
        email, password = read_field(form, "email"), read_field(form, "password")
        try:
            self._tell_browser()
            yield enter(await runtime.open_session(email, password, device_token=self._device()), next_path(self))
        except runtime.SecondFactorAskedError as asked:
            self.busy, self.code_asked, self._mfa_token = False, True, asked.mfa_token
            self.methods = list(asked.methods)
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
            yield enter(
                await runtime.finish_session(self._mfa_token, code, device_token=self._device()), next_path(self)
            )
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
            yield enter(session, next_path(self))
        except OperisError as error:
            self._refuse(error)

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
    return rx.cond(Login.code_asked, _code_form(), _password_form())


def _code_form() -> rx.Component:
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
        rx.el.button(
            t("login.other"), type="button", on_click=Login.load, class_name=theme.LINK + " cursor-pointer text-sm"
        ),
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
