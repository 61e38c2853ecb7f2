"""Signing up. A new user is signed in at once."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import OperisError
from operis_dashboard import runtime, theme
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.components.links import page_link
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.signing_in import enter, next_path
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


class Register(Viewer):
    busy: bool = False
    failure: str = ""

    @rx.event
    def load(self) -> None:
        self.busy, self.failure = False, ""

    @rx.event
    async def submit(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure = True, ""
        yield
        email, password = read_field(form, "email"), read_field(form, "password")
        try:
            runtime.client_address.set(self.router.session.client_ip)
            await runtime.anonymous().register(email=email, password=password, name=read_field(form, "name"))
            yield enter(await runtime.open_session(email, password), next_path(self))
        except OperisError as error:
            self.busy, self.failure = False, self._explain(error)


@page(route="/register", title="register.title", role="visitor", on_load=Register.load)
def register() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.h1(t("register.title"), class_name="text-xl font-semibold tracking-tight"),
            rx.el.p(t("register.text"), class_name="text-sm text-muted-foreground"),
            class_name="flex flex-col gap-1",
        ),
        rx.cond(
            Register.registration == "open",
            rx.el.form(
                alert(Register.failure),
                field(
                    t("field.name"),
                    text_input("name", auto_complete="name", required=True, max_length=200, auto_focus=True),
                    name="name",
                ),
                field(
                    t("field.email"),
                    text_input("email", type="email", auto_complete="username", required=True),
                    name="email",
                ),
                field(
                    t("field.password"),
                    text_input(
                        "password",
                        type="password",
                        auto_complete="new-password",
                        required=True,
                        aria_describedby="password-hint",
                    ),
                    name="password",
                    hint=t("register.password_hint"),
                ),
                submit(t("register.action"), busy=Register.busy, wide=True),
                on_submit=Register.submit,
                method="post",
                action="/_auth/nojs",
                class_name="flex flex-col gap-4",
            ),
            rx.el.p(t("register.closed"), class_name="text-sm text-muted-foreground"),
        ),
        rx.el.p(
            t("register.have_account"),
            " ",
            page_link(t("register.login"), href="/login", class_name=theme.LINK),
            class_name="text-center text-sm text-muted-foreground",
        ),
        class_name=theme.CARD + " flex w-full max-w-sm flex-col gap-6 p-6 shadow-sm",
    )
