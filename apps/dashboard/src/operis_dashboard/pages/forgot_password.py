"""Asking for a link to set a new password. What is shown never tells whether the address has an account."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import OperisError
from operis_dashboard import theme
from operis_dashboard.components.cards import entrance
from operis_dashboard.components.controls import alert, field, notice, press, submit, text_input
from operis_dashboard.components.links import page_link
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


class ForgotPassword(Viewer):
    busy: bool = False
    failure: str = ""
    sent_to: str = ""

    @rx.event
    def load(self) -> None:
        self.busy, self.failure, self.sent_to = False, "", ""

    @rx.event
    async def submit(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure = True, ""
        yield
        email = read_field(form, "email").strip()
        try:
            await self._ask_as_visitor(lambda api: api.forgot_password(email=email))
        except OperisError as error:
            self.failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.sent_to = email


@page(route="/forgot-password", title="forgot.title", role="visitor", on_load=ForgotPassword.load)
def forgot_password() -> rx.Component:
    back = page_link(t("reset.back"), href="/login", class_name=theme.LINK + " self-center text-sm")
    return rx.cond(
        ForgotPassword.sent_to != "",
        entrance(
            notice(t("forgot.sent", email=ForgotPassword.sent_to)),
            rx.el.p(t("mail.not_there"), class_name="text-sm text-muted-foreground"),
            press(t("mail.again"), on_click=ForgotPassword.load, busy=ForgotPassword.busy, look=theme.BUTTON_OUTLINE),
            back,
            title=t("mail.look"),
            text=t("forgot.sent_text"),
        ),
        entrance(
            rx.el.form(
                alert(ForgotPassword.failure),
                field(
                    t("field.email"),
                    text_input("email", type="email", auto_complete="username", required=True, auto_focus=True),
                    name="email",
                ),
                submit(t("forgot.action"), busy=ForgotPassword.busy, wide=True),
                on_submit=ForgotPassword.submit,
                method="post",
                action="/_auth/nojs",
                class_name="flex flex-col gap-4",
            ),
            back,
            title=t("forgot.title"),
            text=t("forgot.text"),
        ),
    )
