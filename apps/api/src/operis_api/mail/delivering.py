"""The two ways a mail leaves: over SMTP, or in development without a server as a file below OPERIS_HOME/mail."""

import asyncio
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import aiosmtplib
import structlog

from operis_api.settings import Settings, SmtpServer

TIMEOUT_SECONDS = 30
log = structlog.get_logger()


class Undeliverable(Exception):
    """This mail will not be taken however often it is tried."""


class Delivery(Protocol):
    async def deliver(self, message: EmailMessage) -> None:
        """Hand the message over, or raise: `Undeliverable` where trying again is of no use."""
        ...


class SmtpDelivery:
    """One connection for each mail; certificates are checked wherever TLS is spoken."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server

    async def deliver(self, message: EmailMessage) -> None:
        server = self._server
        try:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.security == "tls",
                start_tls={"tls": False, "starttls": True, "offered": None}[server.security],
                timeout=TIMEOUT_SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refusal.code for refusal in error.recipients]
            raise (Undeliverable if all(code >= 500 for code in codes) else OSError)(
                f"the recipient was refused: {codes}"
            ) from error
        except aiosmtplib.SMTPDataError as error:
            raise (Undeliverable if error.code >= 500 else OSError)(f"the mail was refused: {error.code}") from error


class FolderDelivery:
    """Writes each mail to a file of its own, named by its id, whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def deliver(self, message: EmailMessage) -> None:
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        await asyncio.to_thread(self._write, name, message.as_bytes())

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._folder / f".{name}"
        draft.touch(mode=0o600)
        draft.write_bytes(content)
        draft.replace(self._folder / f"{name}.eml")


def choose_delivery(settings: Settings) -> Delivery | None:
    """Return how mail leaves; None in production without a server, where it waits in the outbox."""
    if settings.smtp is not None:
        return SmtpDelivery(settings.smtp)
    if not settings.production:
        return FolderDelivery(settings.mail_folder)
    log.warning("no_mail_server", hint="OPERIS_SMTP_URL is not set: mail waits, and nobody can verify an address")
    return None
