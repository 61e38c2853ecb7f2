"""Setting a new password by the link that was mailed. All sessions end with it."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import ApiError, OperisError
from operis_dashboard import theme
from operis_dashboard.components.cards import awaited, entrance
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.components.links import page_link
from operis_dashboard.following_links import LinkFollower
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.wording import t

_PATH = "/reset-password"


class ResetPassword(LinkFollower):
    stage: str = ""
    """`link`: one is here to be used; `none`: there is none, or it was refused; `done`."""
    busy: bool = False
    failure: str = ""

    @rx.event
    def load(self) -> None:
        self.stage = "link" if self._token(_PATH) else "none"
        self.busy, self.failure = False, ""

    @rx.event
    async def submit(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure = True, ""
        yield
        token = self._token(_PATH)
        password = read_field(form, "new_password")
        try:
            await self._ask_as_visitor(lambda api: api.reset_password(token=token, new_password=password))
        except OperisError as error:
            self.failure = self._explain(error)
            if isinstance(error, ApiError) and error.code == "invalid_link":
                self.stage, self.failure = "none", self._say("link.refused")
                yield self._spend(token)
            return
        finally:
            self.busy = False
        self.stage = "done"
        yield self._spend(token)


@page(route=_PATH, title="reset.title", role="visitor", on_load=ResetPassword.load)
def reset_password() -> rx.Component:
    return rx.match(
        ResetPassword.stage,
        (
            "link",
            entrance(
                rx.el.form(
                    alert(ResetPassword.failure),
                    field(
                        t("field.new_password"),
                        text_input(
                            "new_password",
                            type="password",
                            auto_complete="new-password",
                            required=True,
                            auto_focus=True,
                            aria_describedby="new_password-hint",
                        ),
                        name="new_password",
                        hint=t("register.password_hint"),
                    ),
                    submit(t("reset.action"), busy=ResetPassword.busy, wide=True),
                    on_submit=ResetPassword.submit,
                    method="post",
                    action="/_auth/nojs",
                    class_name="flex flex-col gap-4",
                ),
                title=t("reset.title"),
                text=t("reset.text"),
            ),
        ),
        (
            "done",
            entrance(
                page_link(t("login.action"), href="/login", class_name=theme.BUTTON),
                title=t("reset.done"),
                text=t("reset.done_text"),
            ),
        ),
        (
            "none",
            entrance(
                alert(ResetPassword.failure),
                page_link(t("reset.ask"), href="/forgot-password", class_name=theme.BUTTON),
                page_link(t("reset.back"), href="/login", class_name=theme.LINK + " self-center text-sm"),
                title=t("reset.none"),
                text=t("reset.none_text"),
            ),
        ),
        awaited(),
    )
