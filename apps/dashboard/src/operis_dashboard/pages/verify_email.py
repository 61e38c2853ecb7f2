"""Proving an address: by the link that was mailed, or asking for another one.

The link waits for a press of the button, since programs that scan mail follow links too.
"""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import ApiError, OperisError
from operis_dashboard import theme
from operis_dashboard.components.cards import awaited, entrance
from operis_dashboard.components.controls import alert, field, notice, press, submit, text_input
from operis_dashboard.components.links import page_link
from operis_dashboard.following_links import LinkFollower
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.wording import t

_PATH = "/verify-email"


class VerifyEmail(LinkFollower):
    stage: str = ""
    """`link`: one is here to be used; `ask`, `sent`: for another one; `done`."""
    busy: bool = False
    failure: str = ""
    sent_to: str = ""

    @rx.event
    def load(self) -> None:
        self.stage = "link" if self._token(_PATH) else "ask"
        self.busy, self.failure, self.sent_to = False, "", ""

    @rx.event
    async def use(self) -> AsyncGenerator[Any, None]:
        self.busy, self.failure = True, ""
        yield
        token = self._token(_PATH)
        try:
            await self._ask_as_visitor(lambda api: api.verify_email(token=token))
        except OperisError as error:
            self.failure = self._explain(error)
            if isinstance(error, ApiError) and error.status < 500:
                self.stage, self.failure = "ask", self._say("link.refused")
                yield self._spend(token)
            return
        finally:
            self.busy = False
        self.stage = "done"
        yield self._spend(token)

    @rx.event
    async def submit(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure = True, ""
        yield
        email = read_field(form, "email").strip()
        try:
            await self._ask_as_visitor(lambda api: api.resend_verification(email=email))
        except OperisError as error:
            self.failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.stage, self.sent_to = "sent", email


@page(route=_PATH, title="verify.title", role="visitor", on_load=VerifyEmail.load)
def verify_email() -> rx.Component:
    return rx.match(
        VerifyEmail.stage,
        (
            "link",
            entrance(
                alert(VerifyEmail.failure),
                press(t("verify.action"), on_click=VerifyEmail.use, busy=VerifyEmail.busy),
                title=t("verify.title"),
                text=t("verify.text"),
            ),
        ),
        (
            "done",
            entrance(
                page_link(t("verify.onward"), href="/", class_name=theme.BUTTON),
                title=t("verify.done"),
                text=t("verify.done_text"),
            ),
        ),
        (
            "sent",
            entrance(
                notice(t("verify.sent", email=VerifyEmail.sent_to)),
                rx.el.p(t("mail.not_there"), class_name="text-sm text-muted-foreground"),
                press(t("mail.again"), on_click=VerifyEmail.load, busy=VerifyEmail.busy, look=theme.BUTTON_OUTLINE),
                page_link(t("reset.back"), href="/login", class_name=theme.LINK + " self-center text-sm"),
                title=t("mail.look"),
                text=t("verify.sent_text"),
            ),
        ),
        (
            "ask",
            entrance(
                rx.el.form(
                    alert(VerifyEmail.failure),
                    field(
                        t("field.email"),
                        text_input("email", type="email", auto_complete="username", required=True),
                        name="email",
                    ),
                    submit(t("verify.resend"), busy=VerifyEmail.busy, wide=True),
                    on_submit=VerifyEmail.submit,
                    method="post",
                    action="/_auth/nojs",
                    class_name="flex flex-col gap-4",
                ),
                page_link(t("reset.back"), href="/login", class_name=theme.LINK + " self-center text-sm"),
                title=t("verify.resend_title"),
                text=t("verify.resend_text"),
            ),
        ),
        awaited(),
    )
