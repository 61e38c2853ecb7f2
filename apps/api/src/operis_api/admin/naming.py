"""Names for the ids of a page."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute


async def read_names(
    session: AsyncSession, key: InstrumentedAttribute[UUID], name: InstrumentedAttribute[str], wanted: set[UUID]
) -> dict[UUID, str]:
    """Return the names of those of `wanted` that there are; at most a page's."""
    rows = await session.execute(select(key, name).where(key.in_(wanted)))
    return dict(rows.tuples().all())
