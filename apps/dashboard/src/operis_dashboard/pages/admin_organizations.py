"""Organizations: found, opened to wallet, limits and members; suspended and moved to another plan with a reason."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from operis_client import OperisError
from operis_client.models import OrganizationRow as FoundOrganization
from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import facts
from operis_dashboard.components.controls import alert, field, search_box
from operis_dashboard.components.display import badge, moment, money, quiet_badge
from operis_dashboard.components.links import page_link
from operis_dashboard.components.reasons import reason_form
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.components.words import limit_name, role_name
from operis_dashboard.formatting import Shown, Writer, exact
from operis_dashboard.forms import read_field
from operis_dashboard.keyring import BUDGETS, COUNTS
from operis_dashboard.layout import page
from operis_dashboard.membership import MemberRow, write_member
from operis_dashboard.rights import permitted
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_FILTERS = ("search", "status")
_STATUSES = ("active", "suspended", "deleted")
_ADDRESS = "/admin/organizations"
_MEMBERS_MAX = 100


@dataclass(frozen=True)
class SetLimit:
    """A limit that is set."""

    name: str = ""
    value: str = ""


@dataclass(frozen=True)
class OrganizationRow:
    id: str = ""
    name: str = ""
    personal: bool = False
    status: str = "active"
    reason: str = ""
    plan_id: str = ""
    plan: str = ""
    owner: str = ""
    owner_id: str = ""
    member_count: str = ""
    key_count: str = ""
    available: Shown = default(default_factory=Shown)
    held: Shown = default(default_factory=Shown)
    spent: Shown = default(default_factory=Shown)
    created: Shown = default(default_factory=Shown)
    limits: list[SetLimit] = default(default_factory=list)


@dataclass(frozen=True)
class Plan:
    id: str = ""
    name: str = ""


class AdminOrganizations(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[OrganizationRow] = []
    search: str = ""
    status: str = ""
    after: str = ""
    next: str = ""

    opened: bool = False
    shown: OrganizationRow = OrganizationRow()
    members: list[MemberRow] = []
    more_members: bool = False
    plans: list[Plan] = []
    open_failure: str = ""
    asked: str = ""
    """What is asked for and waits for its reason: suspend, unsuspend or plan."""
    busy: bool = False

    @rx.event
    async def load(self) -> Any:
        asked = self.router.url.query_parameters
        self.search, self.status, self.after = (asked.get(name, "") for name in (*_FILTERS, "after"))
        await self._read()
        wanted = asked.get("organization", "")
        return AdminOrganizations.open_organization(wanted) if wanted and wanted != self.shown.id else None

    @rx.event
    def choose_filter(self, name: str, value: str) -> Any:
        """Show the first page of what the changed filters let through."""
        chosen = {kept: getattr(self, kept) for kept in _FILTERS}
        return _address(chosen | ({name: value[:200]} if name in _FILTERS else {}))

    @rx.event
    def turn_page(self, after: str) -> Any:
        return _address({"search": self.search, "status": self.status, "after": after})

    @rx.event
    async def open_organization(self, organization_id: str) -> None:
        self.open_failure, self.asked = "", ""
        await self._read_one(str(organization_id))
        self.opened = True

    @rx.event
    def close_organization(self, _opened: bool = False) -> Any:
        self.opened, self.shown, self.members = False, OrganizationRow(), []
        if self.router.url.query_parameters.get("organization"):
            return AdminOrganizations.turn_page(self.after)
        return None

    @rx.event
    def ask(self, action: str) -> None:
        self.asked, self.open_failure = action if action in {"suspend", "unsuspend", "plan"} else "", ""

    @rx.event
    async def act(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Do what is asked for, with the reason that the form gives."""
        action, organization = self.asked, self.shown
        if not self.opened or not action or self.busy:
            return
        self.busy, self.open_failure = True, ""
        yield
        reason, plan_id = read_field(form, "organization_reason").strip(), read_field(form, "plan")
        try:
            if action == "plan":
                await self._ask(
                    lambda api: api.change_organization_plan(organization.id, plan_id=plan_id, reason=reason)
                )
            elif action == "suspend":
                await self._ask(lambda api: api.suspend_organization(organization.id, reason=reason))
            else:
                await self._ask(lambda api: api.unsuspend_organization(organization.id, reason=reason))
        except OperisError as error:
            self.open_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.asked = ""
        yield rx.toast.success(self._say("organizations.saved", name=organization.name))
        await self._read_one(organization.id)
        await self._read()

    async def _read(self) -> None:
        try:
            found = await self._ask(
                lambda api: api.list_admin_organizations(
                    search=self.search or None, status=self.status or None, limit=25, after=self.after or None
                )
            )
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [_organization(row, self._writer) for row in found.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""

    async def _read_one(self, organization_id: str) -> None:
        try:
            row = await self._ask(lambda api: api.get_admin_organization(organization_id))
            members = await self._ask(lambda api: api.list_admin_members(organization_id, limit=_MEMBERS_MAX))
            plans = await self._ask(lambda api: api.list_plans())
        except OperisError as error:
            self.open_failure = self._explain(error)
            return
        self.shown = _organization(row, self._writer)
        self.members = [write_member(member, self._writer, "", "") for member in members.items]
        self.more_members = members.next is not None
        self.plans = [Plan(plan.id, plan.name) for plan in plans.items]


def _address(parameters: dict[str, str]) -> Any:
    query = urlencode({name: value for name, value in parameters.items() if value})
    return rx.redirect(f"{_ADDRESS}?{query}" if query else _ADDRESS)


def _organization(row: FoundOrganization, writer: Writer) -> OrganizationRow:
    budgets = [SetLimit(name, exact(value)) for name in BUDGETS if (value := getattr(row, name)) is not None]
    counts = [SetLimit(name, writer.count(value)) for name in COUNTS if (value := getattr(row, name)) is not None]
    return OrganizationRow(
        id=row.id,
        name=row.name,
        personal=row.personal,
        status=row.status,
        reason=row.suspended_reason or "",
        plan_id=row.plan_id,
        plan=row.plan_name,
        owner=row.owner_email,
        owner_id=row.owner_id,
        member_count=writer.count(row.members),
        key_count=writer.count(row.keys),
        available=writer.money(row.available),
        held=writer.money(row.held),
        spent=writer.money(row.spent),
        created=writer.moment(row.created_at),
        limits=budgets + counts,
    )


@page(route=_ADDRESS, title="nav.admin_organizations", role="admin", on_load=AdminOrganizations.load)
def admin_organizations() -> rx.Component:
    filtered = (AdminOrganizations.search != "") | (AdminOrganizations.status != "")
    return rx.fragment(
        rx.el.div(
            search_box(
                "organization_search",
                t("organizations.search"),
                AdminOrganizations.search,
                lambda text: AdminOrganizations.choose_filter("search", text),
            ),
            rx.el.select(
                rx.el.option(t("allkeys.all_statuses"), value=""),
                *(rx.el.option(t(f"status.{status}"), value=status) for status in _STATUSES),
                value=AdminOrganizations.status,
                on_change=lambda status: AdminOrganizations.choose_filter("status", status),
                aria_label=t("keys.status"),
                class_name=theme.SELECT + " sm:w-48",
            ),
            class_name="flex flex-col gap-3 sm:flex-row sm:items-center",
        ),
        four_states(
            loaded=AdminOrganizations.loaded,
            failure=AdminOrganizations.failure,
            count=AdminOrganizations.rows.length(),
            retry=AdminOrganizations.load,
            empty=rx.cond(
                filtered,
                empty_state("search-x", t("organizations.none_match"), t("requests.none_match_text")),
                empty_state("building-2", t("organizations.empty"), t("users.empty_text")),
            ),
            full=rx.el.div(
                _table(),
                pager(
                    first=AdminOrganizations.after == "",
                    last=AdminOrganizations.next == "",
                    on_first=AdminOrganizations.turn_page(""),
                    on_next=AdminOrganizations.turn_page(AdminOrganizations.next),
                ),
                class_name="flex flex-col gap-4",
            ),
        ),
        _sheet(),
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("nav.organization")),
            Column(t("users.status")),
            Column(t("organizations.plan"), from_width="md"),
            Column(t("organizations.members"), number=True, from_width="lg"),
            Column(t("users.keys"), number=True, from_width="lg"),
            Column(t("users.spent"), number=True, from_width="md"),
            Column(t("users.available"), number=True),
        ],
        AdminOrganizations.rows,
        lambda row: [
            rx.el.div(
                rx.el.button(
                    row.name,
                    type="button",
                    on_click=AdminOrganizations.open_organization(row.id).stop_propagation,
                    class_name="max-w-36 truncate text-left font-medium cursor-pointer hover:underline rounded-sm "
                    "sm:max-w-72 " + theme.FOCUS,
                ),
                rx.el.span(row.owner, class_name="max-w-36 truncate text-xs text-muted-foreground sm:max-w-72"),
                class_name="flex flex-col items-start gap-0.5",
            ),
            rx.el.div(
                badge(row.status),
                rx.cond(row.personal, quiet_badge(t("organizations.personal")), rx.fragment()),
                class_name="flex flex-wrap gap-1",
            ),
            row.plan,
            rx.el.span(row.member_count, class_name=theme.NUMBER),
            rx.el.span(row.key_count, class_name=theme.NUMBER),
            money(row.spent, theme.NUMBER + " text-muted-foreground"),
            money(row.available, theme.NUMBER + " font-medium"),
        ],
        label=t("nav.admin_organizations"),
        on_open=lambda row: AdminOrganizations.open_organization(row.id),
    )


