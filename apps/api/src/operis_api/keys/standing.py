"""Whether those who were let in are still entitled: asked about the callers of running streams, many at once."""

from collections.abc import Collection
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.keys.authentication import Caller
from operis_api.keys.errors import InvalidApiKey, KeyDisabled, OwnerSuspended
from operis_api.kit.errors import DomainError


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller's right to go on depends on."""

    organization_id: UUID
    user_id: UUID
    key_id: UUID | None
    secret_id: UUID | None
    session_id: UUID | None
    service: bool


def standing_of(caller: Caller) -> Standing:
    return Standing(
        organization_id=caller.organization_id,
        user_id=caller.user_id,
        key_id=caller.key_id,
        secret_id=caller.secret_id,
        session_id=caller.session_id,
        service=caller.service,
    )


async def find_fallen(session: AsyncSession, standings: Collection[Standing]) -> dict[Standing, DomainError]:
    """Return those who may not go on, with why; in one query over primary keys."""
    asked = list(standings)
    rows = await session.execute(
        text(
            """
            SELECT f.nth, f.reason FROM (
                SELECT i.nth, CASE
                    WHEN o.status IS DISTINCT FROM 'active' THEN 'organization_suspended'
                    WHEN NOT i.service AND u.status IS DISTINCT FROM 'active' THEN 'user_suspended'
                    WHEN NOT i.service AND m.role IS NULL THEN 'not_a_member'
                    WHEN i.key_id IS NOT NULL AND (k.id IS NULL OR k.revoked_at IS NOT NULL) THEN 'key_revoked'
                    WHEN k.disabled_at IS NOT NULL THEN 'key_disabled'
                    WHEN k.expires_at <= now() OR x.expires_at <= now() THEN 'key_expired'
                    WHEN i.session_id IS NOT NULL
                        AND (s.id IS NULL OR s.revoked_at IS NOT NULL OR s.expires_at <= now()) THEN 'session_ended'
                END AS reason
                FROM ROWS FROM (json_to_recordset(CAST(:asked AS json)) AS
                        (organization_id uuid, user_id uuid, key_id uuid, secret_id uuid, session_id uuid,
                        service boolean))
                    WITH ORDINALITY AS i (organization_id, user_id, key_id, secret_id, session_id, service, nth)
                LEFT JOIN organizations o ON o.id = i.organization_id
                LEFT JOIN users u ON u.id = i.user_id
                LEFT JOIN memberships m ON m.organization_id = i.organization_id AND m.user_id = i.user_id
                LEFT JOIN api_keys k ON k.organization_id = i.organization_id AND k.id = i.key_id
                LEFT JOIN key_secrets x ON x.organization_id = i.organization_id AND x.id = i.secret_id
                LEFT JOIN sessions s ON s.id = i.session_id
            ) f WHERE f.reason IS NOT NULL
            """
        ),
        {"asked": msgspec.json.encode(asked).decode()},
    )
    return {asked[row.nth - 1]: _refusal(row.reason) for row in rows}


def _refusal(reason: str) -> DomainError:
    match reason:
        case "organization_suspended" | "user_suspended":
            return OwnerSuspended("The user or the organization was suspended; what was delivered is charged.")
        case "key_disabled":
            return KeyDisabled("The key was disabled; what was delivered is charged.")
        case _:
            said = reason.replace("_", " ")
            return InvalidApiKey(f"The credential is not good any more ({said}); what was delivered is charged.")
