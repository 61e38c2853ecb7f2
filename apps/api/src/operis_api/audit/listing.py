"""Reading the audit log, newest first, with what is sealed opened as far as its keys are still there."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar, cast
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from operis_api.audit.recording import SealedOrigin, SealedState, State, persons_of
from operis_api.audit.sealing import PersonKeys
from operis_api.kit.encryption import Vault
from operis_db.people import User
from operis_db.records import AuditEvent

_AsUser = aliased(User)
Sealed = TypeVar("Sealed", SealedOrigin, SealedState)


class EventFilters(msgspec.Struct, frozen=True, kw_only=True):
    organization_id: UUID | None = None
    actor_id: UUID | None = None
    target_id: str | None = None
    action: str | None = None
    """A whole action, or its first word: `key` finds `key.mint`."""
    request_id: str | None = None
    begin: datetime | None = None
    end: datetime | None = None


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the log, opened. What a destroyed key sealed is None."""

    id: UUID
    created_at: datetime
    organization_id: UUID | None
    actor_id: UUID | None
    actor_email: str | None
    actor_is_operator: bool
    as_user_id: UUID | None
    as_user_email: str | None
    action: str
    target_type: str
    target_id: str
    before: State | None
    after: State | None
    reason: str | None
    address: str | None
    agent: str | None
    request_id: str | None


async def list_events(
    session: AsyncSession, filters: EventFilters, *, before: UUID | None, limit: int
) -> Sequence[AuditRow]:
    """Return what fits all of the filters, newest first, one more than `limit`."""
    query = (
        select(AuditEvent, User.email, User.role, _AsUser.email)
        .outerjoin(User, User.id == AuditEvent.actor_id)
        .outerjoin(_AsUser, _AsUser.id == AuditEvent.as_user_id)
        .where(*_conditions(filters))
        .order_by(AuditEvent.id.desc())
        .limit(limit + 1)
    )
    if before is not None:
        query = query.where(AuditEvent.id < before)
    rows = [row.tuple() for row in await session.execute(query)]
    keys = await PersonKeys(cast("Vault", session.info["vault"])).read(
        session, list({person for row, _, _, _ in rows for person in _persons(row)})
    )
    return [_open(row, email, role, as_email, keys) for row, email, role, as_email in rows]


def _conditions(filters: EventFilters):  # noqa: ANN202  # conditions say their types themselves
    equal = {
        AuditEvent.organization_id: filters.organization_id,
        AuditEvent.actor_id: filters.actor_id,
        AuditEvent.target_id: filters.target_id,
        AuditEvent.request_id: filters.request_id,
    }
    found = [column == value for column, value in equal.items() if value is not None]
    if filters.action is not None:
        begins = AuditEvent.action.startswith(f"{filters.action}.", autoescape=True)
        found.append((AuditEvent.action == filters.action) | begins)
    if filters.begin is not None:
        found.append(AuditEvent.created_at >= filters.begin)
    if filters.end is not None:
        found.append(AuditEvent.created_at < filters.end)
    return found


def _open(
    row: AuditEvent, email: str | None, role: str | None, as_email: str | None, keys: dict[UUID, Vault]
) -> AuditRow:
    keeper, subject = _persons(row)
    origin = _unseal(row.origin_sealed, keys.get(keeper), f"audit/{row.id}/origin", SealedOrigin(None, None))
    state = _unseal(row.state_sealed, keys.get(subject), f"audit/{row.id}/state", SealedState({}, {}))
    return AuditRow(
        id=row.id,
        created_at=row.created_at,
        organization_id=row.organization_id,
        actor_id=row.actor_id,
        actor_email=email,
        actor_is_operator=role not in {None, "user"},
        as_user_id=row.as_user_id,
        as_user_email=as_email,
        action=row.action,
        target_type=row.target_type,
        target_id=row.target_id,
        before=_merge(row.before, state.before),
        after=_merge(row.after, state.after),
        reason=row.reason,
        address=origin.address,
        agent=origin.agent,
        request_id=row.request_id,
    )


def _merge(clear: dict[str, object] | None, opened: State) -> State | None:
    return None if clear is None and not opened else {**cast("State", clear or {}), **opened}


def _persons(row: AuditEvent) -> tuple[UUID, UUID]:
    return persons_of(row.actor_id, (row.target_type, row.target_id))


def _unseal(sealed: bytes | None, key: Vault | None, context: str, erased: Sealed) -> Sealed:
    if sealed is None or key is None:
        return erased
    try:
        return msgspec.json.decode(key.open(sealed, context=context), type=type(erased))
    except ValueError:  # the key that sealed it was destroyed; this one was made since
        return erased
