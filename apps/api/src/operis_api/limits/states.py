"""What is used of each limit now, as admission would count it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.money import format_nano

_STATES = text("SELECT * FROM limit_states(:organization_id, :user_id, :key_id)")


# A service key is nobody's: no member's limits bind it.
_STATES_OF_KEYS = text(
    """
    SELECT k.id AS key_id, s.* FROM unnest(CAST(:organizations AS uuid[]), CAST(:keys AS uuid[])) AS i (o, k)
    JOIN api_keys k ON k.organization_id = i.o AND k.id = i.k
    CROSS JOIN LATERAL limit_states(i.o, CASE WHEN NOT k.service THEN k.user_id END, i.k) s
    """
)


class LimitState(msgspec.Struct, frozen=True, kw_only=True):
    """One limit and what is left of it: budgets in credits, the others in requests, tokens or calls."""

    scope: str
    """key, member, organization or plan"""
    name: str
    value: str
    used: str
    held: str
    """By requests in progress."""
    remaining: str
    """Never below 0, though a lowered limit may be."""
    resets_at: datetime | None
    """When a window ends, or when a rate lets one more request through; null: never, or nobody knows."""
    binds: bool
    """Whether this is the limit with the smallest part left."""


async def list_limit_states(
    session: AsyncSession, organization_id: UUID, *, user_id: UUID | None, key_id: UUID | None
) -> list[LimitState]:
    """Return every limit that binds the calls of a key or, without one, of a member."""
    facts = {"organization_id": organization_id, "user_id": user_id, "key_id": key_id}
    rows = (await session.execute(_STATES, facts)).all()
    return _show([msgspec.convert(row, _Row, from_attributes=True) for row in rows])


async def list_states_of_keys(session: AsyncSession, keys: Sequence[tuple[UUID, UUID]]) -> dict[UUID, list[LimitState]]:
    """Return for each key, named by organization and id, every limit that binds its calls; in one query."""
    if not keys:
        return {}
    facts = {"organizations": [organization for organization, _ in keys], "keys": [key for _, key in keys]}
    found: dict[UUID, list[_Row]] = {}
    for row in await session.execute(_STATES_OF_KEYS, facts):
        found.setdefault(row.key_id, []).append(msgspec.convert(row, _Row, from_attributes=True))
    return {key_id: _show(rows) for key_id, rows in found.items()}


class _Row(msgspec.Struct):
    scope: str
    name: str
    value: int
    used: int
    held: int
    resets_at: datetime | None


def _share_left(value: int, taken: int) -> float:
    return (value - taken) / value if value else -1.0


def _show(rows: Sequence[_Row]) -> list[LimitState]:
    shares = [_share_left(row.value, row.used + row.held) for row in rows]
    least = min(shares, default=0)
    return [_state(row, binds=nth == shares.index(least)) for nth, row in enumerate(rows)]


def _state(found: _Row, *, binds: bool) -> LimitState:
    show = format_nano if found.name.startswith("budget") else str
    return LimitState(
        scope=found.scope,
        name=found.name,
        value=show(found.value),
        used=show(found.used),
        held=show(found.held),
        remaining=show(max(found.value - found.used - found.held, 0)),
        resets_at=found.resets_at,
        binds=binds,
    )
