"""API keys: list, mint, reveal once, revoke."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from dataclasses import field as default
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import reflex as rx
from msgspec import UNSET

from operis_client import ApiError, OperisError
from operis_client.models import ApiKey
from operis_dashboard import theme
from operis_dashboard.components import code, dialogs
from operis_dashboard.components.controls import alert, choice, field, select, submit, text_input
from operis_dashboard.components.display import badge, moment, money
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, actions, pager, table
from operis_dashboard.formatting import Shown, Writer
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.snippets import Snippets, write_snippets
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_LIFETIMES_DAYS = {"7": 7, "30": 30, "90": 90, "365": 365}


@dataclass(frozen=True)
class KeyRow:
    id: str = ""
    name: str = ""
    prefix: str = ""
    status: str = ""
    models: str = ""
    spent: Shown = default(default_factory=Shown)
    requests: str = ""
    last_used: Shown = default(default_factory=Shown)
    expires: Shown = default(default_factory=Shown)


class Keys(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[KeyRow] = []
    next: str = ""
    after: str = ""

    minting: bool = False
    busy: bool = False
    mint_failure: str = ""
    models: list[str] = []
    chosen: list[str] = []
    secret: str = ""
    snippets: Snippets = Snippets()

    revoking_id: str = ""
    revoking_name: str = ""
    revoke_failure: str = ""

    _attempt: str = ""

    @rx.event
    async def load(self) -> None:
        self.after = self.router.url.query_parameters.get("after", "")
        await self._read()

    @rx.event
    def turn_page(self, after: str) -> Any:
        return rx.redirect(f"/keys?{urlencode({'after': after})}" if after else "/keys")

    @rx.event
    async def open_mint(self, opened: bool = True) -> None:
        self.minting, self.mint_failure, self.chosen = opened, "", []
        self._attempt = str(uuid4())
        if not opened:
            return
        try:
            self.models = [model.id for model in (await self._ask(lambda api: api.list_models())).items]
        except OperisError as error:
            self.mint_failure = self._explain(error)

    @rx.event
    def choose_model(self, model: str) -> None:
        self.chosen = [name for name in self.chosen if name != model] if model in self.chosen else [*self.chosen, model]

    @rx.event
    async def mint(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.minting:
            return  # the second click of a double click: the first one has minted and closed the dialog
        self.busy, self.mint_failure = True, ""
        yield
        days = _LIFETIMES_DAYS.get(read_field(form, "lifetime"))
        expires_at = datetime.now(UTC) + timedelta(days=days) if days else UNSET
        try:
            minted = await self._ask(
                lambda api: api.mint_key(
                    name=read_field(form, "key_name").strip(),
                    models=list(self.chosen) or UNSET,
                    expires_at=expires_at,
                    idempotency_key=self._attempt,
                )
            )
        except OperisError as error:
            self.mint_failure = self._explain(error)
            if isinstance(error, ApiError):
                self._attempt = str(uuid4())  # refused, so nothing was minted: a changed form is a new attempt
            return
        finally:
            self.busy = False
        self.minting = False
        self.secret = minted.secret
        model = next(iter(minted.key.models or self.models), "operis/echo")
        self.snippets = write_snippets(self.api_url, minted.secret, model)
        await self._read()

    @rx.event
    def forget_secret(self, _opened: bool = False) -> None:
        """Drop the secret from the page: from here on nobody can show it again."""
        self.secret, self.snippets = "", Snippets()

    @rx.event
    def ask_revoke(self, key_id: str, name: str) -> None:
        self.revoking_id, self.revoking_name, self.revoke_failure = key_id, name, ""

    @rx.event
    def keep_key(self, _opened: bool = False) -> None:
        self.revoking_id = ""

    @rx.event
    async def revoke(self) -> AsyncGenerator[Any, None]:
        if not self.revoking_id:
            return
        self.busy = True
        yield
        key_id = self.revoking_id
        try:
            await self._ask(lambda api: api.revoke_key(key_id))
        except OperisError as error:
            self.revoke_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.revoking_id = ""
        yield rx.toast.success(self._say("keys.revoked", name=self.revoking_name))
        await self._read()

    async def _read(self) -> None:
        try:
            found = await self._ask(lambda api: api.list_keys(after=self.after or None))
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [
            _row(key, self._writer, self._say("keys.all_models"), self._say("keys.never")) for key in found.items
        ]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""


def _row(key: ApiKey, writer: Writer, all_models: str, never: str) -> KeyRow:
    return KeyRow(
        id=key.id,
        name=key.name,
        prefix=f"{key.prefix}…{key.last_four}",
        status=key.status,
        models=", ".join(key.models) or all_models,
        spent=writer.money(key.spent),
        requests=writer.count(key.requests),
        last_used=writer.moment(key.last_used_at) if key.last_used_at else Shown(never, ""),
        expires=writer.moment(key.expires_at) if key.expires_at else Shown(never, ""),
    )


@page(route="/keys", title="nav.keys", role="user", on_load=Keys.load)
def keys() -> rx.Component:
    create = rx.el.button(
        rx.icon("plus", size=16),
        t("keys.create"),
        type="button",
        on_click=Keys.open_mint(True),
        class_name=theme.BUTTON,
    )
    return rx.fragment(
        rx.el.div(
            rx.el.p(t("keys.text"), class_name="max-w-2xl text-sm text-muted-foreground"),
            create,
            class_name="flex flex-col gap-4 sm:flex-row sm:items-center sm:justify-between",
        ),
        four_states(
            loaded=Keys.loaded,
            failure=Keys.failure,
            count=Keys.rows.length(),
            retry=Keys.load,
            empty=empty_state("key-round", t("keys.empty"), t("keys.empty_text")),
            full=rx.el.div(
                _table(),
                pager(
                    first=Keys.after == "",
                    last=Keys.next == "",
                    on_first=Keys.turn_page(""),
                    on_next=Keys.turn_page(Keys.next),
                ),
                class_name="flex flex-col gap-4",
            ),
        ),
        _mint_dialog(),
        _secret_dialog(),
        dialogs.confirm(
            title=t("keys.revoke_title", name=Keys.revoking_name),
            text=t("keys.revoke_text"),
            action=t("keys.revoke"),
            is_open=Keys.revoking_id != "",
            on_open_change=Keys.keep_key,
            on_confirm=Keys.revoke,
            busy=Keys.busy,
            failure=alert(Keys.revoke_failure),
        ),
    )


def _table() -> rx.Component:
    return table(
        [
            Column(t("keys.name")),
            Column(t("keys.status")),
            Column(t("keys.models"), from_width="lg"),
            Column(t("keys.last_used"), from_width="md"),
            Column(t("keys.expires"), from_width="lg"),
            Column(t("keys.requests"), number=True, from_width="sm"),
            Column(t("keys.spent"), number=True, from_width="sm"),
            Column(rx.el.span(t("table.actions"), class_name="sr-only")),
        ],
        Keys.rows,
        lambda row: [
            rx.el.div(
                rx.el.span(row.name, class_name="font-medium truncate max-w-44"),
                rx.el.span(row.prefix, class_name="font-mono text-xs text-muted-foreground whitespace-nowrap"),
                class_name="flex flex-col gap-0.5 min-w-0",
            ),
            badge(row.status),
            rx.el.span(row.models, title=row.models, class_name="block max-w-48 truncate text-muted-foreground"),
            moment(row.last_used),
            moment(row.expires),
            rx.el.span(row.requests, class_name=theme.NUMBER),
            money(row.spent),
            actions(
                rx.cond(
                    row.status == "active",
                    rx.el.button(
                        t("keys.revoke"),
                        type="button",
                        on_click=Keys.ask_revoke(row.id, row.name),
                        class_name=theme.BUTTON_SMALL_DANGER,
                    ),
                    rx.fragment(),
                )
            ),
        ],
        label=t("nav.keys"),
    )


def _mint_dialog() -> rx.Component:
    return dialogs.dialog(
        rx.el.form(
            alert(Keys.mint_failure),
            field(
                t("keys.name"),
                text_input(
                    "key_name", required=True, max_length=100, placeholder=t("keys.name_example"), auto_complete="off"
                ),
                name="key_name",
            ),
            rx.el.fieldset(
                rx.el.legend(t("keys.models"), class_name=theme.LABEL + " mb-1.5"),
                rx.el.div(
                    rx.foreach(
                        Keys.models,
                        lambda model: choice(
                            model,
                            model,
                            checked=Keys.chosen.contains(model),
                            on_change=lambda _checked: Keys.choose_model(model),
                        ),
                    ),
                    class_name="grid max-h-40 grid-cols-1 gap-2 overflow-y-auto rounded border border-input p-3 "
                    "sm:grid-cols-2",
                ),
                rx.el.p(t("keys.models_hint"), class_name=theme.HINT + " mt-1.5"),
            ),
            field(
                t("keys.expires"),
                select(
                    "lifetime",
                    [
                        ("", t("keys.lifetime_never")),
                        ("7", t("keys.lifetime_days", days=7)),
                        ("30", t("keys.lifetime_days", days=30)),
                        ("90", t("keys.lifetime_days", days=90)),
                        ("365", t("keys.lifetime_days", days=365)),
                    ],
                ),
                name="lifetime",
            ),
            dialogs.buttons(dialogs.cancel(), submit(t("keys.create"), busy=Keys.busy)),
            on_submit=Keys.mint,
            class_name="flex flex-col gap-4",
        ),
        title=t("keys.create_title"),
        text=t("keys.create_text"),
        is_open=Keys.minting,
        on_open_change=Keys.open_mint,
    )


def _secret_dialog() -> rx.Component:
    return dialogs.dialog(
        code.secret_box(Keys.secret, label=t("keys.secret")),
        code.snippet_tabs(Keys.snippets, chosen=Viewer.snippet, on_choose=Viewer.choose_snippet),
        dialogs.buttons(
            rx.el.button(t("keys.stored"), type="button", on_click=Keys.forget_secret(False), class_name=theme.BUTTON)
        ),
        title=t("keys.secret_title"),
        text=t("keys.secret_text"),
        is_open=Keys.secret != "",
        on_open_change=Keys.forget_secret,
    )
