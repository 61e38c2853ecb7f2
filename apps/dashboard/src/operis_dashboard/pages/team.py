"""The organization at work: its members with roles and limits, invitations, handing on, leaving, deleting."""

from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlencode

import reflex as rx
from msgspec import UNSET

from operis_client import AsyncOperis, OperisError
from operis_client.models import SentInvitation
from operis_dashboard import runtime, theme
from operis_dashboard.components import code, dialogs
from operis_dashboard.components.controls import alert, field, select, submit, text_input
from operis_dashboard.components.members import invitations_table, member_form, members_table
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import pager
from operis_dashboard.components.words import ROLES
from operis_dashboard.forms import read_field
from operis_dashboard.keyring import read_limits
from operis_dashboard.layout import page
from operis_dashboard.membership import (
    InvitationRow,
    MemberRow,
    write_invitation,
    write_member,
    write_member_limits,
)
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_HOME = "window.location.assign('/')"


class Team(Viewer):
    loaded: bool = False
    failure: str = ""
    personal: bool = True
    role: str = ""
    rows: list[MemberRow] = []
    next: str = ""
    after: str = ""
    invitations: list[InvitationRow] = []

    busy: bool = False
    creating: bool = False
    inviting: bool = False
    form_failure: str = ""
    link: str = ""
    """Of an invitation just sent; development alone shows it."""

    opened: bool = False
    member: MemberRow = MemberRow()
    limits: dict[str, str] = {}

    asking: str = ""
    """What a dialog asks about: remove, transfer, leave, delete, revoke."""
    asked_id: str = ""
    asked_name: str = ""
    ask_failure: str = ""

    _limits: dict[str, dict[str, str]] = {}
    """By member: what the form shows."""

    @rx.event
    async def load(self) -> None:
        asked = self.router.url.query_parameters
        self.after, self.creating = asked.get("after", ""), "create" in asked
        self.inviting, self.opened, self.asking, self.link, self.form_failure = False, False, "", "", ""
        await self._read()

    @rx.event
    def turn_page(self, after: str) -> Any:
        return rx.redirect(f"/team?{urlencode({'after': after})}" if after else "/team")

    @rx.event
    def open_create(self, opened: bool = True) -> None:
        self.creating, self.form_failure = opened, ""

    @rx.event
    async def create(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.creating:
            return
        self.busy, self.form_failure = True, ""
        yield
        session_id = self._session_id()
        try:
            made = await self._ask(
                lambda api: api.create_organization(name=read_field(form, "organization_name").strip())
            )
            if session_id:
                await runtime.enter_organization(session_id, made.id)
        except OperisError as error:
            self.form_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.creating = False
        yield rx.call_script("window.location.assign('/team')")

    @rx.event
    def open_invite(self, opened: bool = True) -> None:
        self.inviting, self.form_failure = opened, ""

    @rx.event
    async def invite(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.inviting:
            return
        self.busy, self.form_failure = True, ""
        yield
        email, role = read_field(form, "invited_email").strip(), read_field(form, "invited_role")
        try:
            sent = await self._ask(lambda api: api.invite_member(self.organization_id, email=email, role=role))
        except OperisError as error:
            self.form_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.inviting = False
        yield self._tell_sent(sent)
        await self._read()

    @rx.event
    async def resend(self, invitation_id: str) -> AsyncGenerator[Any, None]:
        self.busy = True
        yield
        try:
            sent = await self._ask(lambda api: api.resend_invitation(self.organization_id, str(invitation_id)))
        except OperisError as error:
            yield rx.toast.error(self._explain(error))
            return
        finally:
            self.busy = False
        yield self._tell_sent(sent)
        await self._read()

    @rx.event
    def forget_link(self, _opened: bool = False) -> None:
        self.link = ""

    @rx.event
    async def open_member(self, member_id: str) -> None:
        self.form_failure = ""
        self.member = next((row for row in self.rows if row.id == member_id), MemberRow())
        self.opened = bool(self.member.id)
        self.limits = dict(self._limits.get(self.member.id, {}))

    @rx.event
    def close_member(self, _opened: bool = False) -> None:
        self.opened = False

    @rx.event
    async def save_member(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.opened:
            return
        self.busy, self.form_failure = True, ""
        yield
        member = self.member
        try:
            role, limits = read_field(form, "member_role"), read_limits(form)
            asked = role if role and role != member.role else UNSET
            await self._ask(lambda api: api.update_member(self.organization_id, member.id, role=asked, **limits))
        except ValueError:
            self.form_failure = self._say("keys.limit_numbers")
            return
        except OperisError as error:
            self.form_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.opened = False
        yield rx.toast.success(self._say("team.saved", name=member.email))
        await self._read()

    @rx.event
    def ask(self, what: str, thing_id: str, name: str) -> None:
        self.asking, self.asked_id, self.asked_name, self.ask_failure = what, thing_id, name, ""

    @rx.event
    def keep(self, _opened: bool = False) -> None:
        self.asking = ""

    @rx.event
    async def confirm(self) -> AsyncGenerator[Any, None]:
        what = self.asking
        if not what:
            return
        self.busy, self.ask_failure = True, ""
        yield
        try:
            await self._ask(lambda api: _carry_out(api, what, self.organization_id, self.asked_id))
            if what in {"leave", "delete", "transfer"}:
                await self._reread()
        except OperisError as error:
            self.ask_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.asking, self.opened = "", False
        if what in {"leave", "delete"}:
            yield rx.call_script(_HOME)
            return
        yield rx.toast.success(self._say("team.done", name=self.asked_name))
        await self._read()

    def _tell_sent(self, sent: SentInvitation) -> Any:
        self.link = sent.link or ""
        return rx.toast.success(self._say("team.invited", email=sent.invitation.email))

    async def _read(self) -> None:
        try:
            organization = await self._ask(lambda api: api.get_organization(self.organization_id))
            found = await self._ask(lambda api: api.list_members(organization.id, after=self.after or None))
            may_see = "invitations.view" in organization.permissions and not organization.personal
            sent = await self._ask(lambda api: api.list_invitations(organization.id, limit=100)) if may_see else None
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.personal, self.role = organization.personal, organization.role
        self.rows = [write_member(row, self._writer, self.email, self._say("keys.unlimited")) for row in found.items]
        self._limits = {row.user_id: write_member_limits(row) for row in found.items}
        self.next = found.next or ""
        self.invitations = [write_invitation(row, self._writer) for row in sent.items] if sent else []
        self.loaded, self.failure = True, ""


async def _carry_out(api: AsyncOperis, what: str, organization_id: str, thing_id: str) -> None:
    if what == "remove":
        await api.remove_member(organization_id, thing_id)
    elif what == "transfer":
        await api.transfer_organization(organization_id, user_id=thing_id)
    elif what == "revoke":
        await api.revoke_invitation(organization_id, thing_id)
    elif what == "leave":
        await api.leave_organization(organization_id)
    elif what == "delete":
        await api.delete_organization(organization_id)


@page(route="/team", title="nav.team", role="user", on_load=Team.load)
def team() -> rx.Component:
    create = rx.el.button(
        t("team.create"), type="button", on_click=Team.open_create(True), class_name=theme.BUTTON_OUTLINE
    )
    invite = rx.el.button(
        rx.icon("user-plus", size=16),
        t("team.invite"),
        type="button",
        on_click=Team.open_invite(True),
        class_name=theme.BUTTON,
    )
    return rx.fragment(
        rx.el.div(
            rx.el.p(t("team.text"), class_name="max-w-2xl text-sm text-muted-foreground"),
            rx.el.div(
                create,
                rx.cond(Team.permissions.contains("invitations.edit") & ~Team.personal, invite, rx.fragment()),
                class_name="flex flex-wrap gap-2",
            ),
            class_name="flex flex-col gap-4 sm:flex-row sm:items-center sm:justify-between",
        ),
        four_states(
            loaded=Team.loaded,
            failure=Team.failure,
            count=rx.cond(Team.personal, 0, Team.rows.length()),
            retry=Team.load,
            empty=empty_state("users-round", t("team.personal"), t("team.personal_text")),
            full=rx.el.div(
                members_table(
                    Team.rows, may_edit=Team.permissions.contains("members.edit"), on_manage=Team.open_member
                ),
                pager(
                    first=Team.after == "",
                    last=Team.next == "",
                    on_first=Team.turn_page(""),
                    on_next=Team.turn_page(Team.next),
                ),
                rx.cond(Team.permissions.contains("invitations.view"), _invitations(), rx.fragment()),
                _end(),
                class_name="flex flex-col gap-6",
            ),
        ),
        _create_dialog(),
        _invite_dialog(),
        _link_dialog(),
        _member_sheet(),
        _confirm(),
    )


def _invitations() -> rx.Component:
    return rx.cond(
        Team.invitations.length() == 0,
        rx.fragment(),
        rx.el.section(
            rx.el.h2(t("team.invitations"), class_name="text-sm font-medium"),
            invitations_table(
                Team.invitations,
                may_edit=Team.permissions.contains("invitations.edit"),
                busy=Team.busy,
                on_resend=Team.resend,
                on_revoke=lambda row: Team.ask("revoke", row.id, row.email),
            ),
            class_name="flex flex-col gap-3",
        ),
    )


def _end() -> rx.Component:
    """The way out: the owner deletes, everybody else leaves."""
    what = rx.cond(Team.role == "owner", "delete", "leave")
    return rx.el.div(
        rx.el.button(
            rx.cond(Team.role == "owner", t("team.delete"), t("team.leave")),
            type="button",
            on_click=Team.ask(what, "", Viewer.organization),
            class_name=theme.BUTTON_SMALL_DANGER,
        ),
        class_name="flex justify-end",
    )


def _create_dialog() -> rx.Component:
    return dialogs.dialog(
        rx.el.form(
            alert(Team.form_failure),
            field(
                t("team.organization_name"),
                text_input("organization_name", required=True, max_length=200, auto_complete="organization"),
                name="organization_name",
            ),
            dialogs.buttons(dialogs.cancel(), submit(t("team.create_action"), busy=Team.busy)),
            on_submit=Team.create,
            class_name="flex flex-col gap-4",
        ),
        title=t("team.create"),
        text=t("team.create_text"),
        is_open=Team.creating,
        on_open_change=Team.open_create,
    )


def _invite_dialog() -> rx.Component:
    return dialogs.dialog(
        rx.el.form(
            alert(Team.form_failure),
            field(
                t("field.email"),
                text_input("invited_email", type="email", required=True, auto_complete="off"),
                name="invited_email",
            ),
            field(
                t("team.role"),
                select("invited_role", [(role, t(f"role.{role}_text")) for role in reversed(ROLES)]),
                name="invited_role",
            ),
            dialogs.buttons(dialogs.cancel(), submit(t("team.invite_action"), busy=Team.busy)),
            on_submit=Team.invite,
            class_name="flex flex-col gap-4",
        ),
        title=t("team.invite"),
        text=t("team.invite_text", name=Viewer.organization),
        is_open=Team.inviting,
        on_open_change=Team.open_invite,
    )


def _link_dialog() -> rx.Component:
    return dialogs.dialog(
        code.secret_box(Team.link, label=t("team.link")),
        dialogs.buttons(
            rx.el.button(t("action.close"), type="button", on_click=Team.forget_link(False), class_name=theme.BUTTON)
        ),
        title=t("team.link"),
        text=t("team.link_text"),
        is_open=Team.link != "",
        on_open_change=Team.forget_link,
    )


def _member_sheet() -> rx.Component:
    member = Team.member
    return dialogs.sheet(
        member_form(member, draft=Team.limits, failure=Team.form_failure, busy=Team.busy, on_submit=Team.save_member),
        rx.cond(
            member.role == "owner",
            rx.fragment(),
            rx.el.div(
                rx.cond(
                    Team.role == "owner",
                    rx.el.button(
                        t("team.transfer"),
                        type="button",
                        on_click=Team.ask("transfer", member.id, member.email),
                        class_name=theme.BUTTON_SMALL,
                    ),
                    rx.fragment(),
                ),
                rx.el.button(
                    t("team.remove"),
                    type="button",
                    on_click=Team.ask("remove", member.id, member.email),
                    class_name=theme.BUTTON_SMALL_DANGER,
                ),
                class_name="flex flex-wrap gap-2 border-t border-border pt-4",
            ),
        ),
        title=member.name,
        text=member.email,
        is_open=Team.opened,
        on_open_change=Team.close_member,
    )


def _confirm() -> rx.Component:
    what, name = Team.asking, Team.asked_name
    return dialogs.confirm(
        title=rx.match(
            what,
            ("remove", t("team.remove_title", name=name)),
            ("transfer", t("team.transfer_title", name=name)),
            ("revoke", t("team.revoke_title", name=name)),
            ("leave", t("team.leave_title", name=name)),
            t("team.delete_title", name=name),
        ),
        text=rx.match(
            what,
            ("remove", t("team.remove_text")),
            ("transfer", t("team.transfer_text")),
            ("revoke", t("team.revoke_text")),
            ("leave", t("team.leave_text")),
            t("team.delete_text"),
        ),
        action=rx.match(
            what,
            ("remove", t("team.remove")),
            ("transfer", t("team.transfer")),
            ("revoke", t("team.revoke")),
            ("leave", t("team.leave")),
            t("team.delete"),
        ),
        is_open=what != "",
        on_open_change=Team.keep,
        on_confirm=Team.confirm,
        busy=Team.busy,
        failure=alert(Team.ask_failure),
    )
