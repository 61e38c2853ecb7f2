"""The mailbox of development: what would have been mailed, for everybody to read. Production has none."""

import re
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from operis_client import OperisError
from operis_client.models import WrittenMail
from operis_dashboard import theme
from operis_dashboard.components.links import page_link
from operis_dashboard.components.states import empty_state, four_states
from operis_dashboard.components.tables import pager
from operis_dashboard.formatting import Shown, Writer
from operis_dashboard.layout import page
from operis_dashboard.viewer import Viewer
from operis_dashboard.wording import t


@dataclass(frozen=True)
class MailRow:
    id: str = ""
    address: str = ""
    subject: str = ""
    text: str = ""
    links: list[str] = default(default_factory=list)
    at: Shown = default(default_factory=Shown)


class Mailbox(Viewer):
    loaded: bool = False
    failure: str = ""
    rows: list[MailRow] = []
    after: str = ""
    next: str = ""

    @rx.event
    async def load(self) -> None:
        self.after = self.router.url.query_parameters.get("after", "")
        try:
            found = await self._ask_as_visitor(lambda api: api.list_written_mails(limit=20, after=self.after or None))
        except OperisError as error:
            self.failure = self._explain(error)
            return
        self.rows = [_mail(mail, self._writer) for mail in found.items]
        self.next = found.next or ""
        self.loaded, self.failure = True, ""

    @rx.event
    def turn_page(self, after: str) -> Any:
        return rx.redirect(f"/mailbox?{urlencode({'after': after})}" if after else "/mailbox")


def _mail(mail: WrittenMail, writer: Writer) -> MailRow:
    return MailRow(
        id=mail.id,
        address=mail.to,
        subject=mail.subject,
        text=mail.text,
        links=re.findall(r"https?://\S+", mail.text),
        at=writer.clock(mail.written_at),
    )


@page(route="/mailbox", title="mailbox.title", role="visitor", on_load=Mailbox.load)
def mailbox() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.h1(t("mailbox.title"), class_name="text-xl font-semibold tracking-tight"),
            rx.el.p(t("mailbox.text"), class_name="text-sm text-muted-foreground"),
            page_link(t("mailbox.back"), href="/login", class_name=theme.LINK + " w-fit text-sm"),
            class_name="flex flex-col gap-1",
        ),
        four_states(
            loaded=Mailbox.loaded,
            failure=Mailbox.failure,
            count=Mailbox.rows.length(),
            retry=Mailbox.load,
            empty=empty_state("mail", t("mailbox.empty"), t("mailbox.empty_text")),
            full=rx.el.div(
                rx.foreach(Mailbox.rows, _shown),
                pager(
                    first=Mailbox.after == "",
                    last=Mailbox.next == "",
                    on_first=Mailbox.turn_page(""),
                    on_next=Mailbox.turn_page(Mailbox.next),
                ),
                class_name="flex flex-col gap-3",
            ),
        ),
        class_name="flex w-full max-w-2xl flex-col gap-6 self-center",
    )


def _shown(mail: rx.Var[MailRow]) -> rx.Component:
    return rx.el.details(
        rx.el.summary(
            rx.el.span(mail.subject, class_name="font-medium"),
            rx.el.span(mail.address, class_name="block truncate text-xs text-muted-foreground"),
            rx.el.span(mail.at.text, title=mail.at.exact, class_name="block text-xs text-muted-foreground"),
            class_name="cursor-pointer rounded-sm text-sm " + theme.FOCUS,
        ),
        rx.el.pre(mail.text, class_name="whitespace-pre-wrap break-words pt-3 font-sans text-sm"),
        rx.el.div(
            rx.foreach(
                mail.links,
                lambda link: rx.el.a(t("mailbox.follow"), href=link, title=link, class_name=theme.BUTTON_SMALL),
            ),
            class_name="flex flex-wrap gap-2 pt-3",
        ),
        class_name=theme.CARD + " p-4",
    )
