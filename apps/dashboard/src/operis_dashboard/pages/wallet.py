"""The wallet: what is there, where it came from, and every line that changed it. Filters live in the URL."""

import asyncio
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any

import reflex as rx

from operis_client import AsyncOperis, OperisError
from operis_client.models import Page, Wallet, WalletEntry
from operis_dashboard import theme
from operis_dashboard.addresses import address
from operis_dashboard.components.cards import figure
from operis_dashboard.components.display import moment, money
from operis_dashboard.components.filters import choice_filter, day_filter
from operis_dashboard.components.grants import free_window, grants_table
from operis_dashboard.components.links import file_link, page_link
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.components.words import ENTRY_KINDS, entry_kind
from operis_dashboard.downloads import DOWNLOADS
from operis_dashboard.formatting import Shown, Writer, exact
from operis_dashboard.granting import FreeWindowShown, GrantRow, write_free_window, write_grant
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_FILTERS = ("kind", "since", "until")


@dataclass(frozen=True)
class EntryRow:
    sequence: str = ""
    kind: str = ""
    reason: str = ""
    model: str = ""
    request_id: str = ""
    at: Shown = default(default_factory=Shown)
    amount: Shown = default(default_factory=Shown)
    gain: bool = False
    balance: Shown = default(default_factory=Shown)


class WalletPage(Viewer):
    loaded: bool = False
    failure: str = ""
    available: Shown = Shown()
    held: Shown = Shown()
    window: FreeWindowShown = FreeWindowShown()
    grants: list[GrantRow] = []
    entries: list[EntryRow] = []
    kind: str = ""
    since: str = ""
    until: str = ""
    """Days of the reader's calendar; the last one is included."""
    statement: str = ""
    """Where the lines are found as a file."""
    next: str = ""
    after: str = ""

    @rx.event
    async def load(self) -> None:
        asked = self.router.url.query_parameters
        self.kind, self.after = asked.get("kind", ""), asked.get("after", "")
        self.since, self.until = asked.get("since", ""), asked.get("until", "")
        writer = self._writer
        begin, end = writer.begin_of(self.since), writer.begin_of(self.until, after=True)
        self.statement = address(
            f"{DOWNLOADS}statement.csv",
            {"kind": self.kind, "from": begin.isoformat() if begin else "", "to": end.isoformat() if end else ""},
        )

        async def read(api: AsyncOperis) -> tuple[Wallet, Page[WalletEntry]]:
            return await asyncio.gather(
                api.get_wallet(),
                api.list_wallet_entries(
                    limit=25, after=self.after or None, kind=self.kind or None, from_=begin, to=end
                ),
            )

        try:
            wallet, entries = await self._ask(read)
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.available, self.held = writer.money(wallet.available), writer.money(wallet.held)
        self.window = write_free_window(wallet.free_window, writer)
        self.grants = [write_grant(grant, writer) for grant in wallet.grants]
        self.entries = [_entry_row(entry, writer) for entry in entries.items]
        self.next = entries.next or ""
        self.loaded, self.failure = True, ""

    @rx.event
    def choose_filter(self, name: str, value: str) -> Any:
        """Show the first page of what the changed filters let through."""
        chosen = {kept: getattr(self, kept) for kept in _FILTERS} | ({name: value} if name in _FILTERS else {})
        return rx.redirect(address("/wallet", chosen))

    @rx.event
    def clear_filters(self) -> Any:
        return rx.redirect("/wallet")

    @rx.event
    def turn_page(self, after: str) -> Any:
        kept = {kept: getattr(self, kept) for kept in _FILTERS}
        return rx.redirect(address("/wallet", kept | {"after": after}))


def _entry_row(entry: WalletEntry, writer: Writer) -> EntryRow:
    return EntryRow(
        sequence=writer.count(entry.sequence),
        kind=entry.kind,
        reason=entry.reason if entry.kind != "welcome" else "",  # which says no more than its kind
        model=entry.model or "",
        request_id=entry.request_id or "",
        at=writer.moment(entry.created_at),
        amount=writer.money(entry.amount, signed=True),
        gain=not entry.amount.startswith("-"),
        balance=Shown(writer.number(entry.balance_after), exact(entry.balance_after)),  # small charges are seen in it
    )


