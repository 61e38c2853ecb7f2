"""The wallet: what is there, where it came from, and every line that changed it."""

import asyncio
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from operis_client import AsyncOperis, OperisError
from operis_client.models import Grant, Page, Wallet, WalletEntry
from operis_dashboard import theme
from operis_dashboard.components.cards import card, figure
from operis_dashboard.components.display import moment, money, quiet_badge
from operis_dashboard.components.links import page_link
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.components.words import entry_kind, source_name
from operis_dashboard.formatting import Shown, Writer, share
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


@dataclass(frozen=True)
class GrantRow:
    source: str = ""
    remaining: Shown = default(default_factory=Shown)
    amount: Shown = default(default_factory=Shown)
    expires: Shown = default(default_factory=Shown)
    left: str = "0%"
    """How much of the grant is left, as the length of a bar."""


@dataclass(frozen=True)
class EntryRow:
    sequence: str = ""
    kind: str = ""
    reason: str = ""
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
    grants: list[GrantRow] = []
    entries: list[EntryRow] = []
    next: str = ""
    after: str = ""

    @rx.event
    async def load(self) -> None:
        self.after = self.router.url.query_parameters.get("after", "")
        after = self.after or None
        try:
            wallet, entries = await self._ask(lambda api: _read(api, after))
        except OperisError as error:
            self.failure = self._explain(error)
            return
        writer = self._writer
        self.available, self.held = writer.money(wallet.available), writer.money(wallet.held)
        self.grants = [_grant_row(grant, writer, self._say("wallet.never_expires")) for grant in wallet.grants]
        self.entries = [_entry_row(entry, writer) for entry in entries.items]
        self.next = entries.next or ""
        self.loaded, self.failure = True, ""

    @rx.event
    def turn_page(self, after: str) -> Any:
        return rx.redirect(f"/wallet?{urlencode({'after': after})}" if after else "/wallet")


async def _read(api: AsyncOperis, after: str | None) -> tuple[Wallet, Page[WalletEntry]]:
    return await asyncio.gather(api.get_wallet(), api.list_wallet_entries(limit=25, after=after))


def _grant_row(grant: Grant, writer: Writer, never: str) -> GrantRow:
    return GrantRow(
        source=grant.source,
        remaining=writer.money(grant.remaining),
        amount=writer.money(grant.amount),
        expires=writer.moment(grant.expires_at) if grant.expires_at else Shown(never, ""),
        left=f"{share(grant.remaining, grant.amount) / 10}%",
    )


def _entry_row(entry: WalletEntry, writer: Writer) -> EntryRow:
    return EntryRow(
        sequence=str(entry.sequence),
        kind=entry.kind,
        reason=entry.reason,
        request_id=entry.request_id or "",
        at=writer.moment(entry.created_at),
        amount=writer.money(entry.amount, signed=True),
        gain=not entry.amount.startswith("-"),
        balance=writer.money(entry.balance_after),
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
            class_name="grid gap-4 sm:grid-cols-2",
        ),
        rx.cond(WalletPage.grants.length() > 0, _grants(), rx.fragment()),
        rx.el.section(
            rx.el.h2(t("wallet.ledger"), class_name="text-sm font-medium"),
            four_states(
                loaded=WalletPage.loaded,
                failure=WalletPage.failure,
                count=WalletPage.entries.length(),
                retry=WalletPage.load,
                empty=empty_state("receipt-text", t("wallet.empty"), t("wallet.empty_text")),
                full=_ledger(),
            ),
            pager(
                first=WalletPage.after == "",
                last=WalletPage.next == "",
                on_first=WalletPage.turn_page(""),
                on_next=WalletPage.turn_page(WalletPage.next),
            ),
            class_name="flex flex-col gap-3",
        ),
    )


def _grants() -> rx.Component:
    return card(
        rx.el.ul(
            rx.foreach(
                WalletPage.grants,
                lambda grant: rx.el.li(
                    rx.el.div(
                        quiet_badge(source_name(grant.source)),
                        rx.el.span(
                            money(grant.remaining, theme.NUMBER + " font-medium"),
                            rx.el.span(" / ", class_name="text-muted-foreground"),
                            money(grant.amount, theme.NUMBER + " text-muted-foreground"),
                            class_name="text-sm",
                        ),
                        class_name="flex items-center justify-between gap-3",
                    ),
                    rx.el.div(
                        rx.el.div(style={"width": grant.left}, class_name="h-full rounded-full bg-accent"),
                        class_name="h-1.5 overflow-hidden rounded-full bg-muted",
                        aria_hidden=True,
                    ),
                    rx.el.p(
                        t("wallet.expires"),
                        " ",
                        rx.el.span(grant.expires.text, title=grant.expires.exact),
                        class_name=theme.HINT,
                    ),
                    class_name="flex flex-col gap-2 border-b border-border py-3 first:pt-0 last:border-0 last:pb-0",
                ),
            ),
        ),
        title=t("wallet.grants"),
    )


def _ledger() -> rx.Component:
    return table(
        [
            Column(t("wallet.time")),
            Column(t("wallet.what")),
            Column(t("wallet.amount"), number=True),
            Column(t("wallet.balance"), number=True, from_width="sm"),
        ],
        WalletPage.entries,
        lambda row: [
            moment(row.at),
            rx.el.div(
                rx.el.span(entry_kind(row.kind), class_name="font-medium"),
                rx.cond(
                    row.request_id != "",
                    page_link(
                        t("wallet.explain"), href=f"/requests?open={row.request_id}", class_name=theme.LINK + " text-xs"
                    ),
                    rx.cond(
                        row.kind != "welcome",  # its reason says no more than its kind
                        rx.el.span(row.reason, class_name="text-xs text-muted-foreground break-words"),
                        rx.fragment(),
                    ),
                ),
                class_name="flex flex-col gap-0.5",
            ),
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
