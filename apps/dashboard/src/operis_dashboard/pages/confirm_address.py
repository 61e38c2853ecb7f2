"""Confirming a new address for an account, by the link that was mailed to it."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import ApiError, OperisError
from operis_dashboard import theme
from operis_dashboard.components.cards import awaited, entrance
from operis_dashboard.components.controls import alert, press
from operis_dashboard.components.links import page_link
from operis_dashboard.following_links import LinkFollower
from operis_dashboard.layout import page
from operis_dashboard.wording import t

_PATH = "/confirm-address"


class ConfirmAddress(LinkFollower):
    stage: str = ""
    """`link`: one is here to be used; `none`: there is none, or it was refused; `done`."""
    busy: bool = False
    failure: str = ""

    @rx.event
    def load(self) -> None:
        self.stage = "link" if self._token(_PATH) else "none"
        self.busy, self.failure = False, ""

    @rx.event
    async def use(self) -> AsyncGenerator[Any, None]:
        self.busy, self.failure = True, ""
        yield
        token = self._token(_PATH)
        try:
            await self._ask_as_visitor(lambda api: api.confirm_address(token=token))
        except OperisError as error:
            self.failure = self._explain(error)
            if isinstance(error, ApiError) and error.code in {"invalid_link", "email_taken"}:
                self.stage = "none"
                yield self._spend(token)
            return
        finally:
            self.busy = False
        if self.email:
            await self._reread()
        self.stage = "done"
        yield self._spend(token)


@page(route=_PATH, title="readdress.title", role="visitor", on_load=ConfirmAddress.load)
def confirm_address() -> rx.Component:
    return rx.match(
        ConfirmAddress.stage,
        (
            "link",
            entrance(
                alert(ConfirmAddress.failure),
                press(t("readdress.action"), on_click=ConfirmAddress.use, busy=ConfirmAddress.busy),
                title=t("readdress.title"),
                text=t("readdress.text"),
            ),
        ),
        (
            "done",
            entrance(
                page_link(t("verify.onward"), href="/settings", class_name=theme.BUTTON),
                title=t("readdress.done"),
                text=t("readdress.done_text"),
            ),
        ),
        (
            "none",
            entrance(
                alert(ConfirmAddress.failure),
                page_link(t("readdress.settings"), href="/settings", class_name=theme.BUTTON),
                title=t("reset.none"),
                text=t("readdress.none_text"),
            ),
        ),
        awaited(),
    )
