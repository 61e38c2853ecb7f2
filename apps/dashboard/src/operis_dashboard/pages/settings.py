"""One's own name, and signing out everywhere."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import reflex as rx

from operis_client import OperisError
from operis_dashboard import runtime, theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import card
from operis_dashboard.components.controls import alert, field, submit, text_input
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_POST_SIGN_OUT = "document.querySelector('form[action=\"/_auth/logout\"]').submit()"


class Settings(Viewer):
    busy: bool = False
    failure: str = ""
    leaving: bool = False

    @rx.event
    def load(self) -> None:
        self.busy, self.failure, self.leaving = False, "", False

    @rx.event
    async def save(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure = True, ""
        yield
        try:
            me = await self._ask(lambda api: api.update_me(name=read_field(form, "name").strip()))
        except OperisError as error:
            self.failure = self._explain(error)
            return
        finally:
            self.busy = False
        session_id = self._session_id()
        session = runtime.sessions().find(session_id)
        if session and session_id:
            runtime.sessions().save(session_id, msgspec.structs.replace(session, name=me.user.name))
        self.name = me.user.name
        yield rx.toast.success(self._say("settings.saved"))

    @rx.event
    def ask_to_leave(self, opened: bool = True) -> None:
        self.leaving = opened

    @rx.event
    async def sign_out_everywhere(self) -> Any:
        try:
            await self._ask(lambda api: api.logout_all())
        except OperisError as error:
            self.failure = self._explain(error)
            return None
        self.leaving = False
        return rx.call_script(_POST_SIGN_OUT)


@page(route="/settings", title="nav.settings", role="user", on_load=Settings.load)
def settings() -> rx.Component:
    return rx.el.div(
        alert(Settings.failure),
        card(
            rx.el.form(
                field(
                    t("field.name"),
                    text_input("name", default_value=Settings.name, key=Settings.name, required=True, max_length=200),
                    name="name",
                ),
                field(t("field.email"), text_input("email", value=Settings.email, disabled=True), name="email"),
                rx.el.div(submit(t("action.save"), busy=Settings.busy), class_name="flex justify-end"),
                on_submit=Settings.save,
                class_name="flex flex-col gap-4",
            ),
            title=t("settings.profile"),
        ),
        card(
            rx.el.p(t("settings.sessions_text"), class_name="-mt-2 text-sm text-muted-foreground"),
            rx.el.div(
                rx.el.button(
                    t("settings.sign_out_all"),
                    type="button",
                    on_click=Settings.ask_to_leave(True),
                    class_name=theme.BUTTON_SMALL_DANGER,
                )
            ),
            title=t("settings.sessions"),
        ),
        dialogs.confirm(
            title=t("settings.sign_out_all_title"),
            text=t("settings.sign_out_all_text", email=Settings.email),
            action=t("settings.sign_out_all"),
            is_open=Settings.leaving,
            on_open_change=Settings.ask_to_leave,
            on_confirm=Settings.sign_out_everywhere,
            busy=Settings.busy,
        ),
        class_name="flex w-full max-w-xl flex-col gap-6",
    )
