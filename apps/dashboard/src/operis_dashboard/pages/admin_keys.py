"""Every organization's API keys: found, opened, disabled, enabled and revoked with a reason."""

from collections.abc import AsyncGenerator
from typing import Any, Literal
from urllib.parse import urlencode

import reflex as rx

from operis_client import OperisError
from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, field, search_box, submit, text_input
from operis_dashboard.components.display import moment, money
from operis_dashboard.components.key_sheet import binding_limit, key_badges, key_detail
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.forms import read_field
from operis_dashboard.keyring import KeyRow, write_key
from operis_dashboard.layout import page
from operis_dashboard.rights import permitted
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_FILTERS = ("search", "status", "organization_id")
_STATUSES = ("active", "disabled", "expired", "revoked")
_ACTIONS = ("disable", "enable", "revoke")


class AdminKeys(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[KeyRow] = []
    search: str = ""
    status: str = ""
    customer_id: str = ""
    after: str = ""
    next: str = ""

    opened: bool = False
    shown: KeyRow = KeyRow()
    open_failure: str = ""
    asked: str = ""
    """What is asked for and waits for its reason: disable, enable or revoke."""
    busy: bool = False

    @rx.event
    async def load(self) -> None:
        parameters = self.router.url.query_parameters
        self.search, self.status = parameters.get("search", ""), parameters.get("status", "")
        self.customer_id, self.after = parameters.get("organization_id", ""), parameters.get("after", "")
        await self._read()

    @rx.event
    def choose_filter(self, name: str, value: str) -> Any:
        """Show the first page of what the changed filters let through."""
        return _address(self._narrowed() | ({name: value[:200]} if name in _FILTERS else {}))

    @rx.event
    def clear_filters(self) -> Any:
        return rx.redirect("/admin/keys")

    @rx.event
    def turn_page(self, after: str) -> Any:
        return _address(self._narrowed() | {"after": after})

    @rx.event
    def open_key(self, key_id: str) -> None:
        found = next((row for row in self.rows if row.id == key_id), None)
        if found:
            self.shown, self.opened, self.open_failure, self.asked = found, True, "", ""

    @rx.event
    def close_key(self, _opened: bool = False) -> None:
        self.opened = False

    @rx.event
    def ask(self, action: str) -> None:
        self.asked, self.open_failure = action if action in _ACTIONS else "", ""

    @rx.event
    async def act(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Do what is asked for, with the reason that the form gives."""
        if not self.opened or not self.asked or self.busy:
            return
        self.busy, self.open_failure = True, ""
        yield
        action, key_id = self.asked, self.shown.id
        reason = read_field(form, "key_reason").strip()
        try:
            key = await self._ask(
                lambda api: {
                    "disable": api.disable_admin_key,
                    "enable": api.enable_admin_key,
                    "revoke": api.revoke_admin_key,
                }[action](key_id, reason=reason)
            )
        except OperisError as error:
            self.open_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.shown, self.asked = write_key(key, self._writer), ""
        said = {"disable": "keys.disabled", "enable": "keys.enabled", "revoke": "keys.revoked"}[action]
        yield rx.toast.success(self._say(said, name=key.name))
        await self._read()

    async def _read(self) -> None:
        try:
            found = await self._ask(
                lambda api: api.list_admin_keys(
                    search=self.search or None,
                    status=self.status or None,
                    organization_id=self.customer_id or None,
                    limit=25,
                    after=self.after or None,
                )
            )
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [write_key(key, self._writer) for key in found.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""

    def _narrowed(self) -> dict[str, str]:
        return {"search": self.search, "status": self.status, "organization_id": self.customer_id}


def _address(parameters: dict[str, str]) -> Any:
    query = urlencode({name: value for name, value in parameters.items() if value})
    return rx.redirect(f"/admin/keys?{query}" if query else "/admin/keys")


@page(route="/admin/keys", title="nav.admin_keys", role="admin", on_load=AdminKeys.load)
def admin_keys() -> rx.Component:
    filtered = (
        (AdminKeys.search != "") | (AdminKeys.status != "") | (AdminKeys.customer_id != "") | (AdminKeys.after != "")
    )
    return rx.fragment(
        _filters(filtered),
        four_states(
            loaded=AdminKeys.loaded,
            failure=AdminKeys.failure,
            count=AdminKeys.rows.length(),
            retry=AdminKeys.load,
            empty=rx.cond(
                filtered,
                empty_state("list-filter", t("allkeys.none_match"), t("requests.none_match_text")),
                empty_state("key-round", t("keys.empty"), t("allkeys.empty_text")),
            ),
            full=rx.el.div(
                _table(),
                pager(
                    first=AdminKeys.after == "",
                    last=AdminKeys.next == "",
                    on_first=AdminKeys.turn_page(""),
                    on_next=AdminKeys.turn_page(AdminKeys.next),
                ),
                class_name="flex flex-col gap-4",
            ),
        ),
        _sheet(),
    )


def _filters(filtered: rx.Var[bool]) -> rx.Component:
    return rx.el.div(
        search_box(
            "key_search",
            t("allkeys.search"),
            AdminKeys.search,
            lambda text: AdminKeys.choose_filter("search", text),
        ),
        rx.el.select(
            rx.el.option(t("allkeys.all_statuses"), value=""),
            *(rx.el.option(t(f"status.{status}"), value=status) for status in _STATUSES),
            value=AdminKeys.status,
            on_change=lambda status: AdminKeys.choose_filter("status", status),
            aria_label=t("keys.status"),
            class_name=theme.SELECT + " sm:w-48",
        ),
        rx.cond(
            filtered,
            rx.el.button(
                t("action.clear"), type="button", on_click=AdminKeys.clear_filters, class_name=theme.BUTTON_SMALL
            ),
            rx.fragment(),
        ),
        class_name="flex flex-col gap-3 sm:flex-row sm:items-center",
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("keys.name")),
            Column(t("keys.status")),
            Column(t("keys.owner"), from_width="md"),
            Column(t("keys.binding"), from_width="lg"),
            Column(t("keys.last_used"), from_width="lg"),
            Column(t("keys.requests_errors"), number=True, from_width="xl"),
            Column(t("keys.spent"), number=True, from_width="sm"),
        ],
        AdminKeys.rows,
        lambda row: [
            rx.el.div(
                rx.el.button(
                    row.name,
                    type="button",
                    on_click=AdminKeys.open_key(row.id).stop_propagation,
                    class_name="max-w-44 truncate text-left font-medium cursor-pointer hover:underline rounded-sm "
                    + theme.FOCUS,
                ),
                rx.el.span(row.prefix, class_name="font-mono text-xs text-muted-foreground whitespace-nowrap"),
                class_name="flex flex-col items-start gap-0.5 min-w-0",
            ),
            key_badges(row),
            rx.el.div(
                rx.el.span(row.owner, title=row.owner, class_name="block max-w-52 truncate"),
                rx.el.button(
                    row.organization,
                    type="button",
                    title=t("allrequests.of", name=row.organization),
                    on_click=AdminKeys.choose_filter("organization_id", row.organization_id).stop_propagation,
                    class_name="block max-w-52 truncate text-left text-xs text-muted-foreground cursor-pointer "
                    "hover:underline rounded-sm " + theme.FOCUS,
                ),
                class_name="flex flex-col items-start gap-0.5",
            ),
            binding_limit(row),
            rx.cond(row.last_used.exact != "", moment(row.last_used), t("keys.never")),
            rx.el.span(row.requests, " / ", row.errors, class_name=theme.NUMBER + " text-muted-foreground"),
            money(row.spent, theme.NUMBER + " font-medium"),
        ],
        label=t("nav.admin_keys"),
        on_open=lambda row: AdminKeys.open_key(row.id),
    )


def _sheet() -> rx.Component:
    shown = AdminKeys.shown
    return dialogs.sheet(
        alert(AdminKeys.open_failure),
        permitted(
            "admin.keys.edit",
            rx.cond(
                AdminKeys.asked != "",
                _reason_form(),
                rx.cond(
                    shown.status != "revoked",
                    rx.el.div(
                        rx.cond(
                            shown.status == "disabled",
                            _button("enable", t("keys.enable"), theme.BUTTON_SMALL),
                            _button("disable", t("keys.disable"), theme.BUTTON_SMALL),
                        ),
                        _button("revoke", t("keys.revoke"), theme.BUTTON_SMALL_DANGER),
                        class_name="flex flex-wrap gap-2",
                    ),
                    rx.fragment(),
                ),
            ),
        ),
        key_detail(shown, for_operator=True),
        title=shown.name,
        text=t("keys.sheet_text"),
        is_open=AdminKeys.opened,
        on_open_change=AdminKeys.close_key,
    )


def _button(action: Literal["disable", "enable", "revoke"], text: rx.Var[str], look: str) -> rx.Component:
    return rx.el.button(text, type="button", on_click=AdminKeys.ask(action), class_name=look)


def _reason_form() -> rx.Component:
    """Ask before, naming the key, and why."""
    name = AdminKeys.shown.name
    asked = AdminKeys.asked
    return rx.el.form(
        rx.el.p(
            rx.match(
                asked,
                ("disable", t("allkeys.disable_title", name=name)),
                ("enable", t("allkeys.enable_title", name=name)),
                t("keys.revoke_title", name=name),
            ),
            class_name="text-sm font-medium break-words",
        ),
        rx.el.p(
            rx.match(
                asked,
                ("disable", t("allkeys.disable_text")),
                ("enable", t("allkeys.enable_text")),
                t("keys.revoke_text"),
            ),
            class_name=theme.HINT,
        ),
        field(
            t("users.reason"),
            text_input("key_reason", required=True, max_length=500, auto_complete="off", auto_focus=True),
            name="key_reason",
        ),
        dialogs.buttons(
            rx.el.button(
                t("action.cancel"), type="button", on_click=AdminKeys.ask(""), class_name=theme.BUTTON_OUTLINE
            ),
            submit(
                rx.match(asked, ("disable", t("keys.disable")), ("enable", t("keys.enable")), t("keys.revoke")),
                busy=AdminKeys.busy,
                look=theme.BUTTON_DANGER,
            ),
        ),
        on_submit=AdminKeys.act,
        class_name="flex flex-col gap-3 rounded-lg border border-border p-4",
    )
