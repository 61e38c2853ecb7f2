"""Upstreams: add a provider, test it, see how it is, share out its models. A credential never comes back."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import reflex as rx
from msgspec import UNSET

from operis_client import ApiError, AsyncOperis, OperisError
from operis_client.models import Upstream
from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, disclosure
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.supply import credentials, health_facts, served_models, test_result
from operis_dashboard.components.supply_forms import adding_form, changing_form
from operis_dashboard.components.supply_table import switch, upstream_table
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.rights import permitted
from operis_dashboard.supplying import (
    ResultRow,
    ServedRow,
    UpstreamRow,
    write_served,
    write_test,
    write_upstream,
)
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_PROTOCOLS = ("openai", "anthropic")


class AdminUpstreams(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[UpstreamRow] = []

    adding: bool = False
    protocol: str = "openai"
    busy: bool = False
    add_failure: str = ""

    testing_id: str = ""
    result: ResultRow = ResultRow()

    disabling_id: str = ""
    disabling_name: str = ""
    disable_failure: str = ""

    opened: bool = False
    shown: UpstreamRow = UpstreamRow()
    served: list[ServedRow] = []
    open_failure: str = ""
    removing_id: str = ""
    forms: int = 0
    """Counts what was sent, so that a form that was taken is drawn empty again."""

    _attempt: str = ""

    @rx.event
    async def load(self) -> None:
        await self._read()

    @rx.event
    def open_form(self, opened: bool = True) -> None:
        self.adding, self.add_failure, self._attempt, self.protocol = opened, "", str(uuid4()), "openai"

    @rx.event
    def choose_protocol(self, protocol: str) -> None:
        self.protocol = protocol if protocol in _PROTOCOLS else "openai"

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
        self.testing_id, self.result = upstream_id, ResultRow()
        yield
        try:
            found = await self._ask(lambda api: api.test_upstream(upstream_id))
        except OperisError as error:
            yield rx.toast.error(self._explain(error))
            return
        finally:
            self.testing_id = ""
        self.result = write_test(upstream_id, found, self._writer)
        if found.ok:
            said = self._say("upstreams.test_ok", name=name, latency=self.result.latency, models=len(found.models))
            yield rx.toast.success(said)
        else:
            said = self._say("upstreams.test_failed", name=name, error=self.result.error)
            yield rx.toast.error(said, duration=10_000)

    @rx.event
    async def enable(self, upstream_id: str) -> Any:
        try:
            upstream = await self._ask(lambda api: api.update_upstream(upstream_id, enabled=True))
        except OperisError as error:
            return rx.toast.error(self._explain(error))
        self.shown = write_upstream(upstream, self._writer)
        await self._read()
        return rx.toast.success(self._say("upstreams.enabled", name=upstream.name))

    @rx.event
    def ask_disable(self, upstream_id: str, name: str) -> None:
        self.disabling_id, self.disabling_name, self.disable_failure = upstream_id, name, ""
        self.opened = False

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

    @rx.event
    async def open_upstream(self, upstream_id: str) -> None:
        found = next((row for row in self.rows if row.id == upstream_id), None)
        if found is None:
            return
        self.shown, self.opened, self.open_failure, self.removing_id = found, True, "", ""
        self.served, self.forms = [], self.forms + 1
        await self._read_served()

    @rx.event
    def close_upstream(self, _opened: bool = False) -> None:
        self.opened = False

    @rx.event
    async def change(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Change name, address or first credential; an empty credential keeps the stored one."""
        name, base_url = read_field(form, "new_name").strip(), read_field(form, "new_base_url").strip()
        api_key = read_field(form, "new_api_key").strip()
        upstream_id = self.shown.id
        async for event in self._change(
            lambda api: api.update_upstream(
                upstream_id,
                name=name,
                base_url=base_url if base_url != self.shown.base_url else UNSET,
                api_key=api_key or UNSET,
            ),
            "upstreams.changed",
        ):
            yield event

    @rx.event
    async def add_key(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        api_key, upstream_id = read_field(form, "further_key").strip(), self.shown.id
        async for event in self._change(
            lambda api: api.add_upstream_key(upstream_id, api_key=api_key), "upstreams.key_added"
        ):
            yield event

    @rx.event
    def ask_remove_key(self, key_id: str) -> None:
        self.removing_id = key_id

    @rx.event
    async def remove_key(self) -> AsyncGenerator[Any, None]:
        key_id, upstream_id = self.removing_id, self.shown.id
        if not key_id:
            return
        async for event in self._change(
            lambda api: api.remove_upstream_key(upstream_id, key_id), "upstreams.key_removed"
        ):
            yield event

    @rx.event
    async def share_out(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Set a model's weight and priority at this upstream."""
        link_id, upstream_id = read_field(form, "link_id"), self.shown.id
        weight, priority = (read_field(form, name).strip() for name in ("weight", "priority"))
        if not (weight.isdecimal() and priority.isdecimal()):
            self.open_failure = self._say("upstreams.share_numbers")
            return
        self.open_failure = ""
        try:
            await self._ask(
                lambda api: api.update_model_upstream(upstream_id, link_id, weight=int(weight), priority=int(priority))
            )
        except OperisError as error:
            self.open_failure = self._explain(error)
            return
        yield rx.toast.success(self._say("upstreams.shared"))
        await self._read_served()

    async def _change(self, call: Callable[[AsyncOperis], Awaitable[Upstream]], said: str) -> AsyncGenerator[Any, None]:
        """Change the opened upstream, say so, and show what it has become; a refusal keeps the input."""
        if not self.opened or self.busy:
            return
        self.busy, self.open_failure = True, ""
        yield
        try:
            upstream = await self._ask(call)
        except OperisError as error:
            self.open_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.shown, self.removing_id, self.forms = write_upstream(upstream, self._writer), "", self.forms + 1
        yield rx.toast.success(self._say(said, name=upstream.name))
        await self._read()

    async def _read(self) -> None:
        try:
            found = await self._ask(lambda api: api.list_upstreams())
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [write_upstream(upstream, self._writer) for upstream in found.items]
        self.loaded, self.failure = True, ""

    async def _read_served(self) -> None:
        try:
            models = await self._ask(lambda api: api.list_model_rows())
        except OperisError as error:
            self.open_failure = self._explain(error)
            return
        self.served = write_served(self.shown.id, models.items)


@page(route="/admin/upstreams", title="nav.admin_upstreams", role="admin", on_load=AdminUpstreams.load)
def admin_upstreams() -> rx.Component:
    return rx.fragment(
        rx.el.div(
            rx.el.p(t("upstreams.text"), class_name="text-sm text-muted-foreground"),
            rx.el.div(
                rx.el.button(
                    rx.icon("rotate-cw", size=16),
                    type="button",
                    title=t("action.refresh"),
                    aria_label=t("action.refresh"),
                    on_click=AdminUpstreams.load,
                    class_name=theme.BUTTON_ICON,
                ),
                permitted(
                    "admin.upstreams.edit",
                    rx.el.button(
                        rx.icon("plus", size=16),
                        t("upstreams.add"),
                        type="button",
                        on_click=AdminUpstreams.open_form(True),
                        class_name=theme.BUTTON,
                    ),
                ),
                class_name="flex items-center gap-2",
            ),
            class_name="flex flex-col gap-4 sm:flex-row sm:items-center sm:justify-between",
        ),
        four_states(
            loaded=AdminUpstreams.loaded,
            failure=AdminUpstreams.failure,
            count=AdminUpstreams.rows.length(),
            retry=AdminUpstreams.load,
            empty=empty_state("server", t("upstreams.empty"), t("upstreams.empty_text")),
            full=upstream_table(
                AdminUpstreams.rows,
                testing_id=AdminUpstreams.testing_id,
                on_open=AdminUpstreams.open_upstream,
                on_test=AdminUpstreams.test,
                on_enable=AdminUpstreams.enable,
                on_disable=AdminUpstreams.ask_disable,
            ),
        ),
        _form(),
        _sheet(),
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


def _form() -> rx.Component:
    return dialogs.dialog(
        adding_form(
            protocol=AdminUpstreams.protocol,
            failure=AdminUpstreams.add_failure,
            busy=AdminUpstreams.busy,
            on_protocol=AdminUpstreams.choose_protocol,
            on_add=AdminUpstreams.add,
        ),
        title=t("upstreams.add"),
        text=t("upstreams.add_text"),
        is_open=AdminUpstreams.adding,
        on_open_change=AdminUpstreams.open_form,
    )


def _sheet() -> rx.Component:
    shown = AdminUpstreams.shown
    return dialogs.sheet(
        alert(AdminUpstreams.open_failure),
        health_facts(shown),
        rx.el.div(
            rx.cond(
                shown.builtin,
                rx.fragment(),
                rx.el.button(
                    rx.icon("plug-zap", size=14),
                    rx.cond(AdminUpstreams.testing_id == shown.id, t("upstreams.testing"), t("upstreams.test_now")),
                    type="button",
                    disabled=AdminUpstreams.testing_id == shown.id,
                    on_click=AdminUpstreams.test(shown.id, shown.name),
                    class_name=theme.BUTTON_SMALL + " shrink-0",
                ),
            ),
            switch(shown, on_enable=AdminUpstreams.enable, on_disable=AdminUpstreams.ask_disable),
            class_name="flex flex-wrap gap-2",
        ),
        rx.cond(
            shown.builtin,
            rx.fragment(),
            rx.fragment(
                rx.cond(
                    AdminUpstreams.result.upstream_id == shown.id, test_result(AdminUpstreams.result), rx.fragment()
                ),
                credentials(
                    shown.credentials,
                    removing=AdminUpstreams.removing_id,
                    on_ask=AdminUpstreams.ask_remove_key,
                    on_remove=AdminUpstreams.remove_key,
                    on_add=AdminUpstreams.add_key,
                    busy=AdminUpstreams.busy,
                    forms=AdminUpstreams.forms,
                ),
            ),
        ),
        served_models(AdminUpstreams.served, on_share=AdminUpstreams.share_out, fixed=shown.builtin),
        rx.cond(
            shown.builtin,
            rx.fragment(),
            disclosure(
                t("upstreams.change"),
                changing_form(
                    shown, busy=AdminUpstreams.busy, forms=AdminUpstreams.forms, on_change=AdminUpstreams.change
                ),
            ),
        ),
        title=shown.name,
        text=shown.base_url,
        is_open=AdminUpstreams.opened,
        on_open_change=AdminUpstreams.close_upstream,
    )
