"""All that the tables know of a person, as one document: theirs to take away."""

from datetime import UTC, datetime
from typing import cast

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.audit.listing import AuditRow, EventFilters, list_events
from operis_api.audit.sealing import PersonKeys, open_address
from operis_api.kit.encryption import Vault
from operis_api.leaving.personal import EXPORTS
from operis_db.people import User

ROWS_MAX = 10_000
Row = dict[str, str | None]


class Export(msgspec.Struct, frozen=True, kw_only=True):
    made_at: datetime
    user: Row
    tables: dict[str, list[Row]]
    """What each table knows, every value as text; the newest 10,000 rows of each."""
    cut: list[str]
    """Tables that have more."""
    audit: list[AuditRow]
    """What they did, and what was done to them, newest first."""


async def export_person(session: AsyncSession, user: User) -> Export:
    facts: dict[str, object] = {"id": user.id, "email": user.email}
    tables = {name: await _read(session, query, facts) for name, query in EXPORTS.items()}
    (own,) = tables.pop("users")
    key = (await PersonKeys(cast("Vault", session.info["vault"])).read(session, [user.id])).get(user.id)
    for row in (*tables["requests"], *tables["spending"]):
        row.update({name: open_address(key, kept) for name, kept in row.items() if name.endswith("address")})
    did = await list_events(session, EventFilters(actor_id=user.id), before=None, limit=ROWS_MAX)
    suffered = await list_events(session, EventFilters(target_id=str(user.id)), before=None, limit=ROWS_MAX)
    audit = sorted({row.id: row for row in (*did, *suffered)}.values(), key=lambda row: row.id, reverse=True)
    return Export(
        made_at=datetime.now(UTC),
        user=own,
        tables={name: rows[:ROWS_MAX] for name, rows in tables.items()},
        cut=[name for name, rows in tables.items() if len(rows) > ROWS_MAX],
        audit=[_without_others(row, user) for row in audit[:ROWS_MAX]],
    )


async def _read(session: AsyncSession, query: str, facts: dict[str, object]) -> list[Row]:
    named = f"SELECT to_jsonb(found) FROM ({query} LIMIT {ROWS_MAX + 1}) found"  # noqa: S608  # our own words
    rows = await session.scalars(text(named), {name: fact for name, fact in facts.items() if f":{name}" in query})
    return [{name: _as_text(value) for name, value in cast("dict[str, object]", row).items()} for row in rows]


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


def _without_others(row: AuditRow, user: User) -> AuditRow:
    """What others did is told; who they are, and from where, is theirs."""
    if row.actor_id == user.id:
        return row
    return msgspec.structs.replace(row, actor_id=None, actor_email=None, address=None, agent=None)
