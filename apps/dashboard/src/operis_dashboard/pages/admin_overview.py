"""The platform's figures, each leading to the rows it was made of."""

from typing import Any

import reflex as rx

from operis_client import OperisError
from operis_dashboard.charts import Chart, draw_days
from operis_dashboard.components.cards import card, figure
from operis_dashboard.components.charts import bar_chart
from operis_dashboard.components.controls import segments
from operis_dashboard.components.states import failed
from operis_dashboard.formatting import Shown
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_RANGES_DAYS = ("7", "30", "90")


class AdminOverview(Viewer):
    loaded: bool = False
    failure: str = ""
    days: str = "30"
    revenue: Shown = Shown()
    cost: Shown = Shown()
    margin: Shown = Shown()
    loss: Shown = Shown()
    liabilities: Shown = Shown()
    held: Shown = Shown()
    open_holds: str = ""
    requests: str = ""
    failed_requests: str = ""
    estimated: str = ""
    sign_ups: str = ""
    users: str = ""
    revenue_chart: Chart = Chart()
    requests_chart: Chart = Chart()

    @rx.event
    async def load(self) -> None:
        asked = self.router.url.query_parameters.get("days", "30")
        self.days = asked if asked in _RANGES_DAYS else "30"
        days, writer = int(self.days), self._writer
        try:
            found = await self._ask(lambda api: api.get_overview(days=days))
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.revenue, self.cost = writer.money(found.revenue), writer.money(found.upstream_cost)
        self.margin, self.loss = writer.money(found.margin), writer.money(found.platform_loss)
        self.liabilities, self.held = writer.money(found.liabilities), writer.money(found.held)
        self.open_holds, self.requests = writer.count(found.open_holds), writer.count(found.requests)
        self.failed_requests, self.estimated = (
            writer.count(found.failed_requests),
            writer.count(found.estimated_requests),
        )
        self.sign_ups, self.users = writer.count(found.sign_ups), writer.count(found.users)
        self.revenue_chart = draw_days(
            found.by_day,
            days=days,
            writer=writer,
            value=lambda bucket: bucket.charge,
            write=lambda amount: writer.money(amount).text,
            total=self.revenue.text,
        )
        self.requests_chart = draw_days(
            found.by_day,
            days=days,
            writer=writer,
            value=lambda bucket: str(bucket.requests),
            write=writer.number,
            total=self.requests,
        )
        self.loaded, self.failure = True, ""

    @rx.event
    def choose_days(self, days: str) -> Any:
        return rx.redirect(f"/admin?days={days}" if days in _RANGES_DAYS else "/admin")


@page(route="/admin", title="nav.admin_overview", role="admin", on_load=AdminOverview.load)
def admin_overview() -> rx.Component:
    return rx.cond(AdminOverview.failure != "", failed(AdminOverview.failure, AdminOverview.load), _content())


def _content() -> rx.Component:
    period = t("overview.days_note", days=AdminOverview.days)
    return rx.fragment(
        rx.el.div(
            segments(
                [(days, t("overview.days", days=days)) for days in _RANGES_DAYS],
                chosen=AdminOverview.days,
                on_choose=AdminOverview.choose_days,
                label=t("overview.range"),
            ),
            class_name="flex justify-end -mb-2",
        ),
        rx.el.div(
            _money("admin.revenue", AdminOverview.revenue, period, "/admin/requests"),
            _money("admin.cost", AdminOverview.cost, period, "/admin/requests"),
            _money("admin.margin", AdminOverview.margin, period, "/admin/requests"),
            _money("admin.loss", AdminOverview.loss, period, "/admin/requests"),
            _money("admin.liabilities", AdminOverview.liabilities, t("admin.liabilities_note"), "/admin/users"),
            _count(
                "admin.holds",
                AdminOverview.open_holds,
                t("admin.holds_note", held=AdminOverview.held.text),
                "/admin/holds",
            ),
            _count("admin.requests", AdminOverview.requests, period, "/admin/requests"),
            _count("admin.failed", AdminOverview.failed_requests, period, "/admin/requests?outcome=failed"),
            _count("admin.estimated", AdminOverview.estimated, period, "/admin/requests"),
            _count(
                "admin.sign_ups",
                AdminOverview.sign_ups,
                t("admin.users_note", users=AdminOverview.users),
                "/admin/users",
            ),
            class_name="grid grid-cols-2 gap-4 md:grid-cols-3 xl:grid-cols-5",
        ),
        rx.el.div(
            card(
                bar_chart(AdminOverview.revenue_chart, loaded=AdminOverview.loaded, label=t("admin.revenue_chart")),
                title=t("admin.revenue_chart"),
            ),
            card(
                bar_chart(
                    AdminOverview.requests_chart, loaded=AdminOverview.loaded, label=t("overview.requests_chart")
                ),
                title=t("overview.requests_chart"),
            ),
            class_name="grid gap-4 lg:grid-cols-2",
        ),
    )


def _money(name: str, shown: rx.Var[Shown], note: Any, href: str) -> rx.Component:
    return figure(t(name), shown.text, exact=shown.exact, loaded=AdminOverview.loaded, note=note, href=href)


def _count(name: str, value: rx.Var[str], note: Any, href: str) -> rx.Component:
    return figure(t(name), value, loaded=AdminOverview.loaded, note=note, href=href)
