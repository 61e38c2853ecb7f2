"""Where one is signed in: each session with its device, named, ended, or all of them at once."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from operis_client import OperisError
from operis_client.models import SessionView
from operis_dashboard import theme
from operis_dashboard.agents import name_agent
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.components.display import moment, quiet_badge
from operis_dashboard.components.sections import settings_sections
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, actions, pager, table
from operis_dashboard.formatting import NOTHING, Shown, Writer
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_POST_SIGN_OUT = "document.querySelector('form[action=\"/_auth/logout\"]').submit()"


@dataclass(frozen=True)
class SessionRow:
    id: str = ""
    name: str = ""
    device: str = ""
    agent: str = ""
    address: str = ""
    current: bool = False
    began: Shown = default(default_factory=Shown)
    last_seen: Shown = default(default_factory=Shown)
    ends: Shown = default(default_factory=Shown)


class Sessions(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[SessionRow] = []
    next: str = ""
    after: str = ""
    busy: bool = False

    naming: SessionRow = SessionRow()
    name_failure: str = ""

    asking: str = ""
    """What a dialog asks about: one, others, all."""
    asked: SessionRow = SessionRow()
    ask_failure: str = ""

    @rx.event
    async def load(self) -> None:
        self.after = self.router.url.query_parameters.get("after", "")
        self.busy, self.asking, self.naming = False, "", SessionRow()
        await self._read()

    @rx.event
    def turn_page(self, after: str) -> Any:
        return rx.redirect(f"/settings/sessions?{urlencode({'after': after})}" if after else "/settings/sessions")

    @rx.event
    def open_name(self, session_id: str) -> None:
        self.naming, self.name_failure = self._row(session_id), ""

    @rx.event
    def close_name(self, _opened: bool = False) -> None:
        self.naming = SessionRow()

    @rx.event
    async def save_name(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        session_id = self.naming.id
        if not session_id:
            return
        self.busy, self.name_failure = True, ""
        yield
        name = read_field(form, "session_name").strip()
        try:
            await self._ask(lambda api: api.name_session(session_id, name=name))
        except OperisError as error:
            self.name_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.naming = SessionRow()
        yield rx.toast.success(self._say("settings.saved"))
        await self._read()

    @rx.event
    def ask(self, what: str, session_id: str) -> None:
        self.asking, self.asked, self.ask_failure = what, self._row(session_id), ""

    @rx.event
    def keep(self, _opened: bool = False) -> None:
        self.asking = ""

    @rx.event
    async def confirm(self) -> AsyncGenerator[Any, None]:
        what, session_id = self.asking, self.asked.id
        if not what:
            return
        self.busy, self.ask_failure = True, ""
        yield
        try:
            if what == "all":
                await self._ask(lambda api: api.logout_all())
            elif what == "others":
                await self._ask(lambda api: api.end_other_sessions())
            else:
                await self._ask(lambda api: api.end_session(session_id))
        except OperisError as error:
            self.ask_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.asking = ""
        if what == "all":
            yield rx.call_script(_POST_SIGN_OUT)
            return
        yield rx.toast.success(self._say("sessions.ended"))
        await self._read()

    def _row(self, session_id: str) -> SessionRow:
        return next((row for row in self.rows if row.id == session_id), SessionRow())

    async def _read(self) -> None:
        try:
            found = await self._ask(lambda api: api.list_sessions(limit=25, after=self.after or None))
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [_session(row, self._writer) for row in found.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""


def _session(row: SessionView, writer: Writer) -> SessionRow:
    device = name_agent(row.agent)
    return SessionRow(
        id=row.id,
        name=row.name or device,
        device=" · ".join(part for part in (device if row.name else "", row.address) if part) or NOTHING,
        agent=row.agent or "",
        address=row.address or "",
        current=row.current,
        began=writer.moment(row.created_at),
        last_seen=writer.moment(row.last_seen_at),
        ends=writer.moment(row.expires_at),
    )


@page(route="/settings/sessions", title="nav.settings", role="user", on_load=Sessions.load)
def settings_sessions() -> rx.Component:
    return settings_sections(
        rx.el.p(t("sessions.text"), class_name="text-sm text-muted-foreground"),
        four_states(
            loaded=Sessions.loaded,
            failure=Sessions.failure,
            count=Sessions.rows.length(),
            retry=Sessions.load,
            empty=empty_state("monitor-smartphone", t("sessions.empty"), t("sessions.empty_text")),
            full=rx.el.div(
                _table(),
                pager(
                    first=Sessions.after == "",
                    last=Sessions.next == "",
                    on_first=Sessions.turn_page(""),
                    on_next=Sessions.turn_page(Sessions.next),
                ),
                rx.el.div(
                    rx.cond(
                        Sessions.rows.length() > 1,
                        rx.el.button(
                            t("sessions.end_others"),
                            type="button",
                            on_click=Sessions.ask("others", ""),
                            class_name=theme.BUTTON_SMALL,
                        ),
                        rx.fragment(),
                    ),
                    rx.el.button(
                        t("settings.sign_out_all"),
                        type="button",
                        on_click=Sessions.ask("all", ""),
                        class_name=theme.BUTTON_SMALL_DANGER,
                    ),
                    class_name="flex flex-wrap justify-end gap-2",
                ),
                class_name="flex flex-col gap-4",
            ),
        ),
        _name_dialog(),
        _confirm(),
        here="/settings/sessions",
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("sessions.device")),
            Column(t("sessions.began"), from_width="md"),
            Column(t("sessions.last_seen"), from_width="sm"),
            Column(rx.el.span(t("table.actions"), class_name="sr-only")),
        ],
        Sessions.rows,
        lambda row: [
            rx.el.div(
                rx.el.div(
                    rx.el.span(row.name, class_name="max-w-40 truncate font-medium sm:max-w-60"),
                    rx.cond(row.current, quiet_badge(t("sessions.current")), rx.fragment()),
                    class_name="flex flex-wrap items-center gap-2",
                ),
                rx.el.span(
                    row.device,
                    title=row.agent,
                    class_name="max-w-40 truncate text-xs text-muted-foreground sm:max-w-60",
                ),
                class_name="flex min-w-0 flex-col gap-0.5",
            ),
            moment(row.began),
            moment(row.last_seen),
            actions(
                rx.el.button(
                    t("sessions.rename"),
                    type="button",
                    aria_label=t("sessions.rename_name", name=row.name),
                    on_click=Sessions.open_name(row.id),
                    class_name=theme.BUTTON_SMALL,
                ),
                rx.cond(
                    row.current,
                    rx.fragment(),
                    rx.el.button(
                        t("sessions.end"),
                        type="button",
                        aria_label=t("sessions.end_name", name=row.name),
                        on_click=Sessions.ask("one", row.id),
                        class_name=theme.BUTTON_SMALL_DANGER,
                    ),
                ),
            ),
        ],
        label=t("settings.sessions"),
    )


def _name_dialog() -> rx.Component:
    return dialogs.dialog(
        rx.el.form(
            alert(Sessions.name_failure),
            field(
                t("field.name"),
                text_input("session_name", default_value=Sessions.naming.name, required=True, max_length=80),
                name="session_name",
            ),
            dialogs.buttons(dialogs.cancel(), submit(t("action.save"), busy=Sessions.busy)),
            key=Sessions.naming.id,
            on_submit=Sessions.save_name,
            class_name="flex flex-col gap-4",
        ),
        title=t("sessions.name_title"),
        text=t("sessions.name_text"),
        is_open=Sessions.naming.id != "",
        on_open_change=Sessions.close_name,
    )


def _confirm() -> rx.Component:
    what = Sessions.asking
    return dialogs.confirm(
        title=rx.match(
            what,
            ("all", t("settings.sign_out_all_title")),
            ("others", t("sessions.end_others_title")),
            t("sessions.end_title", name=Sessions.asked.name),
        ),
        text=rx.match(
            what,
            ("all", t("settings.sign_out_all_text", email=Sessions.email)),
            ("others", t("sessions.end_others_text")),
            t("sessions.end_text", address=Sessions.asked.address),
        ),
        action=rx.match(
            what,
            ("all", t("settings.sign_out_all")),
            ("others", t("sessions.end_others")),
            t("sessions.end"),
        ),
        is_open=what != "",
        on_open_change=Sessions.keep,
        on_confirm=Sessions.confirm,
        busy=Sessions.busy,
        failure=alert(Sessions.ask_failure),
    )
