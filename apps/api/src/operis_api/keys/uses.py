"""When keys are used for something that is no call of a model: gathered in the process, written seldom.

A key's row changes at most once a minute, however often it is used and by how many processes.
"""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text

from operis_api.kit.sessions import Sessions

WRITE_SECONDS = 10
GATHERED_MAX = 50_000


class Use(msgspec.Struct, frozen=True, kw_only=True):
    organization_id: UUID
    key_id: UUID
    used_at: datetime
    address: str | None
    agent: str | None


class KeyUses:
    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._latest: dict[UUID, Use] = {}

    def note(self, use: Use) -> None:
        """Remember the key's latest use until it is written; a crash loses some seconds of it."""
        if use.key_id in self._latest or len(self._latest) < GATHERED_MAX:
            self._latest[use.key_id] = use

    async def write(self) -> None:
        """Write what was gathered; keys whose row is younger than a minute are left alone, and not even locked."""
        gathered, self._latest = list(self._latest.values()), {}
        if not gathered:
            return
        async with self._sessions.begin() as session:
            await session.execute(
                text(
                    """
                    INSERT INTO key_uses AS k (organization_id, key_id, last_used_at, last_address, last_agent)
                    SELECT u.organization_id, u.key_id, u.used_at, left(u.address, 64), left(u.agent, 256)
                    FROM json_to_recordset(CAST(:uses AS json)) AS u
                        (organization_id uuid, key_id uuid, used_at timestamptz, address text, agent text)
                    WHERE NOT EXISTS (
                        SELECT FROM key_uses y WHERE y.organization_id = u.organization_id AND y.key_id = u.key_id
                            AND y.last_used_at > u.used_at - interval '1 minute')
                    ORDER BY u.organization_id, u.key_id
                    ON CONFLICT (organization_id, key_id) DO UPDATE
                    SET last_used_at = excluded.last_used_at, last_address = excluded.last_address,
                        last_agent = excluded.last_agent
                    WHERE k.last_used_at <= excluded.last_used_at - interval '1 minute'
                    """
                ),
                {"uses": msgspec.json.encode(gathered).decode()},
            )
