"""The window that asks once more who one is."""

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, field, press, submit, text_input
from operis_dashboard.proving import Proving
from operis_dashboard.wording import t


def proof_dialog(state: type[Proving]) -> rx.Component:
    by_code = state.proof_by_code
    return dialogs.dialog(
        rx.el.form(
            alert(state.proof_failure),
            rx.cond(
                by_code,
                field(t("field.code"), text_input("proof", auto_complete="one-time-code", required=True), name="proof"),
                field(
                    t("field.password"),
                    text_input("proof", type="password", auto_complete="current-password", required=True),
                    name="proof",
                ),
            ),
            dialogs.buttons(
                dialogs.cancel(),
                rx.cond(
                    state.proof_by_passkey,
                    press(
                        t("proof.passkey"),
                        on_click=state.ask_proof_of_device,
                        busy=state.proof_busy,
                        look=theme.BUTTON_OUTLINE,
                    ),
                    rx.fragment(),
                ),
                submit(t("proof.action"), busy=state.proof_busy),
            ),
            on_submit=state.prove,
            method="post",
            action="/_auth/nojs",
            class_name="flex flex-col gap-4",
        ),
        title=t("proof.title"),
        text=rx.cond(by_code, t("proof.code_text"), t("proof.password_text")),
        is_open=state.proof_asked,
        on_open_change=state.give_up_proof,
    )
