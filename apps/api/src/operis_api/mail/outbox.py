"""Putting mail into the outbox: one row in the caller's transaction, its content sealed."""

from urllib.parse import urlencode
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.encryption import Vault
from operis_api.kit.ids import new_id
from operis_db.records import Mail


class Content(msgspec.Struct, frozen=True):
    """What a mail says: the template's facts, and the language to say it in."""

    locale: str
    facts: dict[str, str]


class Outbox:
    """Mail put here is sent once the caller's transaction is committed, and never if it is not."""

    def __init__(self, vault: Vault, dashboard_url: str) -> None:
        self._vault = vault
        self._dashboard_url = dashboard_url

    def put(
        self, session: AsyncSession, *, to: str, template: str, locale: str, user_id: UUID | None = None, **facts: str
    ) -> None:
        """Add a mail, a user's where they have an account.

        `template` is a table of mail/texts/en.toml, and `facts` are what its words name.
        """
        identifier = new_id()
        content = msgspec.json.encode(Content(locale, facts))
        session.add(
            Mail(
                id=identifier,
                recipient=to,
                user_id=user_id,
                template=template,
                content_encrypted=self._vault.seal(content, context=context_of(identifier)),
            )
        )

    def link(self, path: str, token: str | None = None) -> str:
        """Return a page of the dashboard, at the configured address: what a request calls us is never believed."""
        query = f"?{urlencode({'token': token})}" if token else ""
        return f"{self._dashboard_url}{path}{query}"


def context_of(identifier: UUID) -> str:
    return f"mail/{identifier}"
