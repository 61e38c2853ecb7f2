"""Import of prices by a reviewed diff, and what each plan pays of them."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx
from msgspec import UNSET

from operis_client import OperisError
from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, field, select, submit, text_input
from operis_dashboard.components.display import badge
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, actions, table
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.pricing import ChangeRow, MultiplierRow, write_change, write_multiplier
from operis_dashboard.session import fingerprint
from operis_dashboard.uploads import shelf
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

FILE_CHARACTERS_MAX = 500_000
"""Of a pasted file: what a socket carries. Larger ones are chosen, and come by a door of their own."""
_SEND_FILE = 'globalThis.operisSendFile("/_files/prices", "price_file")'


class AdminPrices(Viewer):
    loaded: bool = False
    failure: str = ""
    busy: bool = False

    changes: list[ChangeRow] = []
    reviewed: bool = False
    unused: int = 0
    addable: int = 0
    flagged: int = 0
    import_failure: str = ""
    file_name: str = ""
    """Of the file that was chosen; empty: one is pasted."""

    multipliers: list[MultiplierRow] = []
    plans: list[dict[str, str]] = []
    models: list[str] = []
    multiplier_failure: str = ""
    removing: str = ""
    removing_name: str = ""
    remove_failure: str = ""

    _request: dict[str, str] = {}
    _plan: str = ""

    @rx.event
    async def load(self) -> None:
        self.file_name = ""  # the browser has forgotten it, too
        await self._read()

    @rx.event
    async def review(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.import_failure, self.reviewed = True, "", False
        pasted = read_field(form, "file", characters_max=FILE_CHARACTERS_MAX)
        self._request = {
            "format": read_field(form, "format"),
            "file": shelf.find(fingerprint(self._session_id())) if self.file_name else pasted,
            "markup": read_field(form, "markup").strip() or "1",
        }
        yield
        try:
            await self._review()
        finally:
            self.busy = False

    @rx.event
    def take_file(self, sent: dict[str, Any]) -> None:
        """Note the file that the browser has sent, or why it could not."""
        self.file_name, self.import_failure = read_field(sent, "name"), read_field(sent, "failure")
        self.reviewed = False

    @rx.event
    async def apply(self, with_flagged: bool = False) -> Any:
        if not self.reviewed:
            return None
        chosen = [row.model for row in self.changes if row.addable and (with_flagged or not row.flags)]
        try:
            done = await self._ask(
                lambda api: api.import_prices(**self._request, plan=self._plan, models=chosen)  # pyright: ignore[reportArgumentType]  # texts by their names
            )
        except OperisError as error:
            self.import_failure = self._explain(error)
            self.reviewed = False
            return None
        self.reviewed, self.changes, self._plan = False, [], ""
        return rx.toast.success(self._say("import.applied", count=self._writer.count(done.added)))

    @rx.event
    async def set_multiplier(self, form: dict[str, Any]) -> Any:
        self.multiplier_failure = ""
        try:
            await self._ask(
                lambda api: api.set_multiplier(
                    plan_id=read_field(form, "plan_id"),
                    model_id=read_field(form, "multiplier_model") or UNSET,
                    multiplier=read_field(form, "multiplier").strip(),
                )
            )
        except OperisError as error:
            self.multiplier_failure = self._explain(error)
            return None
        await self._read()
        return rx.toast.success(self._say("multipliers.saved"))

    @rx.event
    def ask_remove(self, multiplier_id: str, name: str) -> None:
        self.removing, self.removing_name, self.remove_failure = multiplier_id, name, ""

    @rx.event
    def keep(self, _opened: bool = False) -> None:
        self.removing = ""

    @rx.event
    async def remove(self) -> Any:
        if not self.removing:
            return None
        multiplier_id = self.removing
        try:
            await self._ask(lambda api: api.remove_multiplier(multiplier_id))
        except OperisError as error:
            self.remove_failure = self._explain(error)
            return None
        self.removing = ""
        await self._read()
        return rx.toast.success(self._say("multipliers.removed"))

    async def _review(self) -> None:
        try:
            found = await self._ask(lambda api: api.import_prices(**self._request))  # pyright: ignore[reportArgumentType]  # texts by their names
        except OperisError as error:
            self.import_failure = self._explain(error)
            return
        self.changes = [write_change(change) for change in found.changes if change.status != "unchanged"]
        self.addable = sum(row.addable and not row.flags for row in self.changes)
        self.flagged = sum(row.addable and bool(row.flags) for row in self.changes)
        self.unused, self._plan, self.reviewed = found.unused, found.plan, True

    async def _read(self) -> None:
        try:
            multipliers = await self._ask(lambda api: api.list_multipliers())
            plans = await self._ask(lambda api: api.list_plans())
            models = await self._ask(lambda api: api.list_model_rows())
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.multipliers = [write_multiplier(row) for row in multipliers.items]
        self.plans = [{"id": plan.id, "name": plan.name} for plan in plans.items]
        self.models = [model.id for model in models.items]
        self.loaded, self.failure = True, ""


@page(route="/admin/prices", title="nav.admin_prices", role="admin", on_load=AdminPrices.load)
def admin_prices() -> rx.Component:
    return rx.fragment(
        _import_section(),
        _multiplier_section(),
        dialogs.confirm(
            title=t("multipliers.remove_title", name=AdminPrices.removing_name),
            text=t("multipliers.remove_text"),
            action=t("multipliers.remove"),
            is_open=AdminPrices.removing != "",
            on_open_change=AdminPrices.keep,
            on_confirm=AdminPrices.remove,
            busy=AdminPrices.busy,
            failure=alert(AdminPrices.remove_failure),
        ),
    )


def _heading(title: str, text: str) -> rx.Component:
    return rx.el.div(
        rx.el.h2(t(title), class_name="text-base font-semibold"),
        rx.el.p(t(text), class_name="max-w-2xl text-sm text-muted-foreground"),
        class_name="flex flex-col gap-1",
    )


def _import_section() -> rx.Component:
    return rx.el.section(
        _heading("import.title", "import.text"),
        rx.el.form(
            alert(AdminPrices.import_failure),
            rx.el.div(
                field(
                    t("import.format"),
                    select(
                        "format",
                        [("litellm", "LiteLLM"), ("csv", "CSV"), ("json", "JSON")],
                    ),
                    name="format",
                ),
                field(
                    t("import.markup"),
                    text_input("markup", default_value="1", auto_complete="off", aria_describedby="markup-hint"),
                    name="markup",
                    hint=t("import.markup_hint"),
                ),
                class_name="grid gap-3 sm:grid-cols-2",
            ),
            field(
                t("import.file"),
                rx.el.textarea(
                    id="file",
                    name="file",
                    rows="6",
                    required=AdminPrices.file_name == "",
                    disabled=AdminPrices.file_name != "",
                    max_length=FILE_CHARACTERS_MAX,
                    spell_check=False,
                    class_name=theme.TEXTAREA + " font-mono text-xs",
                ),
                name="file",
                hint=t("import.file_hint"),
            ),
            field(
                t("import.choose"),
                rx.el.input(
                    id="price_file",
                    type="file",
                    accept=".json,.csv,.txt",
                    on_change=rx.call_script(_SEND_FILE, callback=AdminPrices.take_file),
                    class_name=theme.INPUT + " cursor-pointer py-1.5",
                ),
                name="price_file",
                hint=rx.cond(
                    AdminPrices.file_name != "",
                    t("import.chosen", name=AdminPrices.file_name),
                    t("import.choose_hint"),
                ),
            ),
            dialogs.buttons(submit(t("import.review"), busy=AdminPrices.busy, look=theme.BUTTON_OUTLINE)),
            on_submit=AdminPrices.review,
            class_name="flex flex-col gap-4 p-4 " + theme.CARD,
        ),
        rx.cond(AdminPrices.reviewed, _diff(), rx.fragment()),
        class_name="flex flex-col gap-4",
    )


def _diff() -> rx.Component:
    return rx.el.div(
        table(
            [
                Column(t("offers.model")),
                Column(t("upstreams.status")),
                Column(t("import.changes")),
            ],
            AdminPrices.changes,
            lambda row: [
                rx.el.div(
                    rx.el.span(row.model, class_name="font-medium break-all"),
                    rx.el.span(row.source, class_name="text-xs text-muted-foreground break-all"),
                    class_name="flex min-w-0 flex-col gap-0.5",
                ),
                badge(row.status),
                rx.el.div(
                    rx.foreach(row.lines, lambda line: rx.el.span(line, class_name="tabular-nums")),
                    rx.foreach(row.flags, lambda flag: rx.el.span(flag, class_name="text-warning")),
                    rx.el.span(row.why, class_name="text-muted-foreground"),
                    class_name="flex flex-col gap-0.5 text-xs",
                ),
            ],
            label=t("import.title"),
        ),
        rx.el.p(t("import.unused", count=AdminPrices.unused), class_name=theme.HINT),
        dialogs.buttons(
            rx.cond(
                AdminPrices.flagged > 0,
                rx.el.button(
                    t("import.apply_flagged", count=AdminPrices.flagged + AdminPrices.addable),
                    type="button",
                    on_click=AdminPrices.apply(True),
                    class_name=theme.BUTTON_OUTLINE,
                ),
                rx.fragment(),
            ),
            rx.el.button(
                t("import.apply", count=AdminPrices.addable),
                type="button",
                disabled=AdminPrices.addable == 0,
                on_click=AdminPrices.apply(False),
                class_name=theme.BUTTON,
            ),
        ),
        class_name="flex flex-col gap-3",
    )


def _multiplier_section() -> rx.Component:
    return rx.el.section(
        _heading("multipliers.title", "multipliers.text"),
        rx.el.form(
            alert(AdminPrices.multiplier_failure),
            rx.el.div(
                field(
                    t("multipliers.plan"),
                    rx.el.select(
                        rx.foreach(AdminPrices.plans, lambda plan: rx.el.option(plan["name"], value=plan["id"])),
                        id="plan_id",
                        name="plan_id",
                        class_name=theme.SELECT,
                    ),
                    name="plan_id",
                ),
                field(
                    t("offers.model"),
                    rx.el.select(
                        rx.el.option(t("multipliers.all"), value=""),
                        rx.foreach(AdminPrices.models, lambda model: rx.el.option(model, value=model)),
                        id="multiplier_model",
                        name="multiplier_model",
                        class_name=theme.SELECT,
                    ),
                    name="multiplier_model",
                ),
                field(
                    t("multipliers.multiplier"),
                    text_input("multiplier", required=True, auto_complete="off", placeholder="0.8"),
                    name="multiplier",
                ),
                class_name="grid gap-3 sm:grid-cols-3",
            ),
            dialogs.buttons(submit(t("multipliers.set"), busy=AdminPrices.busy)),
            on_submit=AdminPrices.set_multiplier,
            class_name="flex flex-col gap-4 p-4 " + theme.CARD,
        ),
        four_states(
            loaded=AdminPrices.loaded,
            failure=AdminPrices.failure,
            count=AdminPrices.multipliers.length(),
            retry=AdminPrices.load,
            empty=empty_state("percent", t("multipliers.empty"), t("multipliers.empty_text")),
            full=_multipliers(),
        ),
        class_name="flex flex-col gap-4",
    )


def _multipliers() -> rx.Component:
    return table(
        [
            Column(t("multipliers.plan")),
            Column(t("offers.model")),
            Column(t("multipliers.multiplier"), number=True),
            Column(rx.el.span(t("table.actions"), class_name="sr-only")),
        ],
        AdminPrices.multipliers,
        lambda row: [
            rx.el.span(row.plan, class_name="font-medium"),
            rx.cond(
                row.model == "",
                rx.el.span(t("multipliers.all"), class_name="text-muted-foreground"),
                rx.el.span(row.model, class_name="break-all"),
            ),
            rx.el.span(row.multiplier, class_name=theme.NUMBER),
            actions(
                rx.el.button(
                    t("multipliers.remove"),
                    type="button",
                    on_click=AdminPrices.ask_remove(row.id, row.name),
                    class_name=theme.BUTTON_SMALL_DANGER,
                )
            ),
        ],
        label=t("multipliers.title"),
    )
