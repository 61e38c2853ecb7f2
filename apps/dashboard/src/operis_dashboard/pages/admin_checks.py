"""Whether the books hold: each invariant's last result, a check of all of them now, the chain's head, and alerts."""

import asyncio
from typing import Any

import reflex as rx

from operis_client import AsyncOperis, OperisError
from operis_client.models import Alert, LedgerVerification, Page
from operis_dashboard import theme
from operis_dashboard.addresses import address
from operis_dashboard.bookkeeping import AlertRow, InvariantRow, write_alert, write_invariants
from operis_dashboard.components.cards import figure
from operis_dashboard.components.controls import alert, press, segments
from operis_dashboard.components.display import badge, moment
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.components.words import alert_kind
from operis_dashboard.formatting import NOTHING, Shown
from operis_dashboard.layout import page
from operis_dashboard.rights import permitted
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_SECONDS_BETWEEN_LOOKS = 1


class AdminChecks(Viewer):
    loaded: bool = False
    failure: str = ""
    result: str = ""
    """`holds`, `broken`, or empty: nothing was checked yet."""
    invariants: list[InvariantRow] = []
    block: str = ""
    block_hash: str = ""
    cut_at: Shown = Shown()
    full_at: Shown = Shown()
    full_rows: str = ""

    running: bool = False
    percent: int = 0
    check_failure: str = ""

    alerts: list[AlertRow] = []
    show: str = "open"
    after: str = ""
    next: str = ""
    busy: bool = False

    _following: bool = False

    @rx.event
    async def load(self) -> Any:
        asked = self.router.url.query_parameters
        self.show, self.after = "all" if asked.get("show") == "all" else "open", asked.get("after", "")
        try:
            verification, alerts = await self._ask(self._read)
        except OperisError as error:
            self.failure = self._explain(error)
            return None
        self._show_verification(verification)
        self._show_alerts(alerts)
        self.loaded, self.failure = True, ""
        return AdminChecks.follow if self.running else None

    @rx.event
    async def verify(self) -> Any:
        """Have all of the books checked; where that is being done, watch it."""
        self.check_failure = ""
        try:
            check = await self._ask(lambda api: api.verify_ledger())
        except OperisError as error:
            self.check_failure = self._explain(error)
            return None
        self.running, self.percent = True, check.percent
        return AdminChecks.follow

    @rx.event(background=True)
    async def follow(self) -> None:
        """Look each second how far the check is, until it is done; one look-out for each tab."""
        async with self:
            if self._following:
                return
            self._following = True
        try:
            while True:
                verification, alerts = await self._ask(self._read)
                async with self:
                    if not self._is_still_here():
                        return
                    self._show_verification(verification)
                    self._show_alerts(alerts)
                if verification.running is None:
                    return
                await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        except OperisError as error:
            async with self:
                self.check_failure, self.running = self._explain(error), False
        finally:
            async with self:
                self._following = False

    @rx.event
    async def acknowledge(self, alert_id: str) -> Any:
        self.check_failure = ""
        try:
            await self._ask(lambda api: api.acknowledge_alert(alert_id))
            self._show_alerts(await self._ask(self._read_alerts))
        except OperisError as error:
            self.check_failure = self._explain(error)
            return None
        return rx.toast.success(self._say("checks.acknowledged_done"))

    @rx.event
    def choose_show(self, show: str) -> Any:
        return rx.redirect(address("/admin/checks", {"show": "all" if show == "all" else ""}))

    @rx.event
    def turn_page(self, after: str) -> Any:
        shown = {"show": self.show if self.show == "all" else "", "after": after}
        return rx.redirect(address("/admin/checks", shown))

    async def _read(self, api: AsyncOperis) -> tuple[LedgerVerification, Page[Alert]]:
        return await asyncio.gather(api.get_ledger_verification(), self._read_alerts(api))

    async def _read_alerts(self, api: AsyncOperis) -> Page[Alert]:
        return await api.list_alerts(limit=25, after=self.after or None, show=self.show)

    def _show_verification(self, verification: LedgerVerification) -> None:
        writer, full, head = self._writer, verification.last_full, verification.head
        self.result = "" if verification.holds is None else "holds" if verification.holds else "broken"
        self.invariants = write_invariants(verification, writer)
        self.block, self.block_hash = writer.count(head.number), head.hash
        self.cut_at = writer.moment(head.cut_at)
        self.full_at = writer.moment(full.finished_at if full else None)
        self.full_rows = writer.count(full.rows) if full else NOTHING
        self.running = verification.running is not None
        self.percent = verification.running.percent if verification.running else 100

    def _show_alerts(self, alerts: Page[Alert]) -> None:
        self.alerts = [write_alert(found, self._writer) for found in alerts.items]
        self.next = alerts.next or ""


