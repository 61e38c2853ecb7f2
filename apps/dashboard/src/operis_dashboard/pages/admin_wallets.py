"""One organization's wallet, for operators: what is there, credit and debit with a reason, refund of a paid grant."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import reflex as rx

from operis_client import ApiError, AsyncOperis, OperisError
from operis_client.models import Page, Posting, Wallet
from operis_dashboard import theme
from operis_dashboard.bookkeeping import PostingRow, write_posting
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import card, figure
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.components.display import moment, money
from operis_dashboard.components.grants import free_window, grants_table
from operis_dashboard.components.links import page_link
from operis_dashboard.components.states import empty_state, failed, skeleton_rows
from operis_dashboard.components.tables import Column, table
from operis_dashboard.components.words import entry_kind
from operis_dashboard.formatting import Shown, exact
from operis_dashboard.forms import read_amount, read_field
from operis_dashboard.granting import FreeWindowShown, GrantRow, write_free_window, write_grant
from operis_dashboard.layout import page
from operis_dashboard.rights import permitted
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


class AdminWallets(Viewer):
    loaded: bool = False
    failure: str = ""
    customer_id: str = ""
    customer: str = ""
    available: Shown = Shown()
    held: Shown = Shown()
    window: FreeWindowShown = FreeWindowShown()
    grants: list[GrantRow] = []
    movements: list[PostingRow] = []

    busy: bool = False
    adjust_failure: str = ""
    forms: int = 0
    """How many adjustments were posted: a new number gives the form fresh fields."""
    refunding: GrantRow = GrantRow()
    refund_failure: str = ""

    _adjustment: tuple[str, str, str] = ("", "", "")
    """Amount, reason and idempotency key of the adjustment under way."""
    _refund: str = ""
    """Idempotency key of the refund under way."""

    @rx.event
    async def load(self) -> Any:
        asked = self.router.url.query_parameters
        if self.customer_id != asked.get("organization_id", ""):
            self.loaded, self._adjustment, self.adjust_failure = False, ("", "", ""), ""
            self.customer_id, self.forms = asked.get("organization_id", ""), self.forms + 1
        self.refunding = GrantRow()
        if self.customer_id:
            await self._read()
        grant_id = asked.get("refund", "")
        return AdminWallets.ask_refund(grant_id) if grant_id else None

    @rx.event
    async def adjust(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Post an adjustment. The same amount and reason sent twice is one adjustment, until one succeeded."""
        amount, reason = read_amount(form, "amount"), read_field(form, "reason").strip()
        organization_id, posted = self.customer_id, self.forms
        self.busy, self.adjust_failure = True, ""
        yield
        if not organization_id or str(posted) != read_field(form, "form"):
            self.busy = False
            return  # the second click of a double click: the first one has been posted
        if self._adjustment[:2] != (amount, reason):
            self._adjustment = (amount, reason, str(uuid4()))
        key = self._adjustment[2]
        try:
            adjustment = await self._ask(
                lambda api: api.adjust_wallet(organization_id, amount=amount, reason=reason, idempotency_key=key)
            )
        except OperisError as error:
            self.adjust_failure = self._explain(error)
            if isinstance(error, ApiError) and error.status != 409:
                self._adjustment = ("", "", "")
            return
        finally:
            self.busy = False
        self._adjustment, self.forms = ("", "", ""), self.forms + 1
        yield rx.toast.success(self._say("users.adjusted", amount=exact(adjustment.amount), name=self.customer))
        await self._read()

    @rx.event
    def ask_refund(self, grant_id: str) -> None:
        """Ask before a paid grant that has something left is paid back."""
        paid = [grant for grant in self.grants if grant.id == grant_id and grant.source == "paid"]
        self.refunding, self.refund_failure, self._refund = paid[0] if paid else GrantRow(), "", str(uuid4())
        if not paid:
            self.adjust_failure = self._say("refund.nothing_left")

    @rx.event
    def close_refund(self, _opened: bool = False) -> None:
        self.refunding = GrantRow()

    @rx.event
    async def refund(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Pay back what is left of the grant, or a part; a second click finds the question answered."""
        grant_id, organization_id, key = self.refunding.id, self.customer_id, self._refund
        if not grant_id or self.busy:
            return
        self.busy, self.refund_failure = True, ""
        yield
        try:
            refund = await self._ask(
                lambda api: api.refund_grant(
                    organization_id,
                    grant_id,
                    amount=read_amount(form, "refund_amount") or None,
                    reason=read_field(form, "refund_reason").strip(),
                    idempotency_key=key,
                )
            )
        except OperisError as error:
            self.refund_failure = self._explain(error)
            if isinstance(error, ApiError) and error.status != 409:
                self._refund = str(uuid4())
            return
        finally:
            self.busy = False
        self.refunding = GrantRow()
        yield rx.toast.success(self._say("refund.done", amount=exact(refund.amount), account=refund.account))
        await self._read()

    async def _read(self) -> None:
        try:
            wallet, postings = await self._ask(self._read_wallet)
        except OperisError as error:
            self.failure = self._explain(error)
            return
        writer = self._writer
        self.customer = postings.items[0].organization_name if postings.items else self.customer_id
        self.available, self.held = writer.money(wallet.available), writer.money(wallet.held)
        self.window = write_free_window(wallet.free_window, writer)
        self.grants = [write_grant(grant, writer) for grant in wallet.grants]
        self.movements = [write_posting(posting, writer) for posting in postings.items]
        self.loaded, self.failure = True, ""

    async def _read_wallet(self, api: AsyncOperis) -> tuple[Wallet, Page[Posting]]:
        organization_id = self.customer_id
        return await asyncio.gather(
            api.get_organization_wallet(organization_id),
            api.list_ledger_postings(organization_id=organization_id, limit=10),
        )


@page(route="/admin/wallets", title="nav.admin_wallets", role="admin", on_load=AdminWallets.load)
def admin_wallets() -> rx.Component:
    return rx.cond(
        AdminWallets.customer_id == "",
        empty_state(
            "wallet",
            t("wallets.choose"),
            t("wallets.choose_text"),
            page_link(t("nav.admin_users"), href="/admin/users", class_name=theme.BUTTON_SMALL),
        ),
        rx.cond(
            AdminWallets.failure != "",
            failed(AdminWallets.failure, AdminWallets.load),
            rx.cond(AdminWallets.loaded, _content(), skeleton_rows()),
        ),
    )


def _content() -> rx.Component:
    return rx.fragment(
        rx.el.div(
            rx.el.h2(AdminWallets.customer, class_name="min-w-0 text-base font-semibold break-words"),
            rx.el.div(
                _elsewhere(t("nav.admin_requests"), "/admin/requests"),
                _elsewhere(t("nav.admin_ledger"), "/admin/ledger"),
                _elsewhere(t("nav.admin_holds"), "/admin/holds"),
                class_name="flex flex-wrap gap-2",
            ),
            class_name="flex flex-wrap items-center justify-between gap-3",
        ),
        rx.el.div(
            figure(
                t("wallet.available"), AdminWallets.available.text, exact=AdminWallets.available.exact, loaded=_LOADED
            ),
            figure(t("wallet.held"), AdminWallets.held.text, exact=AdminWallets.held.exact, loaded=_LOADED),
            free_window(AdminWallets.window, loaded=_LOADED),
            class_name="grid gap-4 sm:grid-cols-2 lg:grid-cols-[repeat(auto-fit,minmax(16rem,1fr))]",
        ),
        rx.cond(
            AdminWallets.grants.length() > 0,
            rx.el.section(
                rx.el.h3(t("wallet.grants"), class_name="text-sm font-medium"),
                grants_table(AdminWallets.grants, action=_refund_button),
                class_name="flex flex-col gap-3 min-w-0",
            ),
            rx.fragment(),
        ),
        rx.el.div(
            permitted(
                "admin.wallets.adjust",
                card(
                    rx.el.p(t("users.adjust_text"), class_name="-mt-2 " + theme.HINT),
                    alert(AdminWallets.adjust_failure),
                    _adjust_form(),
                    title=t("users.adjust"),
                ),
            ),
            rx.el.section(
                rx.el.h3(t("wallets.movements"), class_name="text-sm font-medium"),
                rx.cond(
                    AdminWallets.movements.length() > 0,
                    _movements(),
                    rx.el.p(t("wallet.empty"), class_name="text-sm text-muted-foreground"),
                ),
                class_name="flex flex-col gap-3 min-w-0",
            ),
            class_name="grid items-start gap-6 lg:grid-cols-[24rem_1fr]",
        ),
        _refund_dialog(),
    )


_LOADED = AdminWallets.loaded


def _elsewhere(name: rx.Var[str], path: str) -> rx.Component:
    return page_link(name, href=f"{path}?organization_id={AdminWallets.customer_id}", class_name=theme.BUTTON_SMALL)


def _refund_button(grant: rx.Var[Any]) -> rx.Component:
    return permitted(
        "admin.wallets.adjust",
        rx.cond(
            grant.source == "paid",
            rx.el.div(
                rx.el.button(
                    t("refund.action"),
                    type="button",
                    on_click=AdminWallets.ask_refund(grant.id),
                    class_name=theme.BUTTON_SMALL,
                ),
                class_name="flex justify-end",
            ),
            rx.fragment(),
        ),
    )


def _adjust_form() -> rx.Component:
    return rx.el.form(
        rx.el.input(type="hidden", name="form", value=AdminWallets.forms.to_string()),
        field(
            t("users.amount"),
            text_input(
                "amount",
                input_mode="decimal",
                required=True,
                auto_complete="off",
                placeholder="10.00",
                aria_describedby="amount-hint",
            ),
            name="amount",
            hint=t("users.amount_hint"),
        ),
        field(
            t("users.reason"),
            text_input(
                "reason", required=True, max_length=500, auto_complete="off", placeholder=t("users.reason_example")
            ),
            name="reason",
        ),
        dialogs.buttons(submit(t("users.adjust_action"), busy=AdminWallets.busy)),
        key=AdminWallets.forms.to_string(),
        on_submit=AdminWallets.adjust,
        class_name="flex flex-col gap-4",
    )


def _movements() -> rx.Component:
    return table(
        [
            Column(t("wallet.time"), from_width="sm"),
            Column(t("wallet.what")),
            Column(t("wallet.amount"), number=True),
        ],
        AdminWallets.movements,
        lambda row: [
            moment(row.at),
            rx.el.div(
                rx.el.div(
                    rx.el.span(entry_kind(row.kind), class_name="font-medium"),
                    rx.cond(
                        row.explained != "",
                        page_link(t("wallet.explain"), href=row.explained, class_name=theme.LINK + " w-fit text-xs"),
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
            ),
            money(
                row.amount,
                rx.cond(row.gain, "tabular-nums whitespace-nowrap text-success", "tabular-nums whitespace-nowrap"),
            ),
        ],
        label=t("wallets.movements"),
    )


def _refund_dialog() -> rx.Component:
    grant = AdminWallets.refunding
    return dialogs.dialog(
        alert(AdminWallets.refund_failure),
        rx.el.form(
            field(
                t("users.amount"),
                text_input(
                    "refund_amount",
                    input_mode="decimal",
                    auto_complete="off",
                    placeholder=grant.remaining.exact,
                    aria_describedby="refund_amount-hint",
                ),
                name="refund_amount",
                hint=t("refund.amount_hint"),
            ),
            field(
                t("users.reason"),
                text_input("refund_reason", required=True, max_length=500, auto_complete="off"),
                name="refund_reason",
            ),
            dialogs.buttons(
                dialogs.cancel(), submit(t("refund.action"), busy=AdminWallets.busy, look=theme.BUTTON_DANGER)
            ),
            on_submit=AdminWallets.refund,
            class_name="flex flex-col gap-4",
        ),
        title=t("refund.title", left=grant.remaining.text, name=AdminWallets.customer),
        text=t("refund.text"),
        is_open=grant.id != "",
        on_open_change=AdminWallets.close_refund,
    )
