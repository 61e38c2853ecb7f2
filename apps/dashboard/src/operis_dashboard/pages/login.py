"""Signing in."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import ApiError, OperisError
from operis_dashboard import runtime, theme
from operis_dashboard.components.cards import entrance
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.components.links import page_link
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.signing_in import enter, next_path, onward
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_REFUSALS = {"invalid_credentials": "login.wrong", "email_unverified": "login.unverified"}


class Login(Viewer):
    busy: bool = False
    failure: str = ""
    unverified: bool = False
    onward: str = ""

    @rx.event
    def load(self) -> None:
        expired = self.router.url.query_parameters.get("expired") is not None
        self.failure = self._say("login.expired") if expired else ""
        self.busy, self.unverified, self.onward = False, False, onward(self)

    @rx.event
    async def submit(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure, self.unverified = True, "", False
        yield
        try:
            runtime.client_address.set(self.router.session.client_ip)
            session = await runtime.open_session(read_field(form, "email"), read_field(form, "password"))
            yield enter(session, next_path(self))
        except ApiError as error:
            self.busy = False
            self.unverified = error.code == "email_unverified"
            self.failure = self._say(_REFUSALS[error.code]) if error.code in _REFUSALS else self._explain(error)
        except OperisError as error:
            self.busy, self.failure = False, self._explain(error)


@page(route="/login", title="login.title", role="visitor", on_load=Login.load)
def login() -> rx.Component:
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
