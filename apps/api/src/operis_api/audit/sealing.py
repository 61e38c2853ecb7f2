"""The keys that seal what records say of persons, one for each. Destroying a key erases all that it sealed."""

import contextlib
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from operis_api.kit.encryption import Vault
from operis_db.records import PersonKey

KEY_BYTES = 32
_SEALED = "sealed:"
"""In front of a text that is sealed."""
_ADDRESS = "client-address"


class PersonKeys:
    """Persons' keys, made on their first use, and kept for as long as the one who asks."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._keys: dict[UUID, Vault] = {}

    def of(self, session: Session, user_id: UUID) -> Vault:
        """Return the person's key, making it where there is none yet."""
        if user_id not in self._keys:
            sealed = session.scalar(_read(user_id)) or self._make(session, user_id)
            self._keys[user_id] = self.open_key(user_id, sealed)
        return self._keys[user_id]

    async def read(self, session: AsyncSession, user_ids: Sequence[UUID]) -> dict[UUID, Vault]:
        """Return the keys there are: who was erased has none."""
        rows = await session.execute(
            select(PersonKey.user_id, PersonKey.key_encrypted).where(PersonKey.user_id.in_(user_ids))
        )
        found: dict[UUID, Vault] = {}
        for user_id, sealed in rows.tuples():
            with contextlib.suppress(ValueError):  # a root secret that is forgotten: as good as destroyed
                found[user_id] = self.open_key(user_id, sealed)
        return found

    def _make(self, session: Session, user_id: UUID) -> bytes:
        sealed = self._vault.seal(secrets.token_bytes(KEY_BYTES), context=_context(user_id))
        made = insert(PersonKey).values(user_id=user_id, key_encrypted=sealed).on_conflict_do_nothing()
        session.execute(made)
        return session.scalars(_read(user_id)).one()  # another transaction's, where that was faster

    def open_key(self, user_id: UUID, sealed: bytes) -> Vault:
        return Vault(self._vault.open(sealed, context=_context(user_id)))


def seal_address(key: Vault, address: str) -> str:
    """Return the text to keep in place of a person's network address."""
    return _SEALED + b64encode(key.seal(address.encode(), context=_ADDRESS)).decode()


def open_address(key: Vault | None, kept: str | None) -> str | None:
    """Return the address, None where its key was destroyed; what was never sealed is returned as it is."""
    if kept is None or not kept.startswith(_SEALED):
        return kept
    try:
        return key.open(b64decode(kept.removeprefix(_SEALED)), context=_ADDRESS).decode() if key else None
    except ValueError:  # another key was made since
        return None


async def destroy_key(session: AsyncSession, user_id: UUID) -> None:
    """Make all that is sealed for this person unreadable for good."""
    await session.execute(delete(PersonKey).where(PersonKey.user_id == user_id))


def _read(user_id: UUID):  # noqa: ANN202  # a typed SELECT says its type itself
    return select(PersonKey.key_encrypted).where(PersonKey.user_id == user_id)


def _context(user_id: UUID) -> str:
    return f"person/{user_id}"
