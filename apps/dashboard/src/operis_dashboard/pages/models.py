"""Models on offer, with the prices in force."""

from dataclasses import dataclass
from dataclasses import field as default
from typing import Any
from urllib.parse import quote, urlencode

import reflex as rx

from operis_client import OperisError
from operis_client.models import Model
from operis_dashboard import theme
from operis_dashboard.components.controls import search_box
from operis_dashboard.components.display import money
from operis_dashboard.components.links import page_link
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, table
from operis_dashboard.formatting import NOTHING, Shown, Writer
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


@dataclass(frozen=True)
class ModelLine:
    id: str = ""
    name: str = ""
    context: str = ""
    max_output: str = ""
    input: Shown = default(default_factory=Shown)
    cached: Shown = default(default_factory=Shown)
    output: Shown = default(default_factory=Shown)
    playground: str = ""
    multiplier: str = ""
    """What the plan pays of these prices; empty: the whole."""


class Models(Viewer):
    loaded: bool = False
    failure: str = ""
    search: str = ""
    rows: list[ModelLine] = []

    @rx.event
    async def load(self) -> None:
        self.search = self.router.url.query_parameters.get("search", "")
        try:
            found = await self._ask(lambda api: api.list_models())
        except OperisError as error:
            self.failure = self._explain(error)
            return
        wanted = self.search.casefold()
        self.rows = [
            _row(model, self._writer)
            for model in found.items
            if wanted in model.id.casefold() or wanted in model.name.casefold()
        ]
        self.loaded, self.failure = True, ""

    @rx.event
    def find(self, text: str) -> Any:
        self.search = text
        return rx.redirect(f"/models?{urlencode({'search': text})}" if text else "/models", replace=True)


def _row(model: Model, writer: Writer) -> ModelLine:
    return ModelLine(
        id=model.id,
        name=model.name,
        context=writer.count(model.context_tokens) if model.context_tokens else NOTHING,
        max_output=writer.count(model.max_output_tokens) if model.max_output_tokens else NOTHING,
        input=writer.price(model.input),
        cached=writer.price(model.cached_input),
        output=writer.price(model.output),
        multiplier="" if model.multiplier == "1" else model.multiplier,
        playground=f"/playground?model={quote(model.id, safe='')}",
    )


@page(route="/models", title="nav.models", role="user", on_load=Models.load)
def models() -> rx.Component:
    return rx.fragment(
        rx.el.div(
            rx.el.p(t("models.text"), class_name="text-sm text-muted-foreground"),
            search_box("search", t("models.search"), Models.search, Models.find),
            class_name="flex flex-col gap-4 sm:flex-row sm:items-center sm:justify-between",
        ),
        four_states(
            loaded=Models.loaded,
            failure=Models.failure,
            count=Models.rows.length(),
            retry=Models.load,
            empty=rx.cond(
                Models.search != "",
                empty_state("search-x", t("models.none_match"), t("models.none_match_text")),
                empty_state("boxes", t("models.empty"), t("models.empty_text")),
            ),
            full=table(
                [
                    Column(t("models.model")),
                    Column(t("models.context"), number=True, from_width="md"),
                    Column(t("models.max_output"), number=True, from_width="lg"),
                    Column(t("models.input"), number=True),
                    Column(t("models.cached"), number=True, from_width="md"),
                    Column(t("models.output"), number=True),
                    Column(rx.el.span(t("table.actions"), class_name="sr-only"), from_width="sm"),
                ],
                Models.rows,
                lambda row: [
                    rx.el.div(
                        page_link(
                            row.id,
                            href=row.playground,
                            class_name="font-medium hover:underline rounded-sm " + theme.FOCUS,
                        ),
                        rx.cond(
                            row.name != row.id,
                            rx.el.span(row.name, class_name="text-xs text-muted-foreground"),
                            rx.fragment(),
                        ),
                        rx.cond(
                            row.multiplier != "",
                            rx.el.span(
                                t("models.multiplier", multiplier=row.multiplier), class_name="text-xs text-accent"
                            ),
                            rx.fragment(),
                        ),
                        class_name="flex flex-col gap-0.5",
                    ),
                    rx.el.span(row.context, class_name=theme.NUMBER),
                    rx.el.span(row.max_output, class_name=theme.NUMBER),
                    money(row.input),
                    money(row.cached),
                    money(row.output),
                    rx.el.div(
                        page_link(
                            rx.icon("message-square-text", size=14),
                            t("models.try"),
                            href=row.playground,
                            class_name=theme.BUTTON_SMALL,
                        ),
                        class_name="flex justify-end",
                    ),
                ],
                label=t("nav.models"),
            ),
        ),
    )
