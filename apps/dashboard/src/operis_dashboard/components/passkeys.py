"""The card of one's passkeys, and the windows that add and remove one."""

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import card
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.components.display import moment
from operis_dashboard.passkeys import PasskeyRow, Passkeys
from operis_dashboard.wording import t


def passkeys_card(state: type[Passkeys]) -> rx.Component:
    return card(
        rx.el.p(t("passkey.text"), class_name="-mt-2 text-sm text-muted-foreground"),
        rx.cond(
            state.passkeys.length() > 0,
            rx.el.ul(
                rx.foreach(state.passkeys, lambda row: _row(row, state)),
                aria_label=t("passkey.title"),
                class_name="divide-y divide-border",
            ),
            rx.fragment(),
        ),
        rx.el.div(
            rx.el.button(
                t("passkey.add"), type="button", on_click=state.open_passkey(True), class_name=theme.BUTTON_SMALL
            )
        ),
        title=t("passkey.title"),
    )


def passkey_dialogs(state: type[Passkeys]) -> rx.Component:
    return rx.fragment(
        dialogs.dialog(
            rx.el.form(
                alert(state.passkey_failure),
                field(
                    t("field.name"),
                    text_input(
                        "passkey_name",
                        default_value=state.passkey_name,
                        placeholder=t("passkey.name_example"),
                        required=True,
                        max_length=80,
                    ),
                    name="passkey_name",
                ),
                dialogs.buttons(dialogs.cancel(), submit(t("passkey.add_action"), busy=state.passkey_busy)),
                on_submit=state.name_passkey,
                class_name="flex flex-col gap-4",
            ),
            title=t("passkey.add"),
            text=t("passkey.add_text"),
            is_open=state.naming_passkey & ~state.proof_asked,
            on_open_change=state.open_passkey,
        ),
        dialogs.confirm(
            title=t("passkey.remove_title", name=state.leaving_passkey.name),
            text=t("passkey.remove_text"),
            action=t("passkey.remove"),
            is_open=(state.leaving_passkey.id != "") & ~state.proof_asked,
            on_open_change=state.spare_passkey,
            on_confirm=state.remove_passkey,
            busy=state.passkey_busy,
            failure=alert(state.passkey_failure),
        ),
    )


def _row(row: rx.Var[PasskeyRow], state: type[Passkeys]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.span(row.name, class_name="text-sm font-medium break-words"),
            rx.el.span(
                t("passkey.since"),
                " ",
                moment(row.added),
                " · ",
                t("passkey.last_used"),
                " ",
                moment(row.last_used),
                class_name="text-xs text-muted-foreground",
            ),
            class_name="flex min-w-0 flex-col",
        ),
        rx.el.button(
            t("passkey.remove"),
            type="button",
            aria_label=t("passkey.remove_name", name=row.name),
            on_click=state.ask_passkey(row.id),
            class_name=theme.BUTTON_SMALL_DANGER,
        ),
        class_name="flex items-center justify-between gap-4 py-3 first:pt-0 last:pb-0",
    )
