"""Upstreams: add a provider, test it, enable and disable it. A credential goes in and never comes back."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import reflex as rx
from msgspec import UNSET

from operis_client import ApiError, OperisError
from operis_client.models import Upstream
from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, field, select, submit, text_input
from operis_dashboard.components.display import badge
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, actions, table
from operis_dashboard.formatting import NOTHING, Writer
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


@dataclass(frozen=True)
class UpstreamRow:
    id: str = ""
    name: str = ""
    base_url: str = ""
    key: str = ""
    status: str = ""
    models: str = ""
    testable: bool = True


class AdminUpstreams(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[UpstreamRow] = []
    adding: bool = False
    busy: bool = False
    add_failure: str = ""
    testing_id: str = ""
    disabling_id: str = ""
    disabling_name: str = ""
    disable_failure: str = ""

    _attempt: str = ""

    @rx.event
    async def load(self) -> None:
        await self._read()

    @rx.event
    def open_form(self, opened: bool = True) -> None:
        self.adding, self.add_failure, self._attempt = opened, "", str(uuid4())

    @rx.event
    async def add(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.adding:
            return
        self.busy, self.add_failure = True, ""
        yield
        try:
            upstream = await self._ask(
                lambda api: api.create_upstream(
                    name=read_field(form, "name").strip(),
                    base_url=read_field(form, "base_url").strip(),
                    api_key=read_field(form, "api_key").strip(),
                    protocol=read_field(form, "protocol") or UNSET,
                    idempotency_key=self._attempt,
                )
            )
        except OperisError as error:
            self.add_failure = self._explain(error)
            if isinstance(error, ApiError):
                self._attempt = str(uuid4())
            return
        finally:
            self.busy = False
        self.adding = False
        yield rx.toast.success(self._say("upstreams.added", name=upstream.name))
        await self._read()

    @rx.event
    async def test(self, upstream_id: str, name: str) -> AsyncGenerator[Any, None]:
        self.testing_id = upstream_id
        yield
        try:
            found = await self._ask(lambda api: api.test_upstream(upstream_id))
        except OperisError as error:
            yield rx.toast.error(self._explain(error))
            return
        finally:
            self.testing_id = ""
        if found.ok:
            latency = self._writer.milliseconds(found.latency_ms)
            yield rx.toast.success(self._say("upstreams.test_ok", name=name, latency=latency, models=len(found.models)))
        else:
            reason = found.error or str(found.status)
            yield rx.toast.error(self._say("upstreams.test_failed", name=name, error=reason), duration=10_000)

    @rx.event
    async def enable(self, upstream_id: str) -> Any:
        try:
            upstream = await self._ask(lambda api: api.update_upstream(upstream_id, enabled=True))
        except OperisError as error:
            return rx.toast.error(self._explain(error))
        await self._read()
        return rx.toast.success(self._say("upstreams.enabled", name=upstream.name))

    @rx.event
    def ask_disable(self, upstream_id: str, name: str) -> None:
        self.disabling_id, self.disabling_name, self.disable_failure = upstream_id, name, ""

    @rx.event
    def keep(self, _opened: bool = False) -> None:
        self.disabling_id = ""

    @rx.event
    async def disable(self) -> Any:
        upstream_id = self.disabling_id
        if not upstream_id:
            return None
        try:
            await self._ask(lambda api: api.update_upstream(upstream_id, enabled=False))
        except OperisError as error:
            self.disable_failure = self._explain(error)
            return None
        self.disabling_id = ""
        await self._read()
        return rx.toast.success(self._say("upstreams.disabled", name=self.disabling_name))

    async def _read(self) -> None:
        try:
            found = await self._ask(lambda api: api.list_upstreams())
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [_row(upstream, self._writer) for upstream in found.items]
        self.loaded, self.failure = True, ""


def _row(upstream: Upstream, writer: Writer) -> UpstreamRow:
    return UpstreamRow(
        id=upstream.id,
        name=upstream.name,
        base_url=upstream.base_url or NOTHING,
        key=f"…{upstream.api_key_last_four}" if upstream.api_key_last_four else NOTHING,
        status="enabled" if upstream.enabled else "disabled",
        models=writer.count(upstream.models),
        testable=upstream.protocol != "echo",
    )


@page(route="/admin/upstreams", title="nav.admin_upstreams", role="admin", on_load=AdminUpstreams.load)
def admin_upstreams() -> rx.Component:
    return rx.fragment(
        rx.el.div(
            rx.el.p(t("upstreams.text"), class_name="text-sm text-muted-foreground"),
            rx.el.button(
                rx.icon("plus", size=16),
                t("upstreams.add"),
                type="button",
                on_click=AdminUpstreams.open_form(True),
                class_name=theme.BUTTON,
            ),
            class_name="flex flex-col gap-4 sm:flex-row sm:items-center sm:justify-between",
        ),
        four_states(
            loaded=AdminUpstreams.loaded,
            failure=AdminUpstreams.failure,
            count=AdminUpstreams.rows.length(),
            retry=AdminUpstreams.load,
            empty=empty_state("server", t("upstreams.empty"), t("upstreams.empty_text")),
            full=_table(),
        ),
        _form(),
        dialogs.confirm(
            title=t("upstreams.disable_title", name=AdminUpstreams.disabling_name),
            text=t("upstreams.disable_text"),
            action=t("upstreams.disable"),
            is_open=AdminUpstreams.disabling_id != "",
            on_open_change=AdminUpstreams.keep,
            on_confirm=AdminUpstreams.disable,
            busy=AdminUpstreams.busy,
            failure=alert(AdminUpstreams.disable_failure),
        ),
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("upstreams.name")),
            Column(t("upstreams.key"), from_width="md"),
            Column(t("upstreams.models"), number=True, from_width="sm"),
            Column(t("upstreams.status")),
            Column(rx.el.span(t("table.actions"), class_name="sr-only")),
        ],
        AdminUpstreams.rows,
        lambda row: [
            rx.el.div(
                rx.el.span(row.name, class_name="font-medium"),
                rx.el.span(row.base_url, class_name="max-w-32 truncate text-xs text-muted-foreground sm:max-w-80"),
                class_name="flex flex-col gap-0.5",
            ),
            rx.el.span(row.key, class_name="font-mono text-xs text-muted-foreground"),
            rx.el.span(row.models, class_name=theme.NUMBER),
            badge(row.status),
            actions(
                rx.cond(
                    row.testable,
                    rx.el.button(
                        rx.cond(AdminUpstreams.testing_id == row.id, t("upstreams.testing"), t("upstreams.test")),
                        type="button",
                        disabled=AdminUpstreams.testing_id == row.id,
                        on_click=AdminUpstreams.test(row.id, row.name),
                        class_name=theme.BUTTON_SMALL,
                    ),
                    rx.fragment(),
                ),
                rx.cond(
                    row.status == "enabled",
                    rx.el.button(
                        t("upstreams.disable"),
                        type="button",
                        on_click=AdminUpstreams.ask_disable(row.id, row.name),
                        class_name=theme.BUTTON_SMALL_DANGER,
                    ),
                    rx.el.button(
                        t("upstreams.enable"),
                        type="button",
                        on_click=AdminUpstreams.enable(row.id),
                        class_name=theme.BUTTON_SMALL,
                    ),
                ),
            ),
        ],
        label=t("nav.admin_upstreams"),
    )


def _form() -> rx.Component:
    return dialogs.dialog(
        rx.el.form(
            alert(AdminUpstreams.add_failure),
            field(
                t("upstreams.name"),
                text_input("name", required=True, max_length=100, auto_complete="off", placeholder="OpenAI"),
                name="name",
            ),
            field(
                t("upstreams.protocol"),
                select("protocol", [("openai", "OpenAI"), ("anthropic", "Anthropic")]),
                name="protocol",
            ),
            field(
                t("upstreams.base_url"),
                text_input(
                    "base_url",
                    type="url",
                    required=True,
                    auto_complete="off",
                    placeholder="https://api.openai.com/v1",
                    aria_describedby="base_url-hint",
                ),
                name="base_url",
                hint=t("upstreams.base_url_hint"),
            ),
            field(
                t("upstreams.api_key"),
                text_input("api_key", type="password", required=True, auto_complete="off"),
                name="api_key",
            ),
            dialogs.buttons(dialogs.cancel(), submit(t("upstreams.add"), busy=AdminUpstreams.busy)),
            on_submit=AdminUpstreams.add,
            method="post",
            action="/_auth/nojs",
            class_name="flex flex-col gap-4",
        ),
        title=t("upstreams.add"),
        text=t("upstreams.add_text"),
        is_open=AdminUpstreams.adding,
        on_open_change=AdminUpstreams.open_form,
    )
