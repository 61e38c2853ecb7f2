"""Coming back from an identity provider."""

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components.cards import awaited, entrance
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.components.links import page_link
from operis_dashboard.departures import RETURN_PAGE
from operis_dashboard.layout import page
from operis_dashboard.pages.login import Login, code_form
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


@page(route=RETURN_PAGE, title="login.title", role="visitor", on_load=Login.come_back)
def provider() -> rx.Component:
    return rx.cond(
        Login.code_asked,
        code_form(),
        rx.cond(Login.owner_asked, _owner_form(), rx.cond(Login.failure != "", _refused(), awaited())),
    )


def _owner_form() -> rx.Component:
    return entrance(
        rx.el.form(
            alert(Login.failure),
            field(
                t("field.password"),
                text_input(
                    "password", type="password", auto_complete="current-password", required=True, auto_focus=True
                ),
                name="password",
            ),
            submit(t("login.owner_action"), busy=Login.busy, wide=True),
            on_submit=Login.submit_owner,
            method="post",
            action="/_auth/nojs",
            class_name="flex flex-col gap-4",
        ),
        title=t("login.owner_title"),
        text=t("login.owner_text"),
    )


def _refused() -> rx.Component:
    return entrance(
        alert(Login.failure),
        rx.cond(
            Viewer.email != "",
            page_link(t("login.back_to_settings"), href="/settings/security", class_name=theme.LINK + " text-sm"),
            page_link(t("login.again"), href="/login", class_name=theme.LINK + " text-sm"),
        ),
        title=t("login.title"),
        text=t("login.refused_text"),
    )
