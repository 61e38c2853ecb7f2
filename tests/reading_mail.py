"""Reading the mail that the API sends, as its recipient would."""

import asyncio
import re
from email.message import EmailMessage
from urllib.parse import parse_qs, urlsplit

from operis_client.models import WrittenMail
from tests.fakes.mail_server import MailServer
from tests.running import Api

WAIT_SECONDS = 15


async def read_mail(api: Api, address: str, subject: str) -> WrittenMail:
    """Return the newest mail with this subject from the mailbox of development, once it is there."""

    async def look() -> WrittenMail | None:
        mails = (await api.client().list_written_mails(limit=200)).items
        return next((mail for mail in mails if (mail.to, mail.subject) == (address, subject)), None)

    for _ in range(WAIT_SECONDS * 10):
        if found := await look():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"no mail {subject!r} came to {address}")


async def receive(server: MailServer, address: str, subject: str, *, count: int = 1) -> EmailMessage:
    """Return the newest mail with this subject from a mail server, once so many are there."""
    for _ in range(WAIT_SECONDS * 10):
        found = [message for message in server.sent_to(address) if message["Subject"] == subject]
        if len(found) >= count:
            return found[-1]
        await asyncio.sleep(0.1)
    raise AssertionError(f"no mail {subject!r} came to {address}: {[str(m['Subject']) for m in server.messages]}")


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def link_in(text: str) -> str:
    found = re.search(r"https?://\S+", text)
    assert found, text
    return found[0]


def token_in(text: str) -> str:
    """Return the token of the link in a mail's text."""
    return parse_qs(urlsplit(link_in(text)).query)["token"][0]
