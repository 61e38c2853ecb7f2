"""A mail server that speaks SMTP and keeps what it took. It can refuse, fall silent, and ask for a sign-in."""

import asyncio
import email.policy
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from typing import cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "operis", "mail/password:7"


@dataclass
class MailServer:
    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list[EmailMessage])
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list[tuple[str, list[str]]])
    users: set[str] = field(default_factory=set[str])
    answers: list[str] = field(default_factory=list[str])
    """What the next messages are answered with, instead of being taken."""

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def sent_to(self, address: str) -> list[EmailMessage]:
        return [message for message in self.messages if message["To"] == address]

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        if self.answers:
            return self.answers.pop(0)
        message = message_from_bytes(cast("bytes", envelope.content), policy=email.policy.SMTP)
        self.messages.append(message)
        self.envelopes.append((envelope.mail_from or "", list(envelope.rcpt_tos)))
        return "250 taken"

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, mechanism: str, login: object) -> AuthResult:
        if isinstance(login, LoginPassword) and (login.login, login.password) == (USER.encode(), PASSWORD.encode()):
            self.users.add(USER)
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False)


@asynccontextmanager
async def run_mail_server(*, sign_in: bool = False) -> AsyncGenerator[MailServer]:
    server = MailServer()
    loop = asyncio.get_running_loop()

    def speak() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a sign-in without TLS is unsafe: here it is asked for
            return SMTP(
                server,
                hostname="mail.test",
                loop=loop,
                authenticator=server.authenticate,
                auth_required=sign_in,
                auth_require_tls=False,
            )

    listening = await loop.create_server(speak, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
