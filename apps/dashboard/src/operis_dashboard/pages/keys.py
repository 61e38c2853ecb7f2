"""API keys: list, mint, reveal once, change, rotate, disable, revoke, delete. A secret is in one answer alone."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import reflex as rx

from operis_client import ApiError, AsyncOperis, OperisError
from operis_client.models import ApiKey, MintedKey
from operis_dashboard import theme
from operis_dashboard.components import code, dialogs
from operis_dashboard.components.controls import alert
from operis_dashboard.components.display import moment, money
from operis_dashboard.components.key_actions import key_actions, rotate_form
from operis_dashboard.components.key_form import key_form
from operis_dashboard.components.key_sheet import binding_limit, key_badges, key_detail
from operis_dashboard.components.links import file_link, page_link
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import Column, pager, table
from operis_dashboard.downloads import DOWNLOADS
from operis_dashboard.forms import read_field
from operis_dashboard.keyring import SCOPES, SCOPES_DEFAULT, KeyRow, read_wishes, write_form, write_key
from operis_dashboard.layout import page
from operis_dashboard.snippets import Snippets, write_snippets
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


class Keys(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[KeyRow] = []
    next: str = ""
    after: str = ""
    busy: bool = False

    minting: bool = False
    """Whether the form is open, for a new key or for the opened one."""
    editing: bool = False
    mint_failure: str = ""
    draft: dict[str, str] = {}
    models: list[str] = []
    chosen: list[str] = []
    scopes: list[str] = SCOPES_DEFAULT
    service: bool = False
    forms: int = 0

    secret: str = ""
    rotated: bool = False
    overlap_ends: str = ""
    snippets: Snippets = Snippets()

    opened: bool = False
    shown: KeyRow = KeyRow()
    open_failure: str = ""
    rotating: bool = False
    revoking_id: str = ""
    revoking_name: str = ""
    deleting: bool = False
    """Whether what is asked for is to delete rather than to revoke."""
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
        self._begin_form(opened)
        if opened:
            await self._read_models()

    @rx.event
    async def open_edit(self) -> None:
        """Open the form on the key that the sheet shows, with what it is now."""
        key_id = self.shown.id
        try:
            key = await self._ask(lambda api: api.get_key(key_id))
        except OperisError as error:
            self.open_failure = self._explain(error)
            return
        await self._read_models()
        self._begin_form(opened=True)
        self.editing, self.opened = True, False
        self.shown, self.scopes, self.service = write_key(key, self._writer), list(key.scopes), key.service
        self.chosen = [model for model in key.models if model in self.models]
        patterns = " ".join(model for model in key.models if model not in self.models)
        self.draft = {**write_form(key), "patterns": patterns}

    @rx.event
    def choose_model(self, model: str) -> None:
        self.chosen = _toggle(self.chosen, model)

    @rx.event
    def choose_scope(self, scope: str) -> None:
        self.scopes = [name for name in _toggle(self.scopes, scope) if name in SCOPES]

    @rx.event
    def choose_service(self, _checked: bool) -> None:
        self.service = not self.service

    @rx.event
    async def mint(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Mint what the form asks for, or change the key that is being edited; a refusal keeps the form."""
        if not self.minting:
            return  # the second click of a double click: the first one has minted and closed the dialog
        self.busy, self.mint_failure = True, ""
        yield
        try:
            wishes = read_wishes(form, scopes=list(self.scopes), models=list(self.chosen))
            if self.editing:
                key_id = self.shown.id
                changed = await self._ask(lambda api: api.update_key(key_id, **wishes))
                said = self._say("keys.changed", name=changed.name)
            else:
                attempt, service = self._attempt, self.service
                minted = await self._ask(lambda api: api.mint_key(**wishes, service=service, idempotency_key=attempt))
                self._reveal(minted)
                said = ""
        except ValueError:
            self.mint_failure = self._say("keys.limit_numbers")
            return
        except OperisError as error:
            self.mint_failure = self._explain(error)
            if isinstance(error, ApiError):
                self._attempt = str(uuid4())  # refused, so nothing was minted: a changed form is a new attempt
            return
        finally:
            self.busy = False
        self.minting = False
        if said:
            yield rx.toast.success(said)
        await self._read()

    @rx.event
    def forget_secret(self, _opened: bool = False) -> None:
        """Drop the secret from the page: from here on nobody can show it again."""
        self.secret, self.snippets, self.rotated, self.overlap_ends = "", Snippets(), False, ""

    @rx.event
    def open_key(self, key_id: str) -> None:
        found = next((row for row in self.rows if row.id == key_id), None)
        if found:
            self.shown, self.opened, self.open_failure, self.rotating = found, True, "", False

    @rx.event
    def close_key(self, _opened: bool = False) -> None:
        self.opened = False

    @rx.event
    def ask_rotate(self, asked: bool = True) -> None:
        self.rotating, self.open_failure, self._attempt = asked, "", str(uuid4())

    @rx.event
    async def rotate(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not (self.opened and self.rotating) or self.busy:
            return
        self.busy, self.open_failure = True, ""
        yield
        key_id, attempt, overlap = self.shown.id, self._attempt, read_field(form, "overlap")
        try:
            minted = await self._ask(lambda api: api.rotate_key(key_id, overlap=overlap, idempotency_key=attempt))
        except OperisError as error:
            self.open_failure = self._explain(error)
            if isinstance(error, ApiError):
                self._attempt = str(uuid4())
            return
        finally:
            self.busy = False
        self.opened = self.rotating = False
        self._reveal(minted)
        self.rotated = True
        ends_at = minted.key.old_secret_expires_at
        self.overlap_ends = self._writer.moment(ends_at).text if ends_at else ""
        await self._read()

    @rx.event
    async def disable(self) -> AsyncGenerator[Any, None]:
        key_id = self.shown.id
        async for event in self._change(lambda api: api.disable_key(key_id), "keys.disabled"):
            yield event

    @rx.event
    async def enable(self) -> AsyncGenerator[Any, None]:
        key_id = self.shown.id
        async for event in self._change(lambda api: api.enable_key(key_id), "keys.enabled"):
            yield event

    @rx.event
    def ask_revoke(self, key_id: str, name: str, deleting: bool = False) -> None:
        self.revoking_id, self.revoking_name, self.deleting, self.revoke_failure = key_id, name, deleting, ""
        self.opened = False

    @rx.event
    def keep_key(self, _opened: bool = False) -> None:
        self.revoking_id = ""

    @rx.event
    async def revoke(self) -> AsyncGenerator[Any, None]:
        """Revoke or delete, as it was asked."""
        if not self.revoking_id:
            return
        self.busy = True
        yield
        key_id, deleting = self.revoking_id, self.deleting
        try:
            if deleting:
                await self._ask(lambda api: api.delete_key(key_id))
            else:
                await self._ask(lambda api: api.revoke_key(key_id))
        except OperisError as error:
            self.revoke_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.revoking_id = ""
        said = "keys.deleted" if deleting else "keys.revoked"
        yield rx.toast.success(self._say(said, name=self.revoking_name))
        await self._read()

    def _begin_form(self, opened: bool) -> None:
        self.minting, self.editing, self.mint_failure = opened, False, ""
        self.draft, self.chosen, self.scopes, self.service = {}, [], list(SCOPES_DEFAULT), False
        self.forms, self._attempt = self.forms + 1, str(uuid4())

    def _reveal(self, minted: MintedKey) -> None:
        self.secret = minted.secret
        named = [model for model in (*minted.key.models, *self.models) if not model.endswith("*")]
        self.snippets = write_snippets(self.api_url, minted.secret, next(iter(named), "operis/echo"))

    async def _change(self, call: Callable[[AsyncOperis], Awaitable[ApiKey]], said: str) -> AsyncGenerator[Any, None]:
        """Change the opened key at once, say so, and show what it has become."""
        if not self.opened or self.busy:
            return
        self.busy, self.open_failure = True, ""
        yield
        try:
            key = await self._ask(call)
        except OperisError as error:
            self.open_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.shown = write_key(key, self._writer)
        yield rx.toast.success(self._say(said, name=key.name))
        await self._read()

    async def _read(self) -> None:
        try:
            found = await self._ask(lambda api: api.list_keys(limit=25, after=self.after or None))
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [write_key(key, self._writer) for key in found.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""

    async def _read_models(self) -> None:
        try:
            self.models = [model.id for model in (await self._ask(lambda api: api.list_models())).items]
        except OperisError as error:
            self.mint_failure = self._explain(error)


def _toggle(names: list[str], name: str) -> list[str]:
    return [kept for kept in names if kept != name] if name in names else [*names, name]


@page(route="/keys", title="nav.keys", role="user", on_load=Keys.load)
def keys() -> rx.Component:
    return rx.fragment(
        rx.el.div(
            rx.el.p(t("keys.text"), class_name="max-w-2xl text-sm text-muted-foreground"),
            rx.el.div(
                rx.el.button(
                    rx.icon("plus", size=16),
                    t("keys.create"),
                    type="button",
                    on_click=Keys.open_mint(True),
                    class_name=theme.BUTTON,
                ),
                file_link(
                    rx.icon("download", size=14),
                    t("action.csv"),
                    href=f"{DOWNLOADS}keys.csv",
                    class_name=theme.BUTTON_OUTLINE,
                ),
                class_name="flex shrink-0 flex-row-reverse justify-end gap-2",
            ),
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
        _form_dialog(),
        _secret_dialog(),
        _sheet(),
        dialogs.confirm(
            title=rx.cond(
                Keys.deleting,
                t("keys.delete_title", name=Keys.revoking_name),
                t("keys.revoke_title", name=Keys.revoking_name),
            ),
            text=rx.cond(Keys.deleting, t("keys.delete_text"), t("keys.revoke_text")),
            action=rx.cond(Keys.deleting, t("keys.delete"), t("keys.revoke")),
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
            Column(t("keys.owner"), from_width="xl"),
            Column(t("keys.binding"), from_width="md"),
            Column(t("keys.last_used"), from_width="lg"),
            Column(t("keys.requests_errors"), number=True, from_width="lg"),
            Column(t("keys.spent"), number=True, from_width="sm"),
        ],
        Keys.rows,
        lambda row: [
            rx.el.div(
                rx.el.button(
                    row.name,
                    type="button",
                    on_click=Keys.open_key(row.id).stop_propagation,
                    class_name="max-w-44 truncate text-left font-medium cursor-pointer hover:underline rounded-sm "
                    + theme.FOCUS,
                ),
                rx.el.span(row.prefix, class_name="font-mono text-xs text-muted-foreground whitespace-nowrap"),
                class_name="flex flex-col items-start gap-0.5 min-w-0",
            ),
            key_badges(row),
            rx.el.span(row.owner, title=row.owner, class_name="block max-w-44 truncate text-muted-foreground"),
            binding_limit(row),
            rx.cond(row.last_used.exact != "", moment(row.last_used), t("keys.never")),
            rx.el.span(row.requests, " / ", row.errors, class_name=theme.NUMBER + " text-muted-foreground"),
            money(row.spent, theme.NUMBER + " font-medium"),
        ],
        label=t("nav.keys"),
        on_open=lambda row: Keys.open_key(row.id),
    )


def _form_dialog() -> rx.Component:
    return dialogs.dialog(
        key_form(
            draft=Keys.draft,
            editing=Keys.editing,
            expiry=rx.cond(Keys.shown.expires.exact != "", Keys.shown.expires.text, t("keys.never")),
            failure=Keys.mint_failure,
            busy=Keys.busy,
            models=Keys.models,
            chosen_models=Keys.chosen,
            on_model=Keys.choose_model,
            chosen_scopes=Keys.scopes,
            on_scope=Keys.choose_scope,
            service=Keys.service,
            on_service=Keys.choose_service,
            forms=Keys.forms,
            on_submit=Keys.mint,
        ),
        title=rx.cond(Keys.editing, t("keys.edit_title", name=Keys.shown.name), t("keys.create_title")),
        text=rx.cond(Keys.editing, t("keys.edit_text"), t("keys.create_text")),
        is_open=Keys.minting,
        on_open_change=Keys.open_mint,
    )


def _secret_dialog() -> rx.Component:
    return dialogs.dialog(
        code.secret_box(Keys.secret, label=t("keys.secret")),
        rx.cond(
            Keys.rotated,
            rx.el.p(
                rx.cond(
                    Keys.overlap_ends != "",
                    t("keys.old_secret_until", at=Keys.overlap_ends),
                    t("keys.old_secret_over"),
                ),
                class_name="rounded bg-warning-soft px-3 py-2 text-sm text-warning",
            ),
            rx.fragment(),
        ),
        code.snippet_tabs(Keys.snippets, chosen=Viewer.snippet, on_choose=Viewer.choose_snippet),
        dialogs.buttons(
            rx.el.button(t("keys.stored"), type="button", on_click=Keys.forget_secret(False), class_name=theme.BUTTON)
        ),
        title=t("keys.secret_title"),
        text=t("keys.secret_text"),
        is_open=Keys.secret != "",
        on_open_change=Keys.forget_secret,
    )


def _sheet() -> rx.Component:
    shown = Keys.shown
    return dialogs.sheet(
        alert(Keys.open_failure),
        rx.cond(
            Keys.rotating,
            rotate_form(busy=Keys.busy, on_cancel=Keys.ask_rotate(False), on_rotate=Keys.rotate),
            key_actions(
                shown,
                busy=Keys.busy,
                on_edit=Keys.open_edit,
                on_rotate=Keys.ask_rotate(True),
                on_enable=Keys.enable,
                on_disable=Keys.disable,
                on_revoke=Keys.ask_revoke(shown.id, shown.name, False),
                on_delete=Keys.ask_revoke(shown.id, shown.name, True),
            ),
        ),
        key_detail(shown),
        page_link(t("users.requests"), href=f"/requests?key_id={shown.id}", class_name=theme.LINK + " w-fit text-sm"),
        title=shown.name,
        text=t("keys.sheet_text"),
        is_open=Keys.opened,
        on_open_change=Keys.close_key,
    )
