"""Who is in an organization, who is invited, and the form that changes a member."""

from typing import Any

import reflex as rx
from reflex_base.vars.object import ObjectVar

from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, field, select, submit
from operis_dashboard.components.display import badge, moment, quiet_badge
from operis_dashboard.components.limits import limit_fields
from operis_dashboard.components.tables import Column, actions, table
from operis_dashboard.components.words import ROLES, role_name
from operis_dashboard.membership import InvitationRow, MemberRow
from operis_dashboard.wording import t


def members_table(rows: rx.Var[list[MemberRow]], *, may_edit: rx.Var[bool], on_manage: Any) -> rx.Component:
    return table(
        [
            Column(t("team.member")),
            Column(t("team.role")),
            Column(t("team.keys"), number=True, from_width="md"),
            Column(t("keys.limits"), number=True, from_width="md"),
            Column(t("team.joined"), from_width="lg"),
            Column(rx.el.span(t("table.actions"), class_name="sr-only")),
        ],
        rows,
        lambda row: [
            rx.el.div(
                rx.el.span(row.name, class_name="max-w-32 truncate font-medium sm:max-w-72"),
                rx.el.span(row.email, class_name="max-w-32 truncate text-xs text-muted-foreground sm:max-w-72"),
                class_name="flex flex-col gap-0.5 min-w-0",
            ),
            rx.el.div(
                quiet_badge(role_name(row.role)),
                rx.cond(row.status == "suspended", badge(row.status), rx.fragment()),
                rx.cond(row.me, quiet_badge(t("team.you")), rx.fragment()),
                class_name="flex flex-wrap gap-1",
            ),
            rx.el.span(row.key_count, class_name=theme.NUMBER),
            rx.el.span(row.limit_count, class_name=theme.NUMBER),
            moment(row.joined),
            actions(
                rx.cond(
                    may_edit,
                    rx.el.button(
                        t("team.manage"),
                        type="button",
                        aria_label=t("team.manage_name", name=row.email),
                        on_click=on_manage(row.id),
                        class_name=theme.BUTTON_SMALL,
                    ),
                    rx.fragment(),
                )
            ),
        ],
        label=t("nav.team"),
    )


def invitations_table(
    rows: rx.Var[list[InvitationRow]], *, may_edit: rx.Var[bool], busy: rx.Var[bool], on_resend: Any, on_revoke: Any
) -> rx.Component:
    return table(
        [
            Column(t("field.email")),
            Column(t("team.role"), from_width="sm"),
            Column(t("keys.status"), from_width="md"),
            Column(t("keys.expires"), from_width="lg"),
            Column(rx.el.span(t("table.actions"), class_name="sr-only")),
        ],
        rows,
        lambda row: [
            rx.el.span(row.email, class_name="block max-w-40 truncate sm:max-w-72"),
            quiet_badge(role_name(row.role)),
            badge(row.status),
            moment(row.expires),
            rx.cond(
                may_edit,
                actions(
                    rx.el.button(
                        t("team.resend"),
                        type="button",
                        disabled=busy,
                        on_click=on_resend(row.id),
                        class_name=theme.BUTTON_SMALL,
                    ),
                    rx.el.button(
                        t("team.revoke"),
                        type="button",
                        on_click=on_revoke(row),
                        class_name=theme.BUTTON_SMALL_DANGER,
                    ),
                ),
                rx.fragment(),
            ),
        ],
        label=t("team.invitations"),
    )


def member_form(
    member: rx.Var[MemberRow],
    *,
    draft: ObjectVar[dict[str, str]],
    failure: rx.Var[str],
    busy: rx.Var[bool],
    on_submit: Any,
) -> rx.Component:
    """Change a member's role, unless it is the owner's, and limits."""
    return rx.el.form(
        alert(failure),
        rx.cond(
            member.role == "owner",
            rx.fragment(),
            field(
                t("team.role"),
                select(
                    "member_role",
                    [(role, t(f"role.{role}_text")) for role in reversed(ROLES)],
                    default_value=member.role,
                ),
                name="member_role",
            ),
        ),
        rx.el.fieldset(
            rx.el.legend(t("keys.limits"), class_name=theme.LABEL + " mb-1"),
            rx.el.p(t("team.limits_text"), class_name=theme.HINT + " mb-3"),
            limit_fields(draft),
        ),
        dialogs.buttons(submit(t("action.save"), busy=busy)),
        key=member.id,
        on_submit=on_submit,
        class_name="flex flex-col gap-5",
    )
