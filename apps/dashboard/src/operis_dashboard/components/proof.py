"""The window that asks once more who one is."""

from typing import Any

import reflex as rx

from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.wording import t


def proof_dialog(
    *,
    asked: rx.Var[bool],
    by_code: rx.Var[bool],
    failure: rx.Var[str],
    busy: rx.Var[bool],
    on_submit: Any,
    on_open_change: Any,
) -> rx.Component:
    return dialogs.dialog(
        rx.el.form(
            alert(failure),
            rx.cond(
                by_code,
                field(t("field.code"), text_input("proof", auto_complete="one-time-code", required=True), name="proof"),
                field(
                    t("field.password"),
                    text_input("proof", type="password", auto_complete="current-password", required=True),
                    name="proof",
                ),
            ),
            dialogs.buttons(dialogs.cancel(), submit(t("proof.action"), busy=busy)),
            on_submit=on_submit,
            method="post",
            action="/_auth/nojs",
            class_name="flex flex-col gap-4",
        ),
        title=t("proof.title"),
        text=rx.cond(by_code, t("proof.code_text"), t("proof.password_text")),
        is_open=asked,
        on_open_change=on_open_change,
    )
