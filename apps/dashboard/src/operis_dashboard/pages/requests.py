"""Requests: every call with its charge; a row opens how the charge came about. Filters live in the URL."""

import asyncio
from typing import Any

import reflex as rx

from operis_client import AsyncOperis, OperisError
from operis_client.models import ApiKey, Model, Page, Request
from operis_dashboard import theme
from operis_dashboard.addresses import address
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert
from operis_dashboard.components.display import badge, moment, money
from operis_dashboard.components.explanation import explanation
from operis_dashboard.components.links import file_link, page_link
from operis_dashboard.components.states import empty_state, four_states, skeleton
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.downloads import DOWNLOADS
from operis_dashboard.explaining import Explanation, RequestRow, explain, write_request
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_FILTERS = ("model", "key_id", "outcome")
_OUTCOMES = ("completed", "failed", "disconnected", "interrupted")


class Requests(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[RequestRow] = []
    models: list[str] = []
    keys: list[dict[str, str]] = []
    model: str = ""
    key_id: str = ""
    outcome: str = ""
    file: str = ""
    """Where the list is found as a file."""
    after: str = ""
    next: str = ""

    opened: str = ""
    explained: bool = False
    explain_failure: str = ""
    explanation: Explanation = Explanation()

    @rx.event
    async def load(self) -> Any:
        asked = self.router.url.query_parameters
        self.model, self.key_id = asked.get("model", ""), asked.get("key_id", "")
        self.outcome, self.after = asked.get("outcome", ""), asked.get("after", "")
        self.file = address(f"{DOWNLOADS}requests.csv", {kept: getattr(self, kept) for kept in _FILTERS})
        try:
            found, models, keys = await self._ask(self._read)
        except OperisError as error:
            self.failure = self._explain(error)
            return None
        self.rows = [write_request(request, self._writer) for request in found.items]
        self.models = sorted({*(model.id for model in models.items), *filter(None, [self.model])})
        self.keys = [{"id": key.id, "name": key.name} for key in keys.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""
        request_id = asked.get("open", "")
        self.opened = self.opened if request_id else ""
        return Requests.open_request(request_id) if request_id and request_id != self.opened else None

    @rx.event
    def choose_filter(self, name: str, value: str) -> Any:
        """Show the first page of what the changed filters let through."""
        chosen = {kept: getattr(self, kept) for kept in _FILTERS} | ({name: value} if name in _FILTERS else {})
        return _address(chosen)

    @rx.event
    def clear_filters(self) -> Any:
        return rx.redirect("/requests")

    @rx.event
    def turn_page(self, after: str) -> Any:
        return _address({kept: getattr(self, kept) for kept in _FILTERS} | {"after": after})

    @rx.event
    async def open_request(self, request_id: str) -> None:
        self.opened, self.explained, self.explain_failure = request_id, False, ""
        try:
            found = await self._ask(lambda api: api.explain_request(request_id))
        except OperisError as error:
            self.explain_failure = self._explain(error)
            return
        self.explanation, self.explained = explain(found, self._writer), True

    @rx.event
    def close_request(self, _opened: bool = False) -> Any:
        self.opened = ""
        if self.router.url.query_parameters.get("open"):
            return _address({kept: getattr(self, kept) for kept in (*_FILTERS, "after")})
        return None

    async def _read(self, api: AsyncOperis) -> tuple[Page[Request], Page[Model], Page[ApiKey]]:
        return await asyncio.gather(
            api.list_requests(
                limit=25,
                after=self.after or None,
                model=self.model or None,
                key_id=self.key_id or None,
                outcome=self.outcome or None,
            ),
            api.list_models(),
            api.list_keys(limit=200),
        )


def _address(parameters: dict[str, str]) -> Any:
    return rx.redirect(address("/requests", parameters))


@page(route="/requests", title="nav.requests", role="user", on_load=Requests.load)
def requests() -> rx.Component:
    filtered = (Requests.model != "") | (Requests.key_id != "") | (Requests.outcome != "") | (Requests.after != "")
    return rx.fragment(
        _filters(),
        four_states(
            loaded=Requests.loaded,
            failure=Requests.failure,
            count=Requests.rows.length(),
            retry=Requests.load,
            empty=rx.cond(
                filtered,
                empty_state(
                    "list-filter",
                    t("requests.none_match"),
                    t("requests.none_match_text"),
                    rx.el.button(
                        t("action.clear"), type="button", on_click=Requests.clear_filters, class_name=theme.BUTTON_SMALL
                    ),
                ),
                empty_state(
                    "list",
                    t("requests.empty"),
                    t("requests.empty_text"),
                    page_link(t("requests.try"), href="/playground", class_name=theme.BUTTON_SMALL),
                ),
            ),
            full=rx.el.div(
                _table(),
                pager(
                    first=Requests.after == "",
                    last=Requests.next == "",
                    on_first=Requests.turn_page(""),
                    on_next=Requests.turn_page(Requests.next),
                ),
                class_name="flex flex-col gap-4",
            ),
        ),
        dialogs.sheet(
            alert(Requests.explain_failure),
            rx.cond(
                Requests.explained,
                explanation(Requests.explanation),
                rx.cond(Requests.explain_failure == "", skeleton("h-64 w-full"), rx.fragment()),
            ),
            title=t("explain.title"),
            text=t("explain.text"),
            is_open=Requests.opened != "",
            on_open_change=Requests.close_request,
        ),
    )


def _filters() -> rx.Component:
    return rx.el.div(
        _filter(
            "model",
            t("requests.filter_model"),
            t("requests.all_models"),
            Requests.model,
            rx.foreach(Requests.models, lambda model: rx.el.option(model, value=model)),
        ),
        _filter(
            "key_id",
            t("requests.filter_key"),
            t("requests.all_keys"),
            Requests.key_id,
            rx.foreach(Requests.keys, lambda key: rx.el.option(key["name"], value=key["id"])),
        ),
        _filter(
            "outcome",
            t("requests.filter_outcome"),
            t("requests.all_outcomes"),
            Requests.outcome,
            *(rx.el.option(t(f"status.{outcome}"), value=outcome) for outcome in _OUTCOMES),
        ),
        rx.el.div(
            file_link(
                rx.icon("download", size=14),
                t("action.csv"),
                href=Requests.file,
                class_name=theme.BUTTON_SMALL,
                title=t("action.csv_newest"),
            ),
            class_name="flex items-center lg:justify-end",
        ),
        class_name="grid grid-cols-1 gap-3 sm:grid-cols-2 lg:grid-cols-[14rem_14rem_14rem_1fr]",
    )


def _filter(name: str, label: Any, everything: Any, value: rx.Var[str], *options: rx.Component) -> rx.Component:
    return rx.el.select(
        rx.el.option(everything, value=""),
        *options,
        value=value,
        on_change=lambda chosen: Requests.choose_filter(name, chosen),
        aria_label=label,
        class_name=theme.SELECT,
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("requests.time")),
            Column(t("requests.model")),
            Column(t("requests.key"), from_width="lg"),
            Column(t("requests.tokens"), number=True, from_width="md"),
            Column(t("requests.latency"), number=True, from_width="lg"),
            Column(t("requests.outcome"), from_width="sm"),
            Column(t("requests.charge"), number=True),
        ],
        Requests.rows,
        lambda row: [
            rx.el.button(
                moment(row.at),
                type="button",
                on_click=Requests.open_request(row.id).stop_propagation,
                class_name="cursor-pointer rounded-sm underline decoration-border underline-offset-4 "
                "hover:decoration-foreground " + theme.FOCUS,
            ),
            rx.el.span(row.model, class_name="font-medium break-all"),
            rx.el.span(
                rx.cond(row.key != "", row.key, t("requests.playground")),
                class_name="block max-w-40 truncate text-muted-foreground",
            ),
            rx.el.span(row.tokens_in, " / ", row.tokens_out, class_name=theme.NUMBER + " text-muted-foreground"),
            rx.el.span(row.latency, class_name=theme.NUMBER + " text-muted-foreground"),
            rx.el.div(
                badge(row.outcome),
                rx.cond(row.estimated, badge("estimated"), rx.fragment()),
                class_name="flex gap-1",
            ),
            money(row.charge, theme.NUMBER + " font-medium"),
        ],
        label=t("nav.requests"),
        on_open=lambda row: Requests.open_request(row.id),
    )
