"""What an operator does to somebody else's things: asked for once more, with a reason that the log keeps."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import field, submit, text_input
from operis_dashboard.wording import t


def reason_form(
    *fields: rx.Component,
    title: Any,
    text: Any = None,
    action: Any,
    name: str,
    busy: rx.Var[bool],
    on_submit: Any,
    on_cancel: Any,
    look: str = theme.BUTTON,
) -> rx.Component:
    """Ask why, in the field `name`; `title` names the thing, `fields` are what else is to be said."""
    return rx.el.form(
        rx.el.p(title, class_name="text-sm font-medium break-words"),
        rx.el.p(text, class_name=theme.HINT) if text is not None else rx.fragment(),
        *fields,
        field(t("users.reason"), text_input(name, required=True, max_length=500, auto_complete="off"), name=name),
        dialogs.buttons(
            rx.el.button(t("action.cancel"), type="button", on_click=on_cancel, class_name=theme.BUTTON_OUTLINE),
            submit(action, busy=busy, look=look),
        ),
        on_submit=on_submit,
        class_name="flex flex-col gap-3 rounded-lg border border-border p-4",
    )
