"""One's own name, address, language and time zone."""

from collections.abc import AsyncGenerator
from typing import Any
from zoneinfo import available_timezones

import reflex as rx

from operis_client import OperisError
from operis_client.models import Me
from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.cards import card
from operis_dashboard.components.controls import LANGUAGE_NAMES, alert, field, notice, select, submit, text_input
from operis_dashboard.components.display import badge
from operis_dashboard.components.links import page_link
from operis_dashboard.components.proof import proof_dialog
from operis_dashboard.components.sections import settings_sections
from operis_dashboard.components.states import failed, skeleton_rows
from operis_dashboard.forms import read_field
from operis_dashboard.layout import page
from operis_dashboard.proving import Proving
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_NO_ZONE = "UTC"


class Settings(Proving, Viewer):
    loaded: bool = False
    load_failure: str = ""
    busy: bool = False
    failure: str = ""
    own_name: str = ""
    verified: bool = True
    locale: str = "en"
    time_zone: str = _NO_ZONE
    zones: list[str] = []

    readdressing: bool = False
    address_failure: str = ""
    sent_to: str = ""

    _wanted: str = ""

    @rx.event
    async def load(self) -> None:
        self.busy, self.failure, self.readdressing, self.sent_to, self.proof_asked = False, "", False, "", False
        if not self.zones:
            self.zones = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))
        try:
            self._show(await self._ask(lambda api: api.get_me()))
            self.load_failure = ""
        except OperisError as error:
            self.load_failure = self._explain(error)

    @rx.event
    async def save(self, form: dict[str, Any]) -> AsyncGenerator[Any, None]:
        self.busy, self.failure = True, ""
        yield
        name, locale = read_field(form, "name").strip(), read_field(form, "locale")
        zone = read_field(form, "time_zone")
        try:
            me = await self._ask(lambda api: api.update_me(name=name, locale=locale, time_zone=zone))
            await self._reread()
        except OperisError as error:
            self.failure = self._explain(error)
            return
        finally:
            self.busy = False
        self._show(me)
        yield rx.toast.success(self._say("settings.saved"))
        if locale != self.language:
            yield Viewer.choose_language(locale)

    @rx.event
    def open_address(self, opened: bool = True) -> None:
        self.readdressing, self.address_failure, self.sent_to = opened, "", ""

    @rx.event
    async def change_address(self, form: dict[str, Any]) -> Any:
        self._wanted = read_field(form, "new_email").strip()
        return Settings.send_address

    @rx.event
    async def send_address(self) -> AsyncGenerator[Any, None]:
        if not self.readdressing or not self._wanted:
            return
        self.busy, self.address_failure = True, ""
        yield
        wanted = self._wanted
        try:
            await self._ask(lambda api: api.change_address(email=wanted))
        except OperisError as error:
            if not await self._lacks_proof(error, "send_address"):
                self.address_failure = self._explain(error)
            return
        finally:
            self.busy = False
        self.readdressing, self.sent_to, self._wanted = False, wanted, ""

    def _show(self, me: Me) -> None:
        self.own_name, self.verified = me.user.name, me.user.email_verified
        self.locale, self.time_zone = me.user.locale, me.user.time_zone
        self.loaded = True


@page(route="/settings", title="nav.settings", role="user", on_load=Settings.load)
def settings() -> rx.Component:
    return settings_sections(
        rx.cond(
            Settings.load_failure != "",
            failed(Settings.load_failure, Settings.load),
            rx.cond(Settings.loaded, rx.fragment(_profile(), _address()), skeleton_rows()),
        ),
        _address_dialog(),
        proof_dialog(Settings),
        here="/settings",
    )


def _profile() -> rx.Component:
    return card(
        rx.el.form(
            alert(Settings.failure),
            field(
                t("field.name"),
                text_input(
                    "name", default_value=Settings.own_name, required=True, max_length=200, auto_complete="name"
                ),
                name="name",
            ),
            rx.el.div(
                field(
                    t("settings.language"),
                    select("locale", LANGUAGE_NAMES, default_value=Settings.locale),
                    name="locale",
                    hint=t("settings.language_hint"),
                ),
                field(
                    t("settings.time_zone"),
                    rx.el.select(
                        rx.el.option(t("settings.zone_of_browser"), value=_NO_ZONE),
                        rx.foreach(Settings.zones, lambda zone: rx.el.option(zone, value=zone)),
                        id="time_zone",
                        name="time_zone",
                        default_value=Settings.time_zone,
                        class_name=theme.SELECT,
                    ),
                    name="time_zone",
                    hint=t("settings.zone_hint"),
                ),
                class_name="grid grid-cols-1 gap-4 sm:grid-cols-2",
            ),
            rx.el.div(submit(t("action.save"), busy=Settings.busy), class_name="flex justify-end"),
            on_submit=Settings.save,
            class_name="flex flex-col gap-4",
        ),
        title=t("settings.profile"),
    )


def _address() -> rx.Component:
    return card(
        rx.cond(Settings.sent_to != "", notice(t("settings.address_sent", email=Settings.sent_to)), rx.fragment()),
        rx.el.div(
            rx.el.span(Settings.email, class_name="min-w-0 truncate text-sm"),
            rx.cond(
                Settings.verified,
                badge("verified"),
                rx.fragment(
                    badge("unverified"),
                    page_link(t("settings.verify"), href="/verify-email", class_name=theme.LINK + " text-sm"),
                ),
            ),
            class_name="flex flex-wrap items-center gap-2",
        ),
        title=t("field.email"),
        action=rx.el.button(
            t("settings.change_address"),
            type="button",
            on_click=Settings.open_address(True),
            class_name=theme.BUTTON_SMALL,
        ),
    )


def _address_dialog() -> rx.Component:
    return dialogs.dialog(
        rx.el.form(
            alert(Settings.address_failure),
            field(
                t("settings.new_address"),
                text_input("new_email", type="email", auto_complete="email", required=True),
                name="new_email",
            ),
            dialogs.buttons(dialogs.cancel(), submit(t("settings.send_link"), busy=Settings.busy)),
            on_submit=Settings.change_address,
            class_name="flex flex-col gap-4",
        ),
        title=t("settings.change_address"),
        text=t("settings.address_text"),
        is_open=Settings.readdressing & ~Settings.proof_asked,
        on_open_change=Settings.open_address,
    )