@page(route="/admin/checks", title="nav.admin_checks", role="admin", on_load=AdminChecks.load)
def admin_checks() -> rx.Component:
    return rx.fragment(
        alert(AdminChecks.check_failure),
        rx.el.div(
            figure(
                t("checks.result"),
                rx.match(
                    AdminChecks.result,
                    ("holds", rx.el.span(t("checks.holds"), class_name="text-success")),
                    ("broken", rx.el.span(t("checks.broken"), class_name="text-destructive")),
                    rx.el.span(t("checks.none")),
                ),
                loaded=AdminChecks.loaded,
                note=t("checks.result_note"),
            ),
            figure(
                t("checks.full"),
                AdminChecks.full_at.text,
                exact=AdminChecks.full_at.exact,
                loaded=AdminChecks.loaded,
                note=t("checks.full_note", rows=AdminChecks.full_rows),
            ),
            figure(
                t("checks.head"),
                AdminChecks.block,
                loaded=AdminChecks.loaded,
                note=rx.el.span(
                    t("checks.head_note", at=AdminChecks.cut_at.text),
                    rx.el.span(AdminChecks.block_hash, class_name="mt-1 block font-mono break-all"),
                ),
            ),
            class_name="grid gap-4 md:grid-cols-3",
        ),
        _alerts(),
        rx.el.section(
            rx.el.div(
                rx.el.h2(t("checks.invariants"), class_name="text-sm font-medium"),
                permitted(
                    "admin.ledger.verify",
                    press(t("checks.verify"), on_click=AdminChecks.verify, busy=AdminChecks.running),
                ),
                class_name="flex flex-wrap items-center justify-between gap-3",
            ),
            rx.cond(AdminChecks.running, _progress(), rx.fragment()),
            four_states(
                loaded=AdminChecks.loaded,
                failure=AdminChecks.failure,
                count=AdminChecks.invariants.length(),
                retry=AdminChecks.load,
                empty=empty_state("shield-check", t("checks.none"), t("checks.none_text")),
                full=_invariants(),
            ),
            class_name="flex flex-col gap-3 min-w-0",
        ),
    )


def _progress() -> rx.Component:
    return rx.el.div(
        rx.el.progress(
            value=AdminChecks.percent,
            max=100,
            aria_label=t("checks.progress"),
            class_name="h-1.5 w-full accent-[var(--accent)]",
        ),
        rx.el.span(AdminChecks.percent, " %", class_name="w-12 text-right text-sm tabular-nums text-muted-foreground"),
        class_name="flex items-center gap-3",
    )


def _invariants() -> rx.Component:
    return table(
        [
            Column(t("checks.invariant")),
            Column(t("checks.last_result")),
            Column(t("checks.kind"), from_width="md"),
            Column(t("wallet.time"), from_width="sm"),
        ],
        AdminChecks.invariants,
        lambda row: [
            rx.el.div(
                rx.el.span(row.name, lang="en"),
                rx.foreach(
                    row.findings,
                    lambda finding: rx.el.span(
                        finding, lang="en", class_name="font-mono text-xs break-words text-destructive"
                    ),
                ),
                class_name="flex flex-col gap-1",
            ),
            rx.cond(row.holds, badge("holds"), badge("broken")),
            rx.el.span(
                rx.cond(row.full, t("checks.kind_full"), t("checks.kind_incremental")),
                class_name="text-muted-foreground",
            ),
            moment(row.at),
        ],
        label=t("checks.invariants"),
    )


def _alerts() -> rx.Component:
    return rx.el.section(
        rx.el.div(
            rx.el.h2(t("checks.alerts"), class_name="text-sm font-medium"),
            segments(
                [("open", t("checks.alerts_open")), ("all", t("checks.alerts_all"))],
                chosen=AdminChecks.show,
                on_choose=AdminChecks.choose_show,
                label=t("checks.alerts"),
            ),
            class_name="flex flex-wrap items-center justify-between gap-3",
        ),
        four_states(
            loaded=AdminChecks.loaded,
            failure=AdminChecks.failure,
            count=AdminChecks.alerts.length(),
            retry=AdminChecks.load,
            empty=empty_state("bell", t("checks.no_alerts"), t("checks.no_alerts_text")),
            full=_alert_table(),
        ),
        pager(
            first=AdminChecks.after == "",
            last=AdminChecks.next == "",
            on_first=AdminChecks.turn_page(""),
            on_next=AdminChecks.turn_page(AdminChecks.next),
        ),
        class_name="flex flex-col gap-3 min-w-0",
    )


def _alert_table() -> rx.Component:
    return table(
        [
            Column(t("checks.alert")),
            Column(t("checks.times"), number=True, from_width="md"),
            Column(t("checks.raised"), from_width="lg"),
            Column(t("checks.seen"), from_width="sm"),
            Column(rx.el.span(t("table.actions"), class_name="sr-only")),
        ],
        AdminChecks.alerts,
        lambda row: [
            rx.el.div(
                rx.el.span(alert_kind(row.kind), class_name="font-medium"),
                rx.el.span(row.subject, lang="en", class_name="text-xs break-words text-muted-foreground"),
                rx.el.span(row.detail, lang="en", class_name="font-mono text-xs break-words text-muted-foreground"),
                class_name="flex flex-col gap-0.5",
            ),
            rx.el.span(row.times, class_name=theme.NUMBER),
            moment(row.raised),
            moment(row.seen),
            rx.cond(
                row.open,
                permitted(
                    "admin.alerts.acknowledge",
                    rx.el.button(
                        t("checks.acknowledge"),
                        type="button",
                        on_click=AdminChecks.acknowledge(row.id),
                        class_name=theme.BUTTON_SMALL,
                    ),
                ),
                rx.el.span(
                    t("checks.acknowledged", at=row.acknowledged.text),
                    title=row.acknowledged.exact,
                    class_name="text-xs text-muted-foreground",
                ),
            ),
        ],
        label=t("checks.alerts"),
    )
