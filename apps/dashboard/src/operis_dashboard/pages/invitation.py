"""Accepting an invitation into an organization, by the link that was mailed."""

from collections.abc import AsyncGenerator
from typing import Any

import reflex as rx

from operis_client import ApiError, OperisError
from operis_dashboard import runtime, theme
from operis_dashboard.components.cards import awaited, entrance
from operis_dashboard.components.controls import alert, press
from operis_dashboard.components.forms import plain_form
from operis_dashboard.components.links import page_link
from operis_dashboard.following_links import LinkFollower
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t

_PATH = "/invitation"
_NEXT = "?next=%2Finvitation"


class InvitationPage(LinkFollower):
    stage: str = ""
    """`visitor`: sign in first; `link`: one is here to be used; `none`: there is none, or it is over; `done`."""
    busy: bool = False
    failure: str = ""
    joined: str = ""
    other_address: bool = False
    """The invitation is for another address than the signed-in one, or that is not proven yet."""

    @rx.event
    def load(self) -> None:
        self.stage = ("link" if self.email else "visitor") if self._token(_PATH) else "none"
        self.busy, self.failure, self.other_address = False, "", False

    @rx.event
    async def accept(self) -> AsyncGenerator[Any, None]:
        token = self._token(_PATH)
        if not token:
            return
        self.busy, self.failure, self.other_address = True, "", False
        yield
        try:
            known = {place.id for place in self.organizations}
            await self._ask(lambda api: api.accept_invitation(token=token))
            await self._enter_new(known)
        except OperisError as error:
            self.failure = self._explain(error)
            self.other_address = isinstance(error, ApiError) and error.code == "invited_another"
            if isinstance(error, ApiError) and error.code in {"not_found", "invitation_over"}:
                self.stage = "none"
                yield self._spend(token)
            return
        finally:
            self.busy = False
        self.stage = "done"
        yield self._spend(token)

    async def _enter_new(self, known: set[str]) -> None:
        """Go to work in the organization that is new."""
        await self._reread()
        session_id = self._session_id()
        for place in self.organizations:
            if session_id and place.id not in known:
                await runtime.enter_organization(session_id, place.id)
                self.joined = place.name


@page(route=_PATH, title="invitation.title", role="visitor", on_load=InvitationPage.load)
def invitation() -> rx.Component:
    return rx.match(
        InvitationPage.stage,
        (
            "visitor",
            entrance(
                page_link(t("login.action"), href="/login" + _NEXT, class_name=theme.BUTTON),
                rx.cond(
                    Viewer.registration != "closed",
                    page_link(t("login.register"), href="/register" + _NEXT, class_name=theme.BUTTON_OUTLINE),
                    rx.fragment(),
                ),
                title=t("invitation.title"),
                text=t("invitation.visitor_text"),
            ),
        ),
        (
            "link",
            entrance(
                alert(InvitationPage.failure),
                rx.cond(InvitationPage.other_address, _other_address(), rx.fragment()),
                press(t("invitation.accept"), on_click=InvitationPage.accept, busy=InvitationPage.busy),
                page_link(t("invitation.later"), href="/", class_name=theme.LINK + " self-center text-sm"),
                title=t("invitation.title"),
                text=t("invitation.text", email=Viewer.email),
            ),
        ),
        (
            "done",
            entrance(
                rx.el.a(t("verify.onward"), href="/", class_name=theme.BUTTON),
                title=t("invitation.joined"),
                text=t("invitation.joined_text", name=InvitationPage.joined),
            ),
        ),
        (
            "none",
            entrance(
                alert(InvitationPage.failure),
                page_link(t("notfound.home"), href="/", class_name=theme.BUTTON),
                title=t("invitation.none"),
                text=t("invitation.none_text"),
            ),
        ),
        awaited(),
    )


def _other_address() -> rx.Component:
    return rx.el.div(
        rx.el.p(t("invitation.other_text", email=Viewer.email), class_name="text-sm text-muted-foreground"),
        page_link(t("verify.resend_link"), href="/verify-email", class_name=theme.LINK + " w-fit text-sm"),
        plain_form(
            rx.el.button(t("action.sign_out"), type="submit", class_name=theme.BUTTON_OUTLINE + " w-full"),
            action="/_auth/logout",
        ),
        class_name="flex flex-col gap-4",
    )
