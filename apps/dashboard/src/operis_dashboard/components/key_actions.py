"""What one does with an API key that is open: its buttons, and how long its old secret shall work."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import field, select, submit
from operis_dashboard.keyring import KeyRow
from operis_dashboard.wording import t

_OVERLAPS = ("24h", "0s", "1h", "7d", "30d")


def key_actions(
    key: rx.Var[KeyRow],
    *,
    busy: rx.Var[bool],
    on_edit: Any,
    on_rotate: Any,
    on_enable: Any,
    on_disable: Any,
    on_revoke: Any,
    on_delete: Any,
) -> rx.Component:
    """Offer what the key's status allows; deleting is left to those that are revoked too."""

    def button(icon: str, text: rx.Var[str], on_click: Any) -> rx.Component:
        return rx.el.button(
            rx.icon(icon, size=14),
            text,
            type="button",
            disabled=busy,
            on_click=on_click,
            class_name=theme.BUTTON_SMALL,
        )

    def dangerous(text: rx.Var[str], on_click: Any) -> rx.Component:
        return rx.el.button(text, type="button", on_click=on_click, class_name=theme.BUTTON_SMALL_DANGER)

    return rx.el.div(
        rx.cond(
            key.status != "revoked",
            rx.fragment(
                button("pencil", t("keys.edit"), on_edit),
                rx.cond(key.status != "expired", button("refresh-cw", t("keys.rotate"), on_rotate), rx.fragment()),
                rx.cond(
                    key.status == "disabled",
                    button("play", t("keys.enable"), on_enable),
                    button("pause", t("keys.disable"), on_disable),
                ),
                dangerous(t("keys.revoke"), on_revoke),
            ),
            rx.fragment(),
        ),
        dangerous(t("keys.delete"), on_delete),
        class_name="flex flex-wrap gap-2",
    )


def rotate_form(*, busy: rx.Var[bool], on_cancel: Any, on_rotate: Any) -> rx.Component:
    return rx.el.form(
        field(
            t("keys.overlap"),
            select("overlap", [(overlap, t(f"overlap.{overlap}")) for overlap in _OVERLAPS], auto_focus=True),
            name="overlap",
            hint=t("keys.overlap_hint"),
        ),
        dialogs.buttons(
            rx.el.button(t("action.cancel"), type="button", on_click=on_cancel, class_name=theme.BUTTON_OUTLINE),
            submit(t("keys.rotate"), busy=busy),
        ),
        on_submit=on_rotate,
        class_name="flex flex-col gap-3 rounded-lg border border-border p-4",
    )
