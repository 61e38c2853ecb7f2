"""Signing up. In development a new user is signed in at once; in production the address is proven first."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import OperisError
from operis_dashboard import runtime, theme
from operis_dashboard.components.cards import entrance
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.components.links import page_link
from operis_dashboard.following_links import LinkFollower
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.signing_in import enter, next_path, onward
from operis_dashboard.wording import t


class Register(LinkFollower):
    busy: bool = False
    failure: str = ""
    sent_to: str = ""
    onward: str = ""
    welcome: bool = False
    """Sign-up is open, or whoever looks was invited."""

    @rx.event
    def load(self) -> None:
        self.busy, self.failure, self.sent_to, self.onward = False, "", "", onward(self)
        self.welcome = self.registration == "open" or bool(self._invitation())

    def _invitation(self) -> str:
        """Return the token that lets the visitor sign up; where anybody may, an organization's waits for its page."""
        token = self._token("/register")
        return token or (self._token("/invitation") if self.registration == "invite" else "")

    @rx.event
    async def submit(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure = True, ""
        yield
        email, password = read_field(form, "email"), read_field(form, "password")
        invitation = self._invitation()
        try:
            await self._ask_as_visitor(
                lambda api: api.register(
                    email=email,
                    password=password,
                    name=read_field(form, "name"),
                    locale=self.language,
                    invitation=invitation or None,
                )
            )
            if invitation:
                yield self._spend(invitation)
            elif runtime.settings().production:  # where the answer is the same for an address that has an account
                self.busy, self.sent_to = False, email.strip()
                return
            yield enter(await runtime.open_session(email, password), next_path(self))
        except OperisError as error:
            self.busy, self.failure = False, self._explain(error)


@page(route="/register", title="register.title", role="visitor", on_load=Register.load)
def register() -> rx.Component:
    return rx.cond(
        Register.sent_to != "",
        entrance(
            rx.el.p(t("register.sent_hint"), class_name="text-sm text-muted-foreground"),
            page_link(t("verify.resend_link"), href="/verify-email", class_name=theme.LINK + " text-sm"),
            page_link(t("register.login"), href="/login" + Register.onward, class_name=theme.BUTTON_OUTLINE),
            title=t("register.sent"),
            text=t("register.sent_text", email=Register.sent_to),
        ),
        _form(),
    )


def _form() -> rx.Component:
    return entrance(
        rx.cond(
            Register.welcome,
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
            page_link(t("register.login"), href="/login" + Register.onward, class_name=theme.LINK),
            class_name="text-center text-sm text-muted-foreground",
        ),
        title=t("register.title"),
        text=t("register.text"),
    )