def _sheet() -> rx.Component:
    shown = AdminOrganizations.shown
    return dialogs.sheet(
        alert(AdminOrganizations.open_failure),
        rx.el.div(
            badge(shown.status),
            rx.cond(shown.personal, quiet_badge(t("organizations.personal")), rx.fragment()),
            rx.el.span(shown.reason, class_name="text-sm text-muted-foreground"),
            class_name="flex flex-wrap items-center gap-2",
        ),
        rx.cond(AdminOrganizations.asked != "", _reason_form(), _actions()),
        facts(
            (t("users.available"), money(shown.available, theme.NUMBER + " font-semibold")),
            (t("users.held"), money(shown.held)),
            (t("users.spent"), money(shown.spent)),
            (t("organizations.plan"), shown.plan),
            (t("users.keys"), _link(shown.key_count, f"/admin/keys?organization_id={shown.id}")),
            (t("role.owner"), _link(shown.owner, f"/admin/users?user={shown.owner_id}")),
            (t("users.joined"), moment(shown.created)),
        ),
        rx.el.div(
            _link(t("users.requests"), f"/admin/requests?organization_id={shown.id}"),
            _link(t("nav.admin_audit"), f"/admin/audit?organization_id={shown.id}"),
            class_name="flex flex-wrap gap-4",
        ),
        _part(
            t("keys.limits"),
            rx.cond(
                shown.limits.length() == 0,
                rx.el.p(t("keys.unlimited"), class_name="text-sm text-muted-foreground"),
                rx.el.ul(
                    rx.foreach(
                        shown.limits,
                        lambda limit: rx.el.li(
                            rx.el.span(limit_name(limit.name), class_name="text-muted-foreground"),
                            rx.el.span(limit.value, class_name=theme.NUMBER),
                            class_name="flex justify-between gap-4 text-sm",
                        ),
                    ),
                    class_name="flex flex-col gap-1",
                ),
            ),
        ),
        _part(
            t("organizations.members"),
            rx.el.ul(
                rx.foreach(
                    AdminOrganizations.members,
                    lambda member: rx.el.li(
                        _link(member.email, f"/admin/users?user={member.id}"),
                        quiet_badge(role_name(member.role)),
                        class_name="flex items-center justify-between gap-4",
                    ),
                ),
                class_name="flex flex-col gap-1.5",
            ),
            rx.cond(
                AdminOrganizations.more_members,
                rx.el.p(t("organizations.more_members", count=_MEMBERS_MAX), class_name=theme.HINT),
                rx.fragment(),
            ),
        ),
        title=shown.name,
        text=shown.id,
        is_open=AdminOrganizations.opened,
        on_open_change=AdminOrganizations.close_organization,
    )


