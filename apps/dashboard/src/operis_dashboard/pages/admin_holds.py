"""Open holds over all organizations, the oldest first: calls that run just now, and what they hold."""

from typing import Any

import reflex as rx

from operis_client import OperisError
from operis_dashboard import theme
from operis_dashboard.addresses import address
from operis_dashboard.bookkeeping import HoldRow, write_hold
from operis_dashboard.components.display import badge, money
from operis_dashboard.components.links import page_link
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


class AdminHolds(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[HoldRow] = []
    customer_id: str = ""
    after: str = ""
    next: str = ""

    @rx.event
    async def load(self) -> None:
        asked = self.router.url.query_parameters
        self.customer_id, self.after = asked.get("organization_id", ""), asked.get("after", "")
        try:
            found = await self._ask(
                lambda api: api.list_holds(limit=25, after=self.after or None, organization_id=self.customer_id or None)
            )
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [write_hold(hold, self._writer) for hold in found.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""

    @rx.event
    def choose_organization_filter(self, organization_id: str) -> Any:
        return rx.redirect(address("/admin/holds", {"organization_id": organization_id}))

    @rx.event
    def turn_page(self, after: str) -> Any:
        kept = {"organization_id": self.customer_id, "after": after}
        return rx.redirect(address("/admin/holds", kept))


@page(route="/admin/holds", title="nav.admin_holds", role="admin", on_load=AdminHolds.load)
def admin_holds() -> rx.Component:
    return rx.fragment(
        rx.el.div(
            rx.el.p(t("holds.text"), class_name="text-sm text-muted-foreground"),
            rx.el.div(
                rx.cond(
                    AdminHolds.customer_id != "",
                    rx.el.button(
                        t("action.clear"),
                        type="button",
                        on_click=AdminHolds.choose_organization_filter(""),
                        class_name=theme.BUTTON_SMALL,
                    ),
                    rx.fragment(),
                ),
                rx.el.button(
                    rx.icon("rotate-cw", size=14),
                    t("action.refresh"),
                    type="button",
                    on_click=AdminHolds.load,
                    class_name=theme.BUTTON_SMALL,
                ),
                class_name="flex gap-2",
            ),
            class_name="flex flex-wrap items-center justify-between gap-3",
        ),
        four_states(
            loaded=AdminHolds.loaded,
            failure=AdminHolds.failure,
            count=AdminHolds.rows.length(),
            retry=AdminHolds.load,
            empty=empty_state("hourglass", t("holds.empty"), t("holds.empty_text")),
            full=_table(),
        ),
        pager(
            first=AdminHolds.after == "",
            last=AdminHolds.next == "",
            on_first=AdminHolds.turn_page(""),
            on_next=AdminHolds.turn_page(AdminHolds.next),
            names=(t("holds.oldest"), t("holds.newer")),
        ),
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("holds.age"), number=True),
            Column(t("holds.who")),
            Column(t("requests.key"), from_width="lg"),
            Column(t("requests.model"), from_width="sm"),
            Column(t("holds.delivered"), number=True, from_width="lg"),
            Column(t("holds.lease"), from_width="md"),
            Column(t("holds.amount"), number=True),
        ],
        AdminHolds.rows,
        lambda row: [
            rx.el.span(row.age.text, title=row.age.exact, class_name=theme.NUMBER),
            rx.el.div(
                rx.el.button(
                    rx.cond(row.email != "", row.email, row.organization),
                    type="button",
                    title=t("allrequests.of", name=row.organization),
                    on_click=AdminHolds.choose_organization_filter(row.organization_id),
                    class_name="block max-w-44 truncate text-left cursor-pointer hover:underline rounded-sm "
                    + theme.FOCUS,
                ),
                page_link(
                    row.organization,
                    href=f"/admin/wallets?organization_id={row.organization_id}",
                    class_name="block max-w-44 truncate text-xs text-muted-foreground hover:underline rounded-sm "
                    + theme.FOCUS,
                ),
                class_name="flex flex-col gap-0.5",
            ),
            rx.el.span(
                rx.cond(row.key != "", row.key, t("requests.playground")),
                class_name="block max-w-40 truncate text-muted-foreground",
            ),
            rx.el.span(row.model, class_name="font-medium break-all"),
            rx.el.span(row.delivered, class_name=theme.NUMBER + " text-muted-foreground"),
            rx.el.div(
                rx.el.span(row.lease.text, title=row.lease.exact, class_name=theme.NUMBER + " text-muted-foreground"),
                rx.cond(row.lapsed, badge("lapsed"), rx.fragment()),
                class_name="flex flex-wrap items-center gap-2",
            ),
            money(row.amount, theme.NUMBER + " font-medium"),
        ],
        label=t("nav.admin_holds"),
    )
