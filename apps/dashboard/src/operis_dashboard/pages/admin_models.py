"""Models and prices: put a model on offer, price it anew, see the margin beside the cost."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

import reflex as rx
from msgspec import UNSET, UnsetType

from operis_client import OperisError
from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.components.display import badge, moment, money
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, actions, table
from operis_dashboard.forms import read_amount, read_field
from operis_dashboard.layout import page
from operis_dashboard.offering import (
    METERS,
    RATES,
    OfferRow,
    PriceRow,
    read_tiers,
    write_draft,
    write_offer,
    write_price,
)
from operis_dashboard.rights import permitted
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


class AdminModels(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[OfferRow] = []
    upstreams: list[dict[str, str]] = []
    adding: bool = False
    busy: bool = False
    add_failure: str = ""

    pricing: str = ""
    """Id of the model whose prices are open."""
    prices: list[PriceRow] = []
    price_failure: str = ""
    current: dict[str, str] = {}

    disabling: str = ""
    disable_failure: str = ""

    @rx.event
    async def load(self) -> None:
        await self._read()

    @rx.event
    def open_form(self, opened: bool = True) -> None:
        self.adding, self.add_failure = opened, ""

    @rx.event
    async def add(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.adding:
            return
        self.busy, self.add_failure = True, ""
        yield
        model_id = read_field(form, "model_id").strip()
        try:
            await self._ask(
                lambda api: api.create_model(
                    id=model_id,
                    upstream_id=read_field(form, "upstream_id"),
                    upstream_model=read_field(form, "upstream_model").strip() or model_id,
                    context_tokens=_tokens(form, "context_tokens"),
                    max_output_tokens=_tokens(form, "max_output_tokens"),
                )
            )
        except OperisError as error:
            self.add_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.adding = False
        yield rx.toast.success(self._say("offers.added", model=model_id))
        await self._read()
        await self._read_prices(model_id)

    @rx.event
    async def open_prices(self, model_id: str) -> None:
        await self._read_prices(model_id)

    @rx.event
    def close_prices(self, _opened: bool = False) -> None:
        self.pricing = ""

    @rx.event
    async def set_price(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        model_id = self.pricing
        if not model_id:
            return
        tiers = read_tiers(read_field(form, "tiers"))
        begin = read_field(form, "effective_from").strip()
        if tiers is None:
            self.price_failure = self._say("offers.tiers_hint")
            return
        try:
            effective_from = datetime.fromisoformat(begin) if begin else UNSET
        except ValueError:
            self.price_failure = self._say("offers.effective_hint")
            return
        self.busy, self.price_failure = True, ""
        yield
        rates = {name: read_amount(form, name) for name in RATES if name not in {"input", "output"}}
        try:
            await self._ask(
                lambda api: api.create_price(
                    model_id=model_id,
                    input=read_amount(form, "input"),
                    output=read_amount(form, "output"),
                    tiers=tiers,
                    effective_from=effective_from,
                    **{name: rate for name, rate in rates.items() if rate},  # pyright: ignore[reportArgumentType]  # texts by their names
                )
            )
        except OperisError as error:
            self.price_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.pricing = ""
        yield rx.toast.success(self._say("offers.priced", model=model_id))
        await self._read()

    @rx.event
    async def enable(self, model_id: str) -> Any:
        try:
            await self._ask(lambda api: api.update_model(model_id, enabled=True))
        except OperisError as error:
            return rx.toast.error(self._explain(error))
        await self._read()
        return rx.toast.success(self._say("offers.enabled", model=model_id))

    @rx.event
    def ask_disable(self, model_id: str) -> None:
        self.disabling, self.disable_failure = model_id, ""

    @rx.event
    def keep(self, _opened: bool = False) -> None:
        self.disabling = ""

    @rx.event
    async def disable(self) -> Any:
        model_id = self.disabling
        if not model_id:
            return None
        try:
            await self._ask(lambda api: api.update_model(model_id, enabled=False))
        except OperisError as error:
            self.disable_failure = self._explain(error)
            return None
        self.disabling = ""
        await self._read()
        return rx.toast.success(self._say("offers.disabled", model=model_id))

    async def _read(self) -> None:
        try:
            models = await self._ask(lambda api: api.list_model_rows())
            upstreams = await self._ask(lambda api: api.list_upstreams())
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [write_offer(model, self._writer) for model in models.items]
        self.upstreams = [{"id": upstream.id, "name": upstream.name} for upstream in upstreams.items]
        self.loaded, self.failure = True, ""

    async def _read_prices(self, model_id: str) -> None:
        self.price_failure = ""
        try:
            found = await self._ask(lambda api: api.list_prices(model_id=model_id, limit=20))
        except OperisError as error:
            self.price_failure, found = self._explain(error), None
        self.prices = [write_price(price, self._writer) for price in found.items] if found else []
        self.current = write_draft(found.items[0]) if found and found.items else {}
        self.pricing = model_id


def _tokens(form: dict[str, Any], name: str) -> int | UnsetType:
    text = read_field(form, name).strip()
    return int(text) if text.isascii() and text.isdigit() else UNSET


@page(route="/admin/models", title="nav.admin_models", role="admin", on_load=AdminModels.load)
def admin_models() -> rx.Component:
    add = rx.el.button(
        rx.icon("plus", size=16),
        t("offers.add"),
        type="button",
        on_click=AdminModels.open_form(True),
        class_name=theme.BUTTON + " shrink-0",
    )
    return rx.fragment(
        rx.el.div(
            rx.el.p(t("offers.text"), class_name="max-w-2xl text-sm text-muted-foreground"),
            permitted("admin.models.edit", add),
            class_name="flex flex-col gap-4 sm:flex-row sm:items-center sm:justify-between",
        ),
        four_states(
            loaded=AdminModels.loaded,
            failure=AdminModels.failure,
            count=AdminModels.rows.length(),
            retry=AdminModels.load,
            empty=empty_state("tags", t("offers.empty"), t("offers.empty_text")),
            full=_table(),
        ),
        _add_dialog(),
        _price_sheet(),
        dialogs.confirm(
            title=t("offers.disable_title", model=AdminModels.disabling),
            text=t("offers.disable_text"),
            action=t("offers.disable"),
            is_open=AdminModels.disabling != "",
            on_open_change=AdminModels.keep,
            on_confirm=AdminModels.disable,
            busy=AdminModels.busy,
            failure=alert(AdminModels.disable_failure),
        ),
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("offers.model")),
            Column(t("upstreams.status"), from_width="sm"),
            Column(t("offers.input"), number=True, from_width="md"),
            Column(t("offers.output"), number=True, from_width="md"),
            Column(t("offers.cost_title"), number=True, from_width="lg"),
            Column(t("offers.margin"), number=True, from_width="lg"),
            Column(rx.el.span(t("table.actions"), class_name="sr-only")),
        ],
        AdminModels.rows,
        lambda row: [
            rx.el.div(
                rx.el.span(row.id, class_name="font-medium break-all"),
                rx.el.span(
                    row.upstreams,
                    title=row.upstreams,
                    class_name="max-w-44 truncate text-xs text-muted-foreground sm:max-w-64",
                ),
                class_name="flex min-w-0 flex-col gap-0.5",
            ),
            badge(row.status),
            money(row.input),
            money(row.output),
            rx.el.span(row.cost, class_name=theme.NUMBER + " text-muted-foreground"),
            rx.el.span(row.margin, class_name=theme.NUMBER + " text-muted-foreground"),
            actions(
                rx.el.button(
                    t("offers.price"),
                    type="button",
                    on_click=AdminModels.open_prices(row.id),
                    class_name=theme.BUTTON_SMALL,
                ),
                rx.cond(
                    row.enabled,
                    rx.el.button(
                        t("offers.disable"),
                        type="button",
                        on_click=AdminModels.ask_disable(row.id),
                        class_name=theme.BUTTON_SMALL_DANGER,
                    ),
                    rx.el.button(
                        t("offers.enable"),
                        type="button",
                        on_click=AdminModels.enable(row.id),
                        class_name=theme.BUTTON_SMALL,
                    ),
                ),
            ),
        ],
        label=t("nav.admin_models"),
    )


def _add_dialog() -> rx.Component:
    return dialogs.dialog(
        rx.cond(
            AdminModels.upstreams.length() == 0,
            rx.el.p(t("offers.need_upstream"), class_name="text-sm text-muted-foreground"),
            rx.el.form(
                alert(AdminModels.add_failure),
                field(
                    t("offers.upstream"),
                    rx.el.select(
                        rx.foreach(
                            AdminModels.upstreams,
                            lambda upstream: rx.el.option(upstream["name"], value=upstream["id"]),
                        ),
                        id="upstream_id",
                        name="upstream_id",
                        class_name=theme.SELECT,
                    ),
                    name="upstream_id",
                ),
                field(
                    t("offers.id"),
                    text_input(
                        "model_id", required=True, max_length=200, auto_complete="off", placeholder="openai/gpt-5-mini"
                    ),
                    name="model_id",
                    hint=t("offers.id_hint"),
                ),
                field(
                    t("offers.upstream_model"),
                    text_input(
                        "upstream_model", required=True, max_length=200, auto_complete="off", placeholder="gpt-5-mini"
                    ),
                    name="upstream_model",
                ),
                rx.el.div(
                    field(
                        t("offers.context"),
                        text_input("context_tokens", input_mode="numeric", placeholder=t("offers.optional")),
                        name="context_tokens",
                    ),
                    field(
                        t("offers.max_output"),
                        text_input("max_output_tokens", input_mode="numeric", placeholder=t("offers.optional")),
                        name="max_output_tokens",
                    ),
                    class_name="grid grid-cols-2 gap-3",
                ),
                dialogs.buttons(dialogs.cancel(), submit(t("offers.add"), busy=AdminModels.busy)),
                on_submit=AdminModels.add,
                class_name="flex flex-col gap-4",
            ),
        ),
        title=t("offers.add"),
        text=t("offers.add_text"),
        is_open=AdminModels.adding,
        on_open_change=AdminModels.open_form,
    )


def _price_sheet() -> rx.Component:
    def amount(name: str, label: str | rx.Var[str], *, required: bool = False) -> rx.Component:
        return field(
            label,
            text_input(
                name,
                input_mode="decimal",
                required=required,
                auto_complete="off",
                default_value=AdminModels.current[name],
                key=AdminModels.pricing + name,
                placeholder="" if required else t("offers.optional"),
            ),
            name=name,
        )

    return dialogs.sheet(
        alert(AdminModels.price_failure),
        rx.el.form(
            rx.el.div(
                amount("input", t("offers.input"), required=True),
                amount("output", t("offers.output"), required=True),
                amount("cost_input", t("offers.cost_input")),
                amount("cost_output", t("offers.cost_output")),
                amount("cached_input", t("offers.cached")),
                amount("cost_cached_input", t("offers.cost_of", meter=t("meter.cached_input"))),
                class_name="grid grid-cols-2 gap-3",
            ),
            rx.el.details(
                rx.el.summary(t("offers.more"), class_name="cursor-pointer text-sm font-medium " + theme.FOCUS),
                rx.el.div(
                    *(
                        part
                        for meter in METERS[3:]
                        for part in (
                            amount(meter, t(f"meter.{meter}")),
                            amount(f"cost_{meter}", t("offers.cost_of", meter=t(f"meter.{meter}"))),
                        )
                    ),
                    class_name="grid grid-cols-2 gap-3 pt-3",
                ),
                rx.el.div(
                    field(
                        t("offers.tiers"),
                        rx.el.textarea(
                            id="tiers",
                            name="tiers",
                            rows="2",
                            default_value=AdminModels.current["tiers"],
                            key=AdminModels.pricing + "tiers",
                            class_name=theme.TEXTAREA + " font-mono text-xs",
                        ),
                        name="tiers",
                        hint=t("offers.tiers_hint"),
                    ),
                    field(
                        t("offers.effective_from"),
                        text_input("effective_from", auto_complete="off", placeholder=t("offers.optional")),
                        name="effective_from",
                        hint=t("offers.effective_hint"),
                    ),
                    class_name="flex flex-col gap-3 pt-3",
                ),
            ),
            dialogs.buttons(submit(t("offers.set_price"), busy=AdminModels.busy)),
            on_submit=AdminModels.set_price,
            class_name="flex flex-col gap-4",
        ),
        rx.cond(AdminModels.prices.length() > 0, _history(), rx.fragment()),
        title=t("offers.price_title", model=AdminModels.pricing),
        text=t("offers.price_text"),
        is_open=AdminModels.pricing != "",
        on_open_change=AdminModels.close_prices,
    )


def _history() -> rx.Component:
    return rx.el.section(
        rx.el.h3(t("offers.history"), class_name="text-sm font-medium"),
        table(
            [
                Column(t("offers.since")),
                Column(t("offers.input"), number=True),
                Column(t("offers.output"), number=True),
                Column(t("offers.cost_input"), number=True, from_width="sm"),
                Column(t("offers.cost_output"), number=True, from_width="sm"),
                Column(t("offers.tier_list"), from_width="sm"),
            ],
            AdminModels.prices,
            lambda row: [
                moment(row.since),
                money(row.input),
                money(row.output),
                money(row.cost_input),
                money(row.cost_output),
                rx.el.span(row.tiers, class_name="text-xs text-muted-foreground"),
            ],
            label=t("offers.history"),
        ),
        class_name="flex flex-col gap-2",
    )
