"""The card of one's identities at providers, and the window that asks before one is unlinked."""

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import card
from operis_dashboard.components.controls import alert, press
from operis_dashboard.components.display import moment
from operis_dashboard.identities import Identities, IdentityRow
from operis_dashboard.wording import t


def identities_card(state: type[Identities]) -> rx.Component:
    return rx.cond(
        state.identities.length() > 0,
        card(
            rx.el.p(t("identity.text"), class_name="-mt-2 text-sm text-muted-foreground"),
            rx.el.ul(
                rx.foreach(state.identities, lambda row: _row(row, state)),
                aria_label=t("identity.title"),
                class_name="divide-y divide-border",
            ),
            title=t("identity.title"),
        ),
        rx.fragment(),
    )


def identity_dialog(state: type[Identities]) -> rx.Component:
    return dialogs.confirm(
        title=t("identity.unlink_title", title=state.leaving_identity.title),
        text=t("identity.unlink_text"),
        action=t("identity.unlink"),
        is_open=(state.leaving_identity.id != "") & ~state.proof_asked,
        on_open_change=state.spare_identity,
        on_confirm=state.unlink_identity,
        busy=state.identity_busy,
        failure=alert(state.identity_failure),
    )


def _row(row: rx.Var[IdentityRow], state: type[Identities]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.span(row.title, class_name="text-sm font-medium break-words"),
            rx.cond(
                row.id != "",
                rx.el.span(
                    row.email, " · ", moment(row.linked), class_name="text-xs text-muted-foreground break-words"
                ),
                rx.fragment(),
            ),
            class_name="flex min-w-0 flex-col",
        ),
        rx.cond(
            row.id != "",
            rx.el.button(
                t("identity.unlink"),
                type="button",
                aria_label=t("identity.unlink_name", title=row.title),
                on_click=state.ask_identity(row.id),
                class_name=theme.BUTTON_SMALL_DANGER,
            ),
            press(
                t("identity.link", title=row.title),
                on_click=state.choose_provider(row.provider),
                busy=state.identity_busy,
                look=theme.BUTTON_SMALL,
            ),
        ),
        class_name="flex items-center justify-between gap-4 py-3 first:pt-0 last:pb-0",
    )
