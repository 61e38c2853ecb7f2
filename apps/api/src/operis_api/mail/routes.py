"""The mailbox of development: what was written to OPERIS_HOME/mail. Production has none."""

import asyncio
import email
import email.policy
from datetime import datetime
from pathlib import Path
from typing import cast
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.datastructures import State

from operis_api.kit.errors import NotFound
from operis_api.kit.ids import time_of
from operis_api.kit.lists import After, Limit
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_api.settings import Settings


class WrittenMail(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    written_at: datetime
    to: str
    subject: str
    text: str
    html: str


@get("/mail", opt={"public": True}, operation_id="list_written_mails")
async def list_written_mails(state: State, limit: Limit = LIMIT_DEFAULT, after: After = None) -> Page[WrittenMail]:
    """List the mails that were written to files, newest first; in development alone."""
    settings = cast("Settings", state["settings"])
    if settings.production:
        raise NotFound("There is nothing here.")
    before = decode_cursor(after, UUID) if after else None
    mails = await asyncio.to_thread(_read_folder, settings.mail_folder, before, limit + 1)
    return page(mails, limit=limit, position=lambda mail: mail.id, item=lambda mail: mail)


def _read_folder(folder: Path, before: UUID | None, count: int) -> list[WrittenMail]:
    names = sorted((UUID(path.stem) for path in folder.glob("*.eml")), reverse=True)
    chosen = [name for name in names if before is None or name < before][:count]
    return [_read_mail(name, (folder / f"{name}.eml").read_bytes()) for name in chosen]


def _read_mail(identifier: UUID, content: bytes) -> WrittenMail:
    message = email.message_from_bytes(content, policy=email.policy.SMTP)
    bodies = {kind: message.get_body((kind,)) for kind in ("plain", "html")}
    text, html = (str(body.get_content()) if body else "" for body in bodies.values())
    return WrittenMail(
        id=identifier,
        written_at=time_of(identifier),
        to=str(message["To"]),
        subject=str(message["Subject"]),
        text=text,
        html=html,
    )


router = Router("/dev", route_handlers=[list_written_mails], tags=["development"])
