"""The job that empties the outbox. A mail is claimed first and sent outside of any transaction.

A process that dies in between leaves its claim, which lapses: a mail is sent at least once, with the same Message-ID.
"""

import asyncio
from datetime import timedelta
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import delete, func, select, update

from operis_api.kit.encryption import Vault
from operis_api.kit.sessions import Sessions
from operis_api.mail.composing import compose
from operis_api.mail.delivering import TIMEOUT_SECONDS, Delivery, Undeliverable
from operis_api.mail.outbox import Content, context_of
from operis_db.records import Mail

AT_ONCE = 10
CLAIM = timedelta(seconds=4 * TIMEOUT_SECONDS)
ATTEMPTS_MAX = 8
FIRST_PAUSE_SECONDS = 10
PAUSE_SECONDS_MAX = 6 * 3600
KEPT = timedelta(days=30)
ERROR_CHARACTERS_MAX = 300
log = structlog.get_logger()


class Claimed(msgspec.Struct, frozen=True):
    id: UUID
    recipient: str
    template: str
    content_encrypted: bytes
    attempts: int


async def send_mails(sessions: Sessions, vault: Vault, delivery: Delivery, *, sender: str) -> int:
    """Send what is due, and return how many mails were tried."""
    tried = 0
    while claimed := await _claim(sessions):
        await asyncio.gather(*(_send(sessions, vault, delivery, mail, sender=sender) for mail in claimed))
        tried += len(claimed)
    return tried


async def forget_mails(sessions: Sessions) -> None:
    """Delete what was written a month ago, sent or not."""
    async with sessions.begin() as session:
        await session.execute(delete(Mail).where(Mail.created_at < func.now() - KEPT))


async def _claim(sessions: Sessions) -> list[Claimed]:
    async with sessions.begin() as session:
        due = await session.scalars(
            select(Mail.id)
            .where(Mail.content_encrypted.is_not(None), Mail.next_try_at <= func.now())
            .order_by(Mail.next_try_at)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        rows = await session.execute(
            update(Mail)
            .where(Mail.id.in_(due.all()))
            .values(attempts=Mail.attempts + 1, next_try_at=func.now() + CLAIM)
            .returning(Mail.id, Mail.recipient, Mail.template, Mail.content_encrypted, Mail.attempts)
        )
        return [
            Claimed(identifier, recipient, template, content, attempts)
            for identifier, recipient, template, content, attempts in rows.tuples()
            if content is not None
        ]


async def _send(sessions: Sessions, vault: Vault, delivery: Delivery, mail: Claimed, *, sender: str) -> None:
    try:
        content = msgspec.json.decode(vault.open(mail.content_encrypted, context=context_of(mail.id)), type=Content)
        message = compose(
            mail.id,
            sender=sender,
            to=mail.recipient,
            template=mail.template,
            locale=content.locale,
            facts=content.facts,
        )
        await delivery.deliver(message)
    except Exception as error:  # noqa: BLE001  # one mail's failure is written down; the others go on
        await _note_failure(sessions, mail, error)
    else:
        async with sessions.begin() as session:
            await session.execute(
                update(Mail).where(Mail.id == mail.id).values(sent_at=func.now(), content_encrypted=None, error=None)
            )


async def _note_failure(sessions: Sessions, mail: Claimed, error: Exception) -> None:
    """Write down why, and when to try again; after the last attempt the mail is given up."""
    final = isinstance(error, (Undeliverable, ValueError)) or mail.attempts >= ATTEMPTS_MAX
    reason = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS_MAX]
    pause = timedelta(seconds=min(PAUSE_SECONDS_MAX, FIRST_PAUSE_SECONDS * 4 ** (mail.attempts - 1)))
    values: dict[str, object] = (
        {"failed_at": func.now(), "content_encrypted": None} if final else {"next_try_at": func.now() + pause}
    )
    async with sessions.begin() as session:
        await session.execute(update(Mail).where(Mail.id == mail.id).values(error=reason, **values))
    (log.error if final else log.warning)(
        "mail_given_up" if final else "mail_delayed", mail=str(mail.id), template=mail.template, reason=reason
    )
