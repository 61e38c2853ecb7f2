"""Taking a changed address back, by the link that was mailed to the old one. All sessions end."""

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

_PATH = "/undo-address"


class UndoAddress(LinkFollower):
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
            await self._ask_as_visitor(lambda api: api.undo_address(token=token))
        except OperisError as error:
            self.failure = self._explain(error)
            if isinstance(error, ApiError) and error.code in {"invalid_link", "email_taken"}:
                self.stage = "none"
                yield self._spend(token)
            return
        finally:
            self.busy = False
        self.stage = "done"
        yield self._spend(token)


@page(route=_PATH, title="undo.title", role="visitor", on_load=UndoAddress.load)
def undo_address() -> rx.Component:
    return rx.match(
        UndoAddress.stage,
        (
            "link",
            entrance(
                alert(UndoAddress.failure),
                press(t("undo.action"), on_click=UndoAddress.use, busy=UndoAddress.busy),
                title=t("undo.title"),
                text=t("undo.text"),
            ),
        ),
        (
            "done",
            entrance(
                page_link(t("verify.onward"), href="/login", class_name=theme.BUTTON),
                title=t("undo.done"),
                text=t("undo.done_text"),
            ),
        ),
        (
            "none",
            entrance(
                alert(UndoAddress.failure),
                page_link(t("undo.settings"), href="/forgot-password", class_name=theme.BUTTON),
                title=t("reset.none"),
                text=t("undo.none_text"),
            ),
        ),
        awaited(),
    )
