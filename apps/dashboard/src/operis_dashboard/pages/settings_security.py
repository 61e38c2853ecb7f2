"""One's password, and the second factor: authenticator, passkeys and recovery codes."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx
import segno

from operis_client import OperisError
from operis_dashboard import theme
from operis_dashboard.components import code, dialogs
from operis_dashboard.components.cards import card
from operis_dashboard.components.controls import alert, copy_button, field, press, submit, text_input
from operis_dashboard.components.display import badge
from operis_dashboard.components.identities import identities_card, identity_dialog
from operis_dashboard.components.passkeys import passkey_dialogs, passkeys_card
from operis_dashboard.components.proof import proof_dialog
from operis_dashboard.components.sections import settings_sections
from operis_dashboard.components.states import failed, skeleton_rows
from operis_dashboard.formatting import Shown
from operis_dashboard.forms import read_field
from operis_dashboard.identities import Identities, IdentityRow
from operis_dashboard.layout import page
from operis_dashboard.passkeys import Passkeys, passkey_row
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_FEW_CODES = 3


class Security(Passkeys, Identities, Viewer):
    loaded: bool = False
    failure: str = ""
    enabled: bool = False
    must_enrol: bool = False
    """Sent here: nothing else opens to an operator without a second factor."""
    since: Shown = Shown()
    codes_left: int = 0
    busy: bool = False

    password_failure: str = ""
    passwords: int = 0
    """How many times it was changed: a new number gives the form empty fields."""

    secret: str = ""
    """Of the authenticator that is being enrolled."""
    picture: str = ""
    form_failure: str = ""
    asking: str = ""
    """What a dialog asks about: remove, replace."""

    @rx.event
    async def load(self) -> None:
        self.busy, self.password_failure, self.form_failure, self.asking = False, "", "", ""
        self.secret, self.picture, self.codes, self.proof_asked = "", "", [], False
        self._close_passkeys()
        self.leaving_identity, self.identity_busy = IdentityRow(), False
        await self._read()

    @rx.event
    async def change_password(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.password_failure = True, ""
        yield
        current, new = read_field(form, "current_password"), read_field(form, "new_password")
        try:
            await self._ask(lambda api: api.change_password(current_password=current, new_password=new))
        except OperisError as error:
            self.password_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.passwords += 1
        yield rx.toast.success(self._say("security.password_changed"))

    @rx.event
    async def enrol(self) -> AsyncGenerator[Any, None]:
        """Fetch a secret for an authenticator; it counts once a code of it was given."""
        self.busy, self.form_failure = True, ""
        yield
        try:
            enrolment = await self._ask(lambda api: api.enrol_second_factor())
        except OperisError as error:
            if not await self._lacks_proof(error, "enrol"):
                yield rx.toast.error(self._explain(error))
            return
        finally:
            self.busy = False
        self.secret = enrolment.secret
        self.picture = segno.make(enrolment.uri, error="m").svg_data_uri(scale=5, border=2, light="white")

    @rx.event
    def stop_enrolling(self, _opened: bool = False) -> None:
        self.secret, self.picture, self.form_failure = "", "", ""

    @rx.event
    async def turn_on(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        if not self.secret:
            return
        self.busy, self.form_failure = True, ""
        yield
        given = read_field(form, "first_code").strip()
        try:
            answer = await self._ask(lambda api: api.confirm_second_factor(code=given))
        except OperisError as error:
            if not await self._lacks_proof(error):
                self.form_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.secret, self.picture, self.codes = "", "", answer.recovery_codes
        await self._read()

    @rx.event
    def forget_codes(self, _opened: bool = False) -> None:
        self.codes = []

    @rx.event
    def save_codes(self) -> Any:
        return rx.download(data="\n".join(self.codes) + "\n", filename="operis-recovery-codes.txt")

    @rx.event
    def ask(self, what: str) -> None:
        self.asking, self.form_failure = what if what in {"remove", "replace"} else "", ""

    @rx.event
    def keep(self, _opened: bool = False) -> None:
        self.asking = ""

    @rx.event
    async def confirm(self) -> AsyncGenerator[Any, None]:
        what = self.asking
        if not what:
            return
        self.busy, self.form_failure = True, ""
        yield
        try:
            if what == "remove":
                await self._ask(lambda api: api.remove_second_factor())
            else:
                self.codes = (await self._ask(lambda api: api.replace_recovery_codes())).recovery_codes
        except OperisError as error:
            if not await self._lacks_proof(error, "confirm"):
                self.form_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.asking = ""
        if what == "remove":
            yield rx.toast.success(self._say("security.removed"))
        await self._read()

    async def _read(self) -> None:
        try:
            found = await self._ask(lambda api: api.get_second_factor())
            passkeys = await self._ask(lambda api: api.list_passkeys())
            await self._read_identities()
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.enabled, self.codes_left = found.enabled_at is not None, found.recovery_codes_left
        self.since = self._writer.moment(found.enabled_at)
        asked = self.router.url.query_parameters.get("enrol") is not None
        self.must_enrol = asked and not self.enabled and not passkeys
        self.passkeys = [passkey_row(one, self._writer) for one in passkeys]
        self.loaded, self.failure = True, ""


@page(route="/settings/security", title="nav.settings", role="user", on_load=Security.load)
def settings_security() -> rx.Component:
    return settings_sections(
        rx.cond(
            Security.failure != "",
            failed(Security.failure, Security.load),
            rx.cond(
                Security.loaded,
                rx.fragment(
                    _demand(),
                    _password(),
                    _second_factor(),
                    passkeys_card(Security),
                    _recovery(),
                    identities_card(Security),
                ),
                skeleton_rows(),
            ),
        ),
        _enrolment(),
        _codes(),
        _confirm(),
        passkey_dialogs(Security),
        identity_dialog(Security),
        proof_dialog(Security),
        here="/settings/security",
    )


def _demand() -> rx.Component:
    return rx.cond(Security.must_enrol, alert(t("security.must_enrol")), rx.fragment())


def _password() -> rx.Component:
    return card(
        rx.el.form(
            alert(Security.password_failure),
            rx.el.div(
                field(
                    t("security.current_password"),
                    text_input("current_password", type="password", auto_complete="current-password", required=True),
                    name="current_password",
                ),
                field(
                    t("field.new_password"),
                    text_input(
                        "new_password",
                        type="password",
                        auto_complete="new-password",
                        required=True,
                        aria_describedby="new_password-hint",
                    ),
                    name="new_password",
                    hint=t("register.password_hint"),
                ),
                class_name="grid grid-cols-1 gap-4 sm:grid-cols-2",
            ),
            rx.el.div(
                rx.el.p(t("security.password_text"), class_name=theme.HINT),
                submit(t("security.change_password"), busy=Security.busy),
                class_name="flex flex-wrap items-center justify-between gap-3",
            ),
            key=Security.passwords.to_string(),
            on_submit=Security.change_password,
            method="post",
            action="/_auth/nojs",
            class_name="flex flex-col gap-4",
        ),
        title=t("field.password"),
    )


def _second_factor() -> rx.Component:
    return card(
        rx.el.p(t("security.factor_text"), class_name="-mt-2 text-sm text-muted-foreground"),
        rx.cond(
            Security.enabled,
            rx.el.div(
                rx.el.p(t("security.since", at=Security.since.text), title=Security.since.exact, class_name="text-sm"),
                rx.el.button(
                    t("security.remove"),
                    type="button",
                    on_click=Security.ask("remove"),
                    class_name=theme.BUTTON_SMALL_DANGER,
                ),
                class_name="flex flex-wrap items-center justify-between gap-3",
            ),
            rx.el.div(press(t("security.set_up"), on_click=Security.enrol, busy=Security.busy)),
        ),
        title=t("security.factor"),
        action=rx.cond(Security.enabled, badge("enabled"), badge("disabled")),
    )


def _recovery() -> rx.Component:
    """What is left of the recovery codes, where anything asks for them."""
    return rx.cond(
        Security.enabled | (Security.passkeys.length() > 0),
        card(
            rx.el.div(
                rx.el.p(
                    t("security.codes_left", count=Security.codes_left),
                    class_name=rx.cond(
                        Security.codes_left < _FEW_CODES, "text-sm text-warning", "text-sm text-muted-foreground"
                    ),
                ),
                rx.el.button(
                    t("security.replace"),
                    type="button",
                    on_click=Security.ask("replace"),
                    class_name=theme.BUTTON_SMALL,
                ),
                class_name="flex flex-wrap items-center justify-between gap-3",
            ),
            title=t("security.codes"),
        ),
        rx.fragment(),
    )


def _enrolment() -> rx.Component:
    return dialogs.dialog(
        rx.el.img(
            src=Security.picture,
            alt=t("security.picture"),
            class_name="mx-auto size-48 rounded border border-border bg-white",
        ),
        rx.el.div(
            rx.el.p(t("security.by_hand"), class_name=theme.HINT),
            code.secret_box(Security.secret, label=t("security.secret")),
            class_name="flex flex-col gap-1.5",
        ),
        rx.el.form(
            alert(Security.form_failure),
            field(
                t("field.code"),
                text_input(
                    "first_code",
                    auto_complete="one-time-code",
                    input_mode="numeric",
                    required=True,
                    max_length=10,
                    auto_focus=True,
                    aria_describedby="first_code-hint",
                ),
                name="first_code",
                hint=t("security.first_code_hint"),
            ),
            dialogs.buttons(dialogs.cancel(), submit(t("security.turn_on"), busy=Security.busy)),
            on_submit=Security.turn_on,
            class_name="flex flex-col gap-4",
        ),
        title=t("security.enrol_title"),
        text=t("security.enrol_text"),
        is_open=(Security.secret != "") & ~Security.proof_asked,
        on_open_change=Security.stop_enrolling,
    )


def _codes() -> rx.Component:
    return dialogs.dialog(
        rx.el.ul(
            rx.foreach(Security.codes, rx.el.li),
            aria_label=t("security.codes"),
            class_name="grid grid-cols-2 gap-x-6 gap-y-1.5 rounded border border-border bg-muted p-4 font-mono text-sm",
        ),
        dialogs.buttons(
            copy_button(Security.codes.join("\n"), look=theme.BUTTON_OUTLINE),
            rx.el.button(
                rx.icon("download", size=14),
                t("security.save_codes"),
                type="button",
                on_click=Security.save_codes,
                class_name=theme.BUTTON_OUTLINE,
            ),
            rx.el.button(
                t("security.codes_kept"), type="button", on_click=Security.forget_codes(False), class_name=theme.BUTTON
            ),
        ),
        title=t("security.codes"),
        text=t("security.codes_text"),
        is_open=Security.codes.length() > 0,
        on_open_change=Security.forget_codes,
    )


def _confirm() -> rx.Component:
    remove = Security.asking == "remove"
    return dialogs.confirm(
        title=rx.cond(remove, t("security.remove_title"), t("security.replace_title")),
        text=rx.cond(remove, t("security.remove_text"), t("security.replace_text")),
        action=rx.cond(remove, t("security.remove"), t("security.replace")),
        is_open=(Security.asking != "") & ~Security.proof_asked,
        on_open_change=Security.keep,
        on_confirm=Security.confirm,
        busy=Security.busy,
        failure=alert(Security.form_failure),
    )
