"""Signing in."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import ApiError, OperisError
from operis_dashboard import runtime, theme
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.components.links import page_link
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.signing_in import enter, next_path
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


class Login(Viewer):
    busy: bool = False
    failure: str = ""

    @rx.event
    def load(self) -> None:
        expired = self.router.url.query_parameters.get("expired") is not None
        self.failure = self._say("login.expired") if expired else ""
        self.busy = False

    @rx.event
    async def submit(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure = True, ""
        yield
        try:
            runtime.client_address.set(self.router.session.client_ip)
            session = await runtime.open_session(read_field(form, "email"), read_field(form, "password"))
            yield enter(session, next_path(self))
        except ApiError as error:
            self.busy = False
            self.failure = self._say("login.wrong") if error.status == 401 else self._explain(error)
        except OperisError as error:
            self.busy, self.failure = False, self._explain(error)


@page(route="/login", title="login.title", role="visitor", on_load=Login.load)
def login() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.h1(t("login.title"), class_name="text-xl font-semibold tracking-tight"),
            rx.el.p(t("login.text"), class_name="text-sm text-muted-foreground"),
            class_name="flex flex-col gap-1",
        ),
        rx.el.form(
            alert(Login.failure),
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
                page_link(t("login.register"), href="/register", class_name=theme.LINK),
                class_name="text-center text-sm text-muted-foreground",
            ),
            rx.fragment(),
        ),
        class_name=theme.CARD + " flex w-full max-w-sm flex-col gap-6 p-6 shadow-sm",
    )
