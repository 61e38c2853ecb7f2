"""The audit log: who did what, as whom, to what, and why; narrowed by filters, each event opened to its changes."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from operis_client import OperisError
from operis_dashboard import theme
from operis_dashboard.auditing import ChangeRow, EventRow, write_event
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import facts
from operis_dashboard.components.controls import field, submit, text_input
from operis_dashboard.components.display import badge, moment
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.formatting import NOTHING
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_FILTERS = ("action", "actor_id", "target_id", "organization_id", "from", "to")
_ADDRESS = "/admin/audit"


class AdminAudit(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[EventRow] = []
    filters: dict[str, str] = dict.fromkeys(_FILTERS, "")
    filtered: bool = False
    forms: int = 0
    after: str = ""
    next: str = ""

    opened: bool = False
    event: EventRow = EventRow()

    @rx.event
    async def load(self) -> None:
        asked = self.router.url.query_parameters
        self.filters = {name: asked.get(name, "") for name in _FILTERS}
        self.after, self.filtered, self.opened = asked.get("after", ""), any(self.filters.values()), False
        self.forms += 1
        await self._read()

    @rx.event
    def choose_filters(self, form: dict[str, Any]) -> Any:
        return _address({name: read_field(form, name, characters_max=128).strip() for name in _FILTERS})

    @rx.event
    def narrow(self, name: str, value: str) -> Any:
        """Show what else this actor did, or what else was done to this target."""
        return _address(self.filters | ({str(name): str(value)} if name in _FILTERS else {}))

    @rx.event
    def turn_page(self, after: str) -> Any:
        return _address(self.filters | {"after": after})

    @rx.event
    def open_event(self, event_id: str) -> None:
        found = next((row for row in self.rows if row.id == event_id), None)
        if found:
            self.event, self.opened = found, True

    @rx.event
    def close_event(self, _opened: bool = False) -> None:
        self.opened = False

    async def _read(self) -> None:
        chosen = self.filters
        try:
            found = await self._ask(
                lambda api: api.list_audit(
                    limit=50,
                    after=self.after or None,
                    organization_id=chosen["organization_id"] or None,
                    actor_id=chosen["actor_id"] or None,
                    target_id=chosen["target_id"] or None,
                    action=chosen["action"] or None,
                    from_=self._midnight(chosen["from"]),
                    to=self._midnight(chosen["to"], days=1),
                )
            )
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [write_event(row, self._writer) for row in found.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""

    def _midnight(self, day: str, *, days: int = 0) -> datetime | None:
        """Return when a day begins for the viewer; `days` later, where its end is meant."""
        try:
            return self._writer.midnight(date.fromisoformat(day) + timedelta(days=days)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None


def _address(parameters: dict[str, str]) -> Any:
    query = urlencode({name: value for name, value in parameters.items() if value})
    return rx.redirect(f"{_ADDRESS}?{query}" if query else _ADDRESS)


@page(route=_ADDRESS, title="nav.admin_audit", role="admin", on_load=AdminAudit.load)
def admin_audit() -> rx.Component:
    return rx.fragment(
        _filters(),
        four_states(
            loaded=AdminAudit.loaded,
            failure=AdminAudit.failure,
            count=AdminAudit.rows.length(),
            retry=AdminAudit.load,
            empty=empty_state("list-filter", t("audit.none_match"), t("requests.none_match_text")),
            full=rx.el.div(
                _table(),
                pager(
                    first=AdminAudit.after == "",
                    last=AdminAudit.next == "",
                    on_first=AdminAudit.turn_page(""),
                    on_next=AdminAudit.turn_page(AdminAudit.next),
                ),
                class_name="flex flex-col gap-4",
            ),
        ),
        _sheet(),
    )


def _filters() -> rx.Component:
    def one(name: str, text: rx.Var[str], **props: Any) -> rx.Component:
        return field(text, text_input(name, default_value=AdminAudit.filters[name], **props), name=name)

    return rx.el.form(
        rx.el.div(
            one("action", t("audit.action"), placeholder="user.update", auto_complete="off"),
            one("actor_id", t("audit.actor_id"), auto_complete="off"),
            one("target_id", t("audit.target_id"), auto_complete="off"),
            one("organization_id", t("audit.organization_id"), auto_complete="off"),
            one("from", t("audit.from"), type="date"),
            one("to", t("audit.to"), type="date"),
            class_name="grid grid-cols-1 gap-3 sm:grid-cols-2 lg:grid-cols-3",
        ),
        rx.el.div(
            rx.cond(
                AdminAudit.filtered,
                rx.el.button(
                    t("action.clear"), type="button", on_click=rx.redirect(_ADDRESS), class_name=theme.BUTTON_OUTLINE
                ),
                rx.fragment(),
            ),
            submit(t("audit.search"), busy=~AdminAudit.loaded & (AdminAudit.failure == "")),
            class_name="flex justify-end gap-2",
        ),
        key=AdminAudit.forms.to_string(),
        on_submit=AdminAudit.choose_filters,
        class_name="flex flex-col gap-3",
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("audit.at"), from_width="sm"),
            Column(t("audit.action")),
            Column(t("audit.actor")),
            Column(t("audit.target"), from_width="lg"),
            Column(t("users.reason"), from_width="xl"),
        ],
        AdminAudit.rows,
        lambda row: [
            moment(row.at),
            rx.el.button(
                row.action,
                type="button",
                on_click=AdminAudit.open_event(row.id).stop_propagation,
                class_name="text-left font-mono text-[13px] cursor-pointer hover:underline rounded-sm break-all "
                + theme.FOCUS,
            ),
            rx.el.div(
                rx.el.span(row.actor, title=row.actor, class_name="block max-w-36 truncate sm:max-w-60"),
                rx.cond(row.operator, badge("admin"), rx.fragment()),
                class_name="flex flex-wrap items-center gap-1",
            ),
            rx.el.span(
                row.target_type,
                " ",
                row.target_id,
                title=row.target_id,
                class_name="block max-w-56 truncate text-muted-foreground",
            ),
            rx.el.span(row.reason, title=row.reason, class_name="block max-w-56 truncate text-muted-foreground"),
        ],
        label=t("nav.admin_audit"),
        on_open=lambda row: AdminAudit.open_event(row.id),
    )


def _sheet() -> rx.Component:
    event = AdminAudit.event
    return dialogs.sheet(
        facts(
            (t("audit.at"), rx.el.span(event.at.exact, class_name="tabular-nums")),
            (t("audit.actor"), rx.fragment(event.actor, " ", rx.cond(event.operator, badge("admin"), rx.fragment()))),
            (t("audit.as_user"), _id(event.as_user_id)),
            (t("audit.target"), rx.fragment(event.target_type, " ", _id(event.target_id))),
            (t("nav.organization"), _id(event.organization_id)),
            (t("users.reason"), _known(event.reason)),
            (t("audit.address"), _known(event.address)),
            (t("audit.agent"), _known(event.agent)),
            (t("audit.request_id"), _id(event.request_id)),
        ),
        rx.cond(
            event.changes.length() > 0,
            table(
                [Column(t("audit.fact")), Column(t("audit.before")), Column(t("audit.after"))],
                event.changes,
                _change,
                label=t("audit.changes"),
            ),
            rx.fragment(),
        ),
        rx.el.div(
            rx.cond(
                event.actor_id != "",
                rx.el.button(
                    t("audit.of_actor"),
                    type="button",
                    on_click=AdminAudit.narrow("actor_id", event.actor_id),
                    class_name=theme.BUTTON_SMALL,
                ),
                rx.fragment(),
            ),
            rx.el.button(
                t("audit.of_target"),
                type="button",
                on_click=AdminAudit.narrow("target_id", event.target_id),
                class_name=theme.BUTTON_SMALL,
            ),
            class_name="flex flex-wrap gap-2",
        ),
        title=event.action,
        is_open=AdminAudit.opened,
        on_open_change=AdminAudit.close_event,
    )


def _change(row: rx.Var[ChangeRow]) -> list[rx.Component]:
    look = rx.cond(row.changed, "break-all font-medium", "break-all text-muted-foreground")
    return [
        rx.el.span(row.name, class_name="font-mono text-[13px]"),
        rx.el.span(row.before, class_name=look),
        rx.el.span(row.after, class_name=look),
    ]


def _id(value: rx.Var[str]) -> rx.Component:
    return rx.el.span(_known(value), class_name="break-all font-mono text-xs")


def _known(value: rx.Var[str]) -> rx.Var[str]:
    return rx.cond(value != "", value, NOTHING)
