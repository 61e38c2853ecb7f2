"""Users: search, open one, suspend and reactivate; the wallet has a page of its own."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from operis_client import AsyncOperis, OperisError
from operis_client.models import UserRow
from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import facts
from operis_dashboard.components.controls import LANGUAGE_NAMES, alert, field, search_box, select, text_input
from operis_dashboard.components.display import badge, moment, money, quiet_badge
from operis_dashboard.components.links import page_link
from operis_dashboard.components.reasons import reason_form
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.formatting import Shown, Writer
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.rights import permitted
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_ACTIONS = ("edit", "verify", "sign_out", "remove_factor", "suspend", "reactivate")


@dataclass(frozen=True)
class Person:
    id: str = ""
    email: str = ""
    name: str = ""
    admin: bool = False
    status: str = "active"
    until: str = ""
    reason: str = ""
    locale: str = "en"
    verified: bool = True
    second_factor: bool = False
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
    asked: str = ""
    """What is asked for and waits for its reason, one of _ACTIONS."""

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
        self.open_failure, self.asked = "", ""
        await self._read_person(user_id)
        self.opened = True

    @rx.event
    def close_user(self, _opened: bool = False) -> Any:
        self.opened, self.person = False, Person()
        if self.router.url.query_parameters.get("user"):
            return AdminUsers.turn_page(self.after)
        return None

    @rx.event
    def ask(self, action: str) -> None:
        self.asked, self.open_failure = action if action in _ACTIONS else "", ""

    @rx.event
    async def act(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Do what is asked for, with the reason that the form gives."""
        action, person = self.asked, self.person
        if not self.opened or not action or self.busy:
            return
        self.busy, self.open_failure = True, ""
        yield
        try:
            change = _change(action, person.id, form, self._writer)
            await self._ask(change)
        except ValueError:
            self.open_failure = self._say("users.no_time")
            return
        except OperisError as error:
            self.open_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.asked = ""
        yield rx.toast.success(self._say("users.done", email=person.email))
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


def _change(
    action: str, user_id: str, form: dict[str, Any], writer: Writer
) -> Callable[[AsyncOperis], Awaitable[object]]:
    """Return the call that an action is. Raises ValueError for an end that is no time."""
    reason = read_field(form, "user_reason").strip()
    if action == "suspend":
        end = read_field(form, "until").strip()
        until = writer.instant(end) if end else None
        return lambda api: api.update_user(user_id, status="suspended", suspended_until=until, reason=reason)
    if action == "reactivate":
        return lambda api: api.update_user(user_id, status="active", reason=reason)
    if action == "verify":
        return lambda api: api.update_user(user_id, email_verified=True, reason=reason)
    if action == "sign_out":
        return lambda api: api.sign_out_user(user_id, reason=reason)
    if action == "remove_factor":
        return lambda api: api.remove_user_second_factor(user_id, reason=reason)
    name, locale = read_field(form, "person_name").strip(), read_field(form, "person_locale")
    return lambda api: api.update_user(user_id, name=name, locale=locale, reason=reason)


def _person(user: UserRow, writer: Writer) -> Person:
    return Person(
        id=user.id,
        email=user.email,
        name=user.name,
        admin=user.role != "user",
        status=user.status,
        until=writer.moment(user.suspended_until).text if user.suspended_until else "",
        reason=user.suspended_reason or "",
        locale=user.locale,
        verified=user.email_verified,
        second_factor=user.second_factor,
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
            rx.cond(person.verified, badge("verified"), badge("unverified")),
            rx.cond(person.second_factor, quiet_badge(t("security.factor")), rx.fragment()),
            class_name="flex flex-wrap gap-1",
        ),
        rx.cond(
            person.status == "suspended",
            rx.el.p(
                person.reason,
                rx.cond(person.until != "", rx.fragment(" · ", t("users.until_shown", at=person.until)), rx.fragment()),
                class_name="text-sm text-muted-foreground",
            ),
            rx.fragment(),
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
            page_link(
                t("nav.admin_organizations"),
                href=f"/admin/organizations?organization={person.organization_id}",
                class_name=theme.BUTTON_SMALL,
            ),
            page_link(t("nav.admin_audit"), href=f"/admin/audit?actor_id={person.id}", class_name=theme.BUTTON_SMALL),
            class_name="flex flex-wrap gap-2",
        ),
        permitted("admin.users.edit", rx.cond(AdminUsers.asked != "", _reason_form(), _actions())),
        title=person.email,
        text=person.name,
        is_open=AdminUsers.opened,
        on_open_change=AdminUsers.close_user,
    )


def _actions() -> rx.Component:
    person = AdminUsers.person

    def one(action: str, text: rx.Var[str], look: str = theme.BUTTON_SMALL) -> rx.Component:
        return rx.el.button(text, type="button", on_click=AdminUsers.ask(action), class_name=look)

    return rx.el.div(
        one("edit", t("users.edit")),
        rx.cond(person.verified, rx.fragment(), one("verify", t("users.verify"))),
        one("sign_out", t("settings.sign_out_all")),
        rx.cond(person.second_factor, one("remove_factor", t("users.remove_factor")), rx.fragment()),
        rx.cond(
            person.status == "active",
            one("suspend", t("users.suspend"), theme.BUTTON_SMALL_DANGER),
            one("reactivate", t("users.reactivate"), theme.BUTTON_SMALL_DANGER),
        ),
        class_name="flex flex-wrap gap-2",
    )


def _reason_form() -> rx.Component:
    asked, person = AdminUsers.asked, AdminUsers.person
    return reason_form(
        rx.match(
            asked,
            (
                "suspend",
                field(
                    t("users.until"),
                    text_input("until", type="datetime-local"),
                    name="until",
                    hint=t("users.until_hint"),
                ),
            ),
            (
                "edit",
                rx.el.div(
                    field(
                        t("field.name"),
                        text_input("person_name", default_value=person.name, required=True, max_length=200),
                        name="person_name",
                    ),
                    field(
                        t("settings.language"),
                        select("person_locale", LANGUAGE_NAMES, default_value=person.locale),
                        name="person_locale",
                    ),
                    class_name="flex flex-col gap-3",
                ),
            ),
            rx.fragment(),
        ),
        title=rx.match(
            asked,
            ("suspend", t("users.suspend_title", email=person.email)),
            ("reactivate", t("users.reactivate_title", email=person.email)),
            ("verify", t("users.verify_title", email=person.email)),
            ("sign_out", t("users.sign_out_title", email=person.email)),
            ("remove_factor", t("users.remove_factor_title", email=person.email)),
            t("users.edit_title", email=person.email),
        ),
        text=rx.match(
            asked,
            ("suspend", t("users.suspend_text")),
            ("reactivate", t("users.reactivate_text")),
            ("verify", t("users.verify_text")),
            ("sign_out", t("users.sign_out_text")),
            ("remove_factor", t("users.remove_factor_text")),
            t("users.edit_text"),
        ),
        action=rx.match(
            asked,
            ("suspend", t("users.suspend")),
            ("reactivate", t("users.reactivate")),
            ("verify", t("users.verify")),
            ("sign_out", t("settings.sign_out_all")),
            ("remove_factor", t("users.remove_factor")),
            t("action.save"),
        ),
        name="user_reason",
        busy=AdminUsers.busy,
        on_submit=AdminUsers.act,
        on_cancel=AdminUsers.ask(""),
        look=theme.BUTTON_DANGER,
    )