def _part(title: Any, *children: rx.Component) -> rx.Component:
    return rx.el.section(rx.el.h3(title, class_name="text-sm font-medium"), *children, class_name="flex flex-col gap-2")


def _link(text: Any, href: Any) -> rx.Component:
    return page_link(text, href=href, class_name=theme.LINK + " min-w-0 truncate text-sm")


def _actions() -> rx.Component:
    shown = AdminOrganizations.shown
    return rx.cond(
        shown.status == "deleted",
        rx.fragment(),
        rx.el.div(
            permitted("admin.organizations.plan", _button("plan", t("organizations.change_plan"), theme.BUTTON_SMALL)),
            permitted(
                "admin.organizations.edit",
                rx.cond(
                    shown.status == "active",
                    _button("suspend", t("users.suspend"), theme.BUTTON_SMALL_DANGER),
                    _button("unsuspend", t("users.reactivate"), theme.BUTTON_SMALL),
                ),
            ),
            class_name="flex flex-wrap gap-2",
        ),
    )


def _button(action: str, text: rx.Var[str], look: str) -> rx.Component:
    return rx.el.button(text, type="button", on_click=AdminOrganizations.ask(action), class_name=look)


def _reason_form() -> rx.Component:
    asked, name = AdminOrganizations.asked, AdminOrganizations.shown.name
    return reason_form(
        rx.cond(
            asked == "plan",
            field(
                t("organizations.plan"),
                rx.el.select(
                    rx.foreach(AdminOrganizations.plans, lambda plan: rx.el.option(plan.name, value=plan.id)),
                    id="plan",
                    name="plan",
                    default_value=AdminOrganizations.shown.plan_id,
                    class_name=theme.SELECT,
                ),
                name="plan",
            ),
            rx.fragment(),
        ),
        title=rx.match(
            asked,
            ("plan", t("organizations.plan_title", name=name)),
            ("suspend", t("organizations.suspend_title", name=name)),
            t("organizations.unsuspend_title", name=name),
        ),
        action=rx.match(
            asked, ("plan", t("organizations.change_plan")), ("suspend", t("users.suspend")), t("users.reactivate")
        ),
        name="organization_reason",
        busy=AdminOrganizations.busy,
        on_submit=AdminOrganizations.act,
        on_cancel=AdminOrganizations.ask(""),
    )