@page(route="/wallet", title="nav.wallet", role="user", on_load=WalletPage.load)
def wallet() -> rx.Component:
    return rx.fragment(
        rx.el.div(
            figure(
                t("wallet.available"),
                WalletPage.available.text,
                exact=WalletPage.available.exact,
                loaded=WalletPage.loaded,
                note=t("wallet.available_note"),
            ),
            figure(
                t("wallet.held"),
                WalletPage.held.text,
                exact=WalletPage.held.exact,
                loaded=WalletPage.loaded,
                note=t("wallet.held_note"),
            ),
            free_window(WalletPage.window, loaded=WalletPage.loaded),
            class_name="grid gap-4 sm:grid-cols-2 lg:grid-cols-[repeat(auto-fit,minmax(16rem,1fr))]",
        ),
        rx.cond(
            WalletPage.grants.length() > 0,
            rx.el.section(
                rx.el.h2(t("wallet.grants"), class_name="text-sm font-medium"),
                grants_table(WalletPage.grants),
                rx.el.p(t("wallet.order"), class_name=theme.HINT),
                class_name="flex flex-col gap-3 min-w-0",
            ),
            rx.fragment(),
        ),
        rx.el.section(
            rx.el.h2(t("wallet.ledger"), class_name="text-sm font-medium"),
            _filters(),
            four_states(
                loaded=WalletPage.loaded,
                failure=WalletPage.failure,
                count=WalletPage.entries.length(),
                retry=WalletPage.load,
                empty=rx.cond(
                    _filtered() | (WalletPage.after != ""),
                    empty_state(
                        "list-filter",
                        t("wallet.none_match"),
                        t("wallet.none_match_text"),
                        rx.el.button(
                            t("action.clear"),
                            type="button",
                            on_click=WalletPage.clear_filters,
                            class_name=theme.BUTTON_SMALL,
                        ),
                    ),
                    empty_state("receipt-text", t("wallet.empty"), t("wallet.empty_text")),
                ),
                full=_ledger(),
            ),
            pager(
                first=WalletPage.after == "",
                last=WalletPage.next == "",
                on_first=WalletPage.turn_page(""),
                on_next=WalletPage.turn_page(WalletPage.next),
            ),
            class_name="flex flex-col gap-3 min-w-0",
        ),
    )


def _filtered() -> rx.Var[bool]:
    return (WalletPage.kind != "") | (WalletPage.since != "") | (WalletPage.until != "")


def _filters() -> rx.Component:
    return rx.el.div(
        choice_filter(
            t("wallet.what"),
            t("wallet.all_kinds"),
            WalletPage.kind,
            *(rx.el.option(t(f"entry.{kind}"), value=kind) for kind in ENTRY_KINDS),
            on_change=lambda chosen: WalletPage.choose_filter("kind", chosen),
        ),
        day_filter(t("filter.since"), WalletPage.since, on_change=lambda day: WalletPage.choose_filter("since", day)),
        day_filter(t("filter.until"), WalletPage.until, on_change=lambda day: WalletPage.choose_filter("until", day)),
        rx.el.div(
            file_link(
                rx.icon("download", size=14), t("action.csv"), href=WalletPage.statement, class_name=theme.BUTTON_SMALL
            ),
            class_name="flex items-center lg:justify-end",
        ),
        class_name="grid grid-cols-1 gap-3 sm:grid-cols-2 lg:grid-cols-[14rem_14rem_14rem_1fr]",
    )


def _ledger() -> rx.Component:
    return table(
        [
            Column(t("wallet.line"), number=True, from_width="lg"),
            Column(t("wallet.time")),
            Column(t("wallet.what")),
            Column(t("wallet.amount"), number=True),
            Column(t("wallet.balance"), number=True, from_width="sm"),
        ],
        WalletPage.entries,
        lambda row: [
            rx.el.span(row.sequence, class_name=theme.NUMBER + " text-muted-foreground"),
            moment(row.at),
            _what(row),
            money(
                row.amount,
                rx.cond(
                    row.gain,
                    "tabular-nums whitespace-nowrap font-medium text-success",
                    "tabular-nums whitespace-nowrap font-medium text-foreground",
                ),
            ),
            money(row.balance, theme.NUMBER + " text-muted-foreground"),
        ],
        label=t("wallet.ledger"),
    )


def _what(row: rx.Var[Any]) -> rx.Component:
    """Name the line's kind, the model of its request, its reason, and the way to the explanation."""
    return rx.el.div(
        rx.el.div(
            rx.el.span(entry_kind(row.kind), class_name="font-medium"),
            rx.cond(
                row.model != "",
                rx.el.span(row.model, class_name="text-xs text-muted-foreground break-all"),
                rx.fragment(),
            ),
            rx.cond(
                row.request_id != "",
                page_link(
                    t("wallet.explain"),
                    href=f"/requests?open={row.request_id}",
                    class_name=theme.LINK + " w-fit text-xs",
                ),
                rx.fragment(),
            ),
            class_name="flex flex-wrap items-baseline gap-x-2",
        ),
        rx.cond(
            row.reason != "",
            rx.el.span(row.reason, class_name="text-xs text-muted-foreground break-words"),
            rx.fragment(),
        ),
        class_name="flex flex-col gap-0.5",
    )
