"""Postings over all organizations, newest first; a row opens its entries. Filters live in the URL."""

from typing import Any

import reflex as rx

from operis_client import OperisError
from operis_dashboard import theme
from operis_dashboard.addresses import address
from operis_dashboard.bookkeeping import PostingRow, write_posting
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import facts
from operis_dashboard.components.display import moment, money
from operis_dashboard.components.explanation import ledger_table
from operis_dashboard.components.filters import choice_filter, day_filter
from operis_dashboard.components.links import page_link
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.components.words import ENTRY_KINDS, entry_kind
from operis_dashboard.formatting import NOTHING
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_FILTERS = ("kind", "since", "until", "organization_id")


class AdminLedger(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[PostingRow] = []
    kind: str = ""
    since: str = ""
    until: str = ""
    customer_id: str = ""
    after: str = ""
    next: str = ""

    opened: bool = False
    shown: PostingRow = PostingRow()

    @rx.event
    async def load(self) -> None:
        asked = self.router.url.query_parameters
        self.kind, self.customer_id = asked.get("kind", ""), asked.get("organization_id", "")
        self.since, self.until = asked.get("since", ""), asked.get("until", "")
        self.after, self.opened = asked.get("after", ""), False
        writer = self._writer
        try:
            found = await self._ask(
                lambda api: api.list_ledger_postings(
                    limit=25,
                    after=self.after or None,
                    organization_id=self.customer_id or None,
                    kind=self.kind or None,
                    from_=writer.begin_of(self.since),
                    to=writer.begin_of(self.until, after=True),
                )
            )
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [write_posting(posting, writer) for posting in found.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""

    @rx.event
    def choose_filter(self, name: str, value: str) -> Any:
        chosen = self._narrowed() | ({name: value} if name in _FILTERS else {})
        return rx.redirect(address("/admin/ledger", chosen))

    @rx.event
    def clear_filters(self) -> Any:
        return rx.redirect("/admin/ledger")

    @rx.event
    def turn_page(self, after: str) -> Any:
        return rx.redirect(address("/admin/ledger", self._narrowed() | {"after": after}))

    @rx.event
    def open_posting(self, posting_id: str) -> None:
        self.shown = next((row for row in self.rows if row.id == posting_id), PostingRow())
        self.opened = self.shown.id != ""

    @rx.event
    def close_posting(self, _opened: bool = False) -> None:
        self.opened = False

    def _narrowed(self) -> dict[str, str]:
        return {"kind": self.kind, "since": self.since, "until": self.until, "organization_id": self.customer_id}


@page(route="/admin/ledger", title="nav.admin_ledger", role="admin", on_load=AdminLedger.load)
def admin_ledger() -> rx.Component:
    filtered = (
        (AdminLedger.kind != "")
        | (AdminLedger.since != "")
        | (AdminLedger.until != "")
        | (AdminLedger.customer_id != "")
    )
    clear = rx.el.button(
        t("action.clear"), type="button", on_click=AdminLedger.clear_filters, class_name=theme.BUTTON_SMALL
    )
    return rx.fragment(
        rx.el.div(
            choice_filter(
                t("wallet.what"),
                t("wallet.all_kinds"),
                AdminLedger.kind,
                *(rx.el.option(t(f"entry.{kind}"), value=kind) for kind in ENTRY_KINDS),
                on_change=lambda chosen: AdminLedger.choose_filter("kind", chosen),
            ),
            day_filter(
                t("filter.since"), AdminLedger.since, on_change=lambda day: AdminLedger.choose_filter("since", day)
            ),
            day_filter(
                t("filter.until"), AdminLedger.until, on_change=lambda day: AdminLedger.choose_filter("until", day)
            ),
            rx.cond(filtered, rx.el.div(clear, class_name="flex items-center"), rx.fragment()),
            class_name="grid grid-cols-1 gap-3 sm:grid-cols-2 lg:grid-cols-[14rem_14rem_14rem_1fr]",
        ),
        four_states(
            loaded=AdminLedger.loaded,
            failure=AdminLedger.failure,
            count=AdminLedger.rows.length(),
            retry=AdminLedger.load,
            empty=rx.cond(
                filtered,
                empty_state("list-filter", t("wallet.none_match"), t("wallet.none_match_text")),
                empty_state("book-open", t("wallet.empty"), t("ledger.empty_text")),
            ),
            full=_table(),
        ),
        pager(
            first=AdminLedger.after == "",
            last=AdminLedger.next == "",
            on_first=AdminLedger.turn_page(""),
            on_next=AdminLedger.turn_page(AdminLedger.next),
        ),
        _sheet(),
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("wallet.time")),
            Column(t("wallet.what")),
            Column(t("users.organization"), from_width="md"),
            Column(t("users.reason"), from_width="lg"),
            Column(t("ledger.wallet"), number=True),
        ],
        AdminLedger.rows,
        lambda row: [
            rx.el.button(
                moment(row.at),
                type="button",
                on_click=AdminLedger.open_posting(row.id).stop_propagation,
                class_name="cursor-pointer rounded-sm underline decoration-border underline-offset-4 "
                "hover:decoration-foreground " + theme.FOCUS,
            ),
            rx.el.span(entry_kind(row.kind), class_name="font-medium"),
            rx.el.button(
                row.organization,
                type="button",
                title=t("allrequests.of", name=row.organization),
                on_click=AdminLedger.choose_filter("organization_id", row.organization_id).stop_propagation,
                class_name="block max-w-44 truncate text-left cursor-pointer hover:underline rounded-sm " + theme.FOCUS,
            ),
            rx.el.span(row.reason, class_name="block max-w-80 truncate text-muted-foreground"),
            money(
                row.amount,
                rx.cond(row.gain, "tabular-nums whitespace-nowrap text-success", "tabular-nums whitespace-nowrap"),
            ),
        ],
        label=t("nav.admin_ledger"),
        on_open=lambda row: AdminLedger.open_posting(row.id),
    )


def _sheet() -> rx.Component:
    shown = AdminLedger.shown
    return dialogs.sheet(
        ledger_table(shown.lines),
        facts(
            (t("wallet.time"), rx.el.span(shown.at.text, title=shown.at.exact)),
            (t("users.organization"), shown.organization),
            (t("users.reason"), rx.cond(shown.reason != "", shown.reason, NOTHING)),
            (t("ledger.actor"), rx.cond(shown.actor_id != "", _code(shown.actor_id), t("ledger.nobody"))),
            (t("ledger.posting"), _code(shown.id)),
        ),
        rx.el.div(
            rx.cond(
                shown.explained != "",
                page_link(t("ledger.explain"), href=shown.explained, class_name=theme.BUTTON_SMALL),
                rx.fragment(),
            ),
            rx.cond(
                shown.refundable != "",
                page_link(t("ledger.refund"), href=shown.refundable, class_name=theme.BUTTON_SMALL),
                rx.fragment(),
            ),
            page_link(
                t("ledger.open_wallet"),
                href=f"/admin/wallets?organization_id={shown.organization_id}",
                class_name=theme.BUTTON_SMALL,
            ),
            class_name="flex flex-wrap gap-2",
        ),
        title=entry_kind(shown.kind),
        text=t("ledger.entries_text"),
        is_open=AdminLedger.opened,
        on_open_change=AdminLedger.close_posting,
    )


def _code(text: rx.Var[str]) -> rx.Component:
    return rx.el.span(text, class_name="font-mono text-xs break-all")
