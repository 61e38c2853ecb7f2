"""Users: search, open one, suspend and reactivate; the wallet has a page of its own."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from operis_client import OperisError
from operis_client.models import UserRow
from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import facts
from operis_dashboard.components.controls import alert, field, search_box, submit, text_input
from operis_dashboard.components.display import badge, moment, money
from operis_dashboard.components.links import page_link
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.formatting import Shown, Writer
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


@dataclass(frozen=True)
class Person:
    id: str = ""
    email: str = ""
    name: str = ""
    admin: bool = False
    status: str = "active"
    organization: str = ""
    organization_id: str = ""
    available: Shown = default(default_factory=Shown)
    held: Shown = default(default_factory=Shown)
    spent: Shown = default(default_factory=Shown)
    key_count: str = ""
    joined: Shown = default(default_factory=Shown)
    last_seen: Shown = default(default_factory=Shown)


class AdminUsers(Viewer):
    loaded: bool = False
    failure: str = ""
    search: str = ""
    after: str = ""
    next: str = ""
    rows: list[Person] = []

    opened: bool = False
    person: Person = Person()
    open_failure: str = ""
    busy: bool = False
    asking: bool = False

    @rx.event
    async def load(self) -> Any:
        asked = self.router.url.query_parameters
        self.search, self.after = asked.get("search", ""), asked.get("after", "")
        await self._read()
        user_id = asked.get("user", "")
        self.opened = self.opened and user_id != ""  # who comes back to the page finds the list
        return AdminUsers.open_user(user_id) if user_id and user_id != self.person.id else None

    @rx.event
    def find(self, text: str) -> Any:
        self.search = text
        return rx.redirect(f"/admin/users?{urlencode({'search': text})}" if text else "/admin/users", replace=True)

    @rx.event
    def turn_page(self, after: str) -> Any:
        query = urlencode({name: value for name, value in (("search", self.search), ("after", after)) if value})
        return rx.redirect(f"/admin/users?{query}" if query else "/admin/users")

    @rx.event
    async def open_user(self, user_id: str) -> None:
        self.open_failure, self.asking = "", False
        await self._read_person(user_id)
        self.opened = True

    @rx.event
    def close_user(self, _opened: bool = False) -> Any:
        self.opened, self.person = False, Person()
        if self.router.url.query_parameters.get("user"):
            return AdminUsers.turn_page(self.after)
        return None

    @rx.event
    def ask_status(self, opened: bool = True) -> None:
        self.asking = opened

    @rx.event
    async def change_status(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.asking:
            return
        self.busy, self.open_failure = True, ""
        yield
        person, reason = self.person, read_field(form, "status_reason").strip()
        suspend = person.status == "active"
        try:
            await self._ask(
                lambda api: api.update_user(person.id, status="suspended" if suspend else "active", reason=reason)
            )
        except OperisError as error:
            self.open_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.asking = False
        yield rx.toast.success(self._say("users.suspended" if suspend else "users.reactivated", email=person.email))
        await self._read_person(person.id)
        await self._read()

    async def _read(self) -> None:
        try:
            found = await self._ask(
                lambda api: api.list_users(search=self.search or None, limit=25, after=self.after or None)
            )
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [_person(user, self._writer) for user in found.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""

    async def _read_person(self, user_id: str) -> None:
        try:
            self.person = _person(await self._ask(lambda api: api.get_user(user_id)), self._writer)
        except OperisError as error:
            self.open_failure = self._explain(error)


def _person(user: UserRow, writer: Writer) -> Person:
    return Person(
        id=user.id,
        email=user.email,
        name=user.name,
        admin=user.role != "user",
        status=user.status,
        organization=user.organization_name,
        organization_id=user.organization_id,
        available=writer.money(user.available),
        held=writer.money(user.held),
        spent=writer.money(user.spent),
        key_count=writer.count(user.keys),
        joined=writer.moment(user.created_at),
        last_seen=writer.moment(user.last_seen_at),
    )


@page(route="/admin/users", title="nav.admin_users", role="admin", on_load=AdminUsers.load)
def admin_users() -> rx.Component:
    return rx.fragment(
        search_box("search", t("users.search"), AdminUsers.search, AdminUsers.find),
        four_states(
            loaded=AdminUsers.loaded,
            failure=AdminUsers.failure,
            count=AdminUsers.rows.length(),
            retry=AdminUsers.load,
            empty=rx.cond(
                AdminUsers.search != "",
                empty_state("search-x", t("users.none_match"), t("users.none_match_text")),
                empty_state("users", t("users.empty"), t("users.empty_text")),
            ),
            full=rx.el.div(
                _table(),
                pager(
                    first=AdminUsers.after == "",
                    last=AdminUsers.next == "",
                    on_first=AdminUsers.turn_page(""),
                    on_next=AdminUsers.turn_page(AdminUsers.next),
                ),
                class_name="flex flex-col gap-4",
            ),
        ),
        _sheet(),
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("users.user")),
            Column(t("users.status")),
            Column(t("users.keys"), number=True, from_width="lg"),
            Column(t("users.joined"), from_width="lg"),
            Column(t("users.last_seen"), from_width="md"),
            Column(t("users.spent"), number=True, from_width="md"),
            Column(t("users.available"), number=True),
        ],
        AdminUsers.rows,
        lambda row: [
            rx.el.div(
                rx.el.button(
                    row.email,
                    type="button",
                    on_click=AdminUsers.open_user(row.id).stop_propagation,
                    class_name="max-w-36 truncate text-left font-medium cursor-pointer hover:underline rounded-sm "
                    "sm:max-w-72 " + theme.FOCUS,
                ),
                rx.el.span(row.name, class_name="max-w-36 truncate text-xs text-muted-foreground sm:max-w-72"),
                class_name="flex flex-col gap-0.5",
            ),
            rx.el.div(
                badge(row.status), rx.cond(row.admin, badge("admin"), rx.fragment()), class_name="flex flex-wrap gap-1"
            ),
            rx.el.span(row.key_count, class_name=theme.NUMBER),
            moment(row.joined),
            moment(row.last_seen),
            money(row.spent, theme.NUMBER + " text-muted-foreground"),
            money(row.available, theme.NUMBER + " font-medium"),
        ],
        label=t("nav.admin_users"),
        on_open=lambda row: AdminUsers.open_user(row.id),
    )


def _sheet() -> rx.Component:
    person = AdminUsers.person
    return dialogs.sheet(
        alert(AdminUsers.open_failure),
        rx.el.div(
            badge(person.status),
            rx.cond(person.admin, badge("admin"), rx.fragment()),
            class_name="flex gap-1",
        ),
        facts(
            (t("users.available"), money(person.available, theme.NUMBER + " font-semibold")),
            (t("users.held"), money(person.held)),
            (t("users.spent"), money(person.spent)),
            (t("users.keys"), person.key_count),
            (t("users.organization"), person.organization),
            (t("users.joined"), moment(person.joined)),
            (t("users.last_seen"), moment(person.last_seen)),
        ),
        rx.el.div(
            page_link(
                t("users.wallet"),
                href=f"/admin/wallets?organization_id={person.organization_id}",
                class_name=theme.BUTTON_SMALL,
            ),
            page_link(
                t("users.requests"),
                href=f"/admin/requests?organization_id={person.organization_id}",
                class_name=theme.BUTTON_SMALL,
            ),
            class_name="flex flex-wrap gap-2",
        ),
        rx.cond(
            AdminUsers.asking,
            _status_form(),
            rx.el.button(
                rx.cond(person.status == "active", t("users.suspend"), t("users.reactivate")),
                type="button",
                on_click=AdminUsers.ask_status(True),
                class_name=theme.BUTTON_SMALL_DANGER + " w-fit",
            ),
        ),
        title=person.email,
        text=person.name,
        is_open=AdminUsers.opened,
        on_open_change=AdminUsers.close_user,
    )


def _status_form() -> rx.Component:
    person = AdminUsers.person
    active = person.status == "active"
    return rx.el.form(
        rx.el.p(
            rx.cond(
                active, t("users.suspend_title", email=person.email), t("users.reactivate_title", email=person.email)
            ),
            class_name="text-sm font-medium",
        ),
        rx.el.p(rx.cond(active, t("users.suspend_text"), t("users.reactivate_text")), class_name=theme.HINT),
        field(
            t("users.reason"),
            text_input("status_reason", required=True, max_length=500, auto_complete="off"),
            name="status_reason",
        ),
        dialogs.buttons(
            rx.el.button(
                t("action.cancel"),
                type="button",
                on_click=AdminUsers.ask_status(False),
                class_name=theme.BUTTON_OUTLINE,
            ),
            submit(
                rx.cond(active, t("users.suspend"), t("users.reactivate")),
                busy=AdminUsers.busy,
                look=theme.BUTTON_DANGER,
            ),
        ),
        on_submit=AdminUsers.change_status,
        class_name="flex flex-col gap-3 rounded-lg border border-border p-4",
    )
