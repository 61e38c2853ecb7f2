"""The first page: what is there, what was spent, and how to make the first call."""

import asyncio
from datetime import timedelta
from typing import Any

import reflex as rx

from operis_client import AsyncOperis, OperisError
from operis_client.models import Model, Page, Usage, Wallet
from operis_dashboard import theme
from operis_dashboard.charts import Chart, draw_days
from operis_dashboard.components.cards import card, figure
from operis_dashboard.components.charts import bar_chart
from operis_dashboard.components.code import code_block, snippet_tabs
from operis_dashboard.components.controls import segments
from operis_dashboard.components.links import page_link
from operis_dashboard.components.states import failed
from operis_dashboard.formatting import Shown
from operis_dashboard.layout import page
from operis_dashboard.snippets import Snippets, write_snippets
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_RANGES_DAYS = ("7", "30", "90")
_KEY_PLACEHOLDER = "$OPERIS_API_KEY"


class Overview(Viewer):
    loaded: bool = False
    failure: str = ""
    days: str = "30"
    available: Shown = Shown()
    held: Shown = Shown()
    spend: Shown = Shown()
    requests: str = ""
    failed_requests: str = ""
    spend_chart: Chart = Chart()
    requests_chart: Chart = Chart()
    snippets: Snippets = Snippets()

    @rx.event
    async def load(self) -> None:
        asked = self.router.url.query_parameters.get("days", "30")
        self.days = asked if asked in _RANGES_DAYS else "30"
        days, writer = int(self.days), self._writer
        since = writer.midnight(writer.today() - timedelta(days=days - 1))
        try:
            wallet, usage, models = await self._ask(lambda api: _read(api, since, writer.zone))
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.available, self.held = writer.money(wallet.available), writer.money(wallet.held)
        self.spend = writer.money(usage.total.charge)
        self.requests = writer.count(usage.total.requests)
        self.failed_requests = writer.count(usage.total.failed_requests) if usage.total.failed_requests else ""
        self.spend_chart = draw_days(
            usage.items,
            days=days,
            writer=writer,
            value=lambda bucket: bucket.charge,
            write=lambda amount: writer.money(amount).text,
            total=self.spend.text,
        )
        self.requests_chart = draw_days(
            usage.items,
            days=days,
            writer=writer,
            value=lambda bucket: str(bucket.requests),
            write=writer.number,
            total=self.requests,
        )
        model = models.items[0].id if models.items else "operis/echo"
        self.snippets = write_snippets(self.api_url, _KEY_PLACEHOLDER, model)
        self.loaded, self.failure = True, ""

    @rx.event
    def choose_days(self, days: str) -> Any:
        return rx.redirect(f"/?days={days}" if days in _RANGES_DAYS else "/")


async def _read(api: AsyncOperis, since: Any, zone: str) -> tuple[Wallet, Usage, Page[Model]]:
    return await asyncio.gather(
        api.get_wallet(), api.get_usage(from_=since, tz=zone, group_by="day"), api.list_models()
    )


@page(route="/", title="nav.overview", role="user", on_load=Overview.load)
def overview() -> rx.Component:
    return rx.cond(Overview.failure != "", failed(Overview.failure, Overview.load), _content())


def _content() -> rx.Component:
    period = t("overview.days_note", days=Overview.days)
    return rx.fragment(
        rx.el.div(
            figure(
                t("overview.available"),
                Overview.available.text,
                exact=Overview.available.exact,
                loaded=Overview.loaded,
                note=t("overview.available_note"),
                href="/wallet",
            ),
            figure(
                t("overview.held"),
                Overview.held.text,
                exact=Overview.held.exact,
                loaded=Overview.loaded,
                note=t("overview.held_note"),
                href="/wallet",
            ),
            figure(
                t("overview.spend"),
                Overview.spend.text,
                exact=Overview.spend.exact,
                loaded=Overview.loaded,
                note=period,
                href="/requests",
            ),
            figure(
                t("overview.requests"),
                Overview.requests,
                loaded=Overview.loaded,
                note=rx.cond(
                    Overview.failed_requests != "",
                    t("overview.failed_note", failed=Overview.failed_requests),
                    period,
                ),
                href="/requests",
            ),
            class_name="grid grid-cols-2 gap-4 xl:grid-cols-4",
        ),
        rx.el.div(
            segments(
                [(days, t("overview.days", days=days)) for days in _RANGES_DAYS],
                chosen=Overview.days,
                on_choose=Overview.choose_days,
                label=t("overview.range"),
            ),
            class_name="flex justify-end -mb-2",
        ),
        rx.el.div(
            card(
                bar_chart(Overview.spend_chart, loaded=Overview.loaded, label=t("overview.spend_chart")),
                title=t("overview.spend_chart"),
            ),
            card(
                bar_chart(Overview.requests_chart, loaded=Overview.loaded, label=t("overview.requests_chart")),
                title=t("overview.requests_chart"),
            ),
            class_name="grid gap-4 lg:grid-cols-2",
        ),
        card(
            rx.el.p(t("overview.quick_start_text"), class_name="-mt-2 text-sm text-muted-foreground"),
            code_block(Overview.api_url + "/v1"),
            snippet_tabs(Overview.snippets, chosen=Overview.snippet, on_choose=Overview.choose_snippet),
            title=t("overview.quick_start"),
            action=page_link(
                rx.icon("key-round", size=14), t("overview.make_key"), href="/keys", class_name=theme.BUTTON_SMALL
            ),
        ),
    )
