"""Every call over all customers, with what it cost and lost; a row opens its attempts, and gives the charge back."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import reflex as rx

from operis_client import ApiError, OperisError
from operis_client.models import AdminRequest
from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, disclosure, field, submit, text_input
from operis_dashboard.components.display import badge, moment, money
from operis_dashboard.components.explanation import explanation
from operis_dashboard.components.states import empty_state, four_states, skeleton
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.explaining import Explanation, RequestRow, explain, write_request
from operis_dashboard.formatting import NOTHING, Shown, Writer
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.rights import permitted
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_FILTERS = ("model", "outcome", "organization_id")
_OUTCOMES = ("completed", "failed", "disconnected", "interrupted")


@dataclass(frozen=True)
class CallRow:
    request: RequestRow = default(default_factory=RequestRow)
    organization: str = ""
    organization_id: str = ""
    email: str = ""
    upstream: str = ""
    cost: Shown = default(default_factory=Shown)
    loss: Shown = default(default_factory=Shown)
    lossy: bool = False


class AdminRequests(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[CallRow] = []
    models: list[str] = []
    model: str = ""
    outcome: str = ""
    customer_id: str = ""
    after: str = ""
    next: str = ""

    opened: str = ""
    opened_organization: str = ""
    explained: bool = False
    explain_failure: str = ""
    explanation: Explanation = Explanation()
    busy: bool = False

    _attempt: str = ""

    @rx.event
    async def load(self) -> Any:
        asked = self.router.url.query_parameters
        self.model, self.outcome = asked.get("model", ""), asked.get("outcome", "")
        self.customer_id, self.after = asked.get("organization_id", ""), asked.get("after", "")
        try:
            models = await self._ask(lambda api: api.list_model_rows())
            found = await self._ask(
                lambda api: api.list_admin_requests(
                    limit=25,
                    after=self.after or None,
                    organization_id=self.customer_id or None,
                    model=self.model or None,
                    outcome=self.outcome or None,
                )
            )
        except OperisError as error:
            self.failure = self._explain(error)
            return None
        self.models = [model.id for model in models.items]
        self.rows = [_row(request, self._writer) for request in found.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""
        request_id = asked.get("open", "")
        self.opened = self.opened if request_id else ""
        if request_id and self.customer_id and request_id != self.opened:
            return AdminRequests.open_request(self.customer_id, request_id)
        return None

    @rx.event
    def choose_filter(self, name: str, value: str) -> Any:
        chosen = self._narrowed() | ({name: value} if name in _FILTERS else {})
        return _address(chosen)

    @rx.event
    def clear_filters(self) -> Any:
        return rx.redirect("/admin/requests")

    @rx.event
    def turn_page(self, after: str) -> Any:
        return _address(self._narrowed() | {"after": after})

    @rx.event
    async def open_request(self, organization_id: str, request_id: str) -> None:
        self.opened, self.opened_organization, self._attempt = request_id, organization_id, str(uuid4())
        self.explained, self.explain_failure = False, ""
        await self._read_explanation()

    @rx.event
    def close_request(self, _opened: bool = False) -> Any:
        self.opened = ""
        if self.router.url.query_parameters.get("open"):
            return _address(self._narrowed() | {"after": self.after})
        return None

    @rx.event
    async def reverse(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Give the opened request's charge back, once."""
        request_id, organization_id, attempt = self.opened, self.opened_organization, self._attempt
        if not request_id or self.busy or self.explanation.reversed:
            return
        self.busy, self.explain_failure = True, ""
        yield
        try:
            reversal = await self._ask(
                lambda api: api.reverse_charge(
                    organization_id,
                    request_id,
                    reason=read_field(form, "reverse_reason").strip(),
                    idempotency_key=attempt,
                )
            )
        except OperisError as error:
            self.explain_failure = self._explain(error)
            if isinstance(error, ApiError):
                self._attempt = str(uuid4())
            return
        finally:
            self.busy = False
        yield rx.toast.success(self._say("allrequests.reversed", amount=self._writer.number(reversal.amount)))
        await self._read_explanation()

    async def _read_explanation(self) -> None:
        request_id, organization_id = self.opened, self.opened_organization
        try:
            found = await self._ask(lambda api: api.explain_admin_request(organization_id, request_id))
        except OperisError as error:
            self.explain_failure = self._explain(error)
            return
        self.explanation, self.explained = explain(found, self._writer), True

    def _narrowed(self) -> dict[str, str]:
        return {"model": self.model, "outcome": self.outcome, "organization_id": self.customer_id}


def _address(parameters: dict[str, str]) -> Any:
    query = urlencode({name: value for name, value in parameters.items() if value})
    return rx.redirect(f"/admin/requests?{query}" if query else "/admin/requests")


def _row(found: AdminRequest, writer: Writer) -> CallRow:
    return CallRow(
        request=write_request(found.request, writer),
        organization=found.organization_name,
        organization_id=found.organization_id,
        email=found.user_email or "",
        upstream=found.upstream or NOTHING,
        cost=writer.money(found.cost),
        loss=writer.money(found.loss),
        lossy=bool(found.loss.strip("0.")),
    )


@page(route="/admin/requests", title="nav.admin_requests", role="admin", on_load=AdminRequests.load)
def admin_requests() -> rx.Component:
    filtered = (
        (AdminRequests.model != "")
        | (AdminRequests.outcome != "")
        | (AdminRequests.customer_id != "")
        | (AdminRequests.after != "")
    )
    clear = rx.el.button(
        t("action.clear"), type="button", on_click=AdminRequests.clear_filters, class_name=theme.BUTTON_SMALL
    )
    return rx.fragment(
        rx.el.div(
            _filter(
                "model",
                t("requests.filter_model"),
                t("requests.all_models"),
                AdminRequests.model,
                rx.foreach(AdminRequests.models, lambda model: rx.el.option(model, value=model)),
            ),
            _filter(
                "outcome",
                t("requests.filter_outcome"),
                t("requests.all_outcomes"),
                AdminRequests.outcome,
                *(rx.el.option(t(f"status.{outcome}"), value=outcome) for outcome in _OUTCOMES),
            ),
            rx.cond(filtered, rx.el.div(clear, class_name="flex items-center"), rx.fragment()),
            class_name="grid grid-cols-1 gap-3 sm:grid-cols-3 lg:max-w-2xl",
        ),
        four_states(
            loaded=AdminRequests.loaded,
            failure=AdminRequests.failure,
            count=AdminRequests.rows.length(),
            retry=AdminRequests.load,
            empty=rx.cond(
                filtered,
                empty_state("list-filter", t("requests.none_match"), t("requests.none_match_text")),
                empty_state("list-tree", t("requests.empty"), t("requests.empty_text")),
            ),
            full=rx.el.div(
                _table(),
                pager(
                    first=AdminRequests.after == "",
                    last=AdminRequests.next == "",
                    on_first=AdminRequests.turn_page(""),
                    on_next=AdminRequests.turn_page(AdminRequests.next),
                ),
                class_name="flex flex-col gap-4",
            ),
        ),
        dialogs.sheet(
            alert(AdminRequests.explain_failure),
            rx.cond(
                AdminRequests.explained,
                rx.fragment(explanation(AdminRequests.explanation), _reversing()),
                rx.cond(AdminRequests.explain_failure == "", skeleton("h-64 w-full"), rx.fragment()),
            ),
            title=t("explain.title"),
            text=t("explain.text"),
            is_open=AdminRequests.opened != "",
            on_open_change=AdminRequests.close_request,
        ),
    )


def _reversing() -> rx.Component:
    shown = AdminRequests.explanation
    return rx.cond(
        shown.reversed | (shown.request.charge.exact == "0"),
        rx.fragment(),
        permitted(
            "admin.wallets.adjust",
            disclosure(
                t("allrequests.reverse"),
                rx.el.form(
                    rx.el.p(t("allrequests.reverse_text", amount=shown.request.charge.text), class_name=theme.HINT),
                    field(
                        t("users.reason"),
                        text_input("reverse_reason", required=True, max_length=500, auto_complete="off"),
                        name="reverse_reason",
                    ),
                    dialogs.buttons(
                        submit(t("allrequests.reverse"), busy=AdminRequests.busy, look=theme.BUTTON_DANGER)
                    ),
                    on_submit=AdminRequests.reverse,
                    class_name="flex flex-col gap-3",
                ),
            ),
        ),
    )


def _filter(name: str, label: Any, everything: Any, value: rx.Var[str], *options: rx.Component) -> rx.Component:
    return rx.el.select(
        rx.el.option(everything, value=""),
        *options,
        value=value,
        on_change=lambda chosen: AdminRequests.choose_filter(name, chosen),
        aria_label=label,
        class_name=theme.SELECT,
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("requests.time")),
            Column(t("allrequests.customer"), from_width="sm"),
            Column(t("requests.model")),
            Column(t("allrequests.upstream"), from_width="lg"),
            Column(t("requests.tokens"), number=True, from_width="lg"),
            Column(t("requests.outcome"), from_width="md"),
            Column(t("allrequests.cost"), number=True, from_width="md"),
            Column(t("requests.charge"), number=True),
        ],
        AdminRequests.rows,
        lambda row: [
            rx.el.button(
                moment(row.request.at),
                type="button",
                on_click=AdminRequests.open_request(row.organization_id, row.request.id).stop_propagation,
                class_name="cursor-pointer rounded-sm underline decoration-border underline-offset-4 "
                "hover:decoration-foreground " + theme.FOCUS,
            ),
            rx.el.button(
                rx.cond(row.email != "", row.email, row.organization),
                type="button",
                title=t("allrequests.of", name=row.organization),
                on_click=AdminRequests.choose_filter("organization_id", row.organization_id).stop_propagation,
                class_name="block max-w-44 truncate text-left cursor-pointer hover:underline rounded-sm " + theme.FOCUS,
            ),
            rx.el.span(row.request.model, class_name="font-medium break-all"),
            rx.el.span(row.upstream, class_name="text-muted-foreground"),
            rx.el.span(
                row.request.tokens_in, " / ", row.request.tokens_out, class_name=theme.NUMBER + " text-muted-foreground"
            ),
            rx.el.div(
                badge(row.request.outcome),
                rx.cond(row.request.estimated, badge("estimated"), rx.fragment()),
                class_name="flex gap-1",
            ),
            rx.el.div(
                money(row.cost, theme.NUMBER + " text-muted-foreground"),
                rx.cond(
                    row.lossy,
                    rx.el.span(
                        t("allrequests.loss"),
                        " ",
                        money(row.loss),
                        class_name="text-xs text-destructive whitespace-nowrap",
                    ),
                    rx.fragment(),
                ),
                class_name="flex flex-col items-end",
            ),
            money(row.request.charge, theme.NUMBER + " font-medium"),
        ],
        label=t("nav.admin_requests"),
        on_open=lambda row: AdminRequests.open_request(row.organization_id, row.request.id),
    )
