"""Writing the audit log: what happened is noted while a request works, and written as its transaction commits.

What is personal is sealed on the way: address and program of the actor, name and mail address of a user.
"""

from typing import TypedDict, cast
from uuid import UUID

import msgspec
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from operis_api.audit.sealing import PersonKeys
from operis_api.kit.encryption import Vault
from operis_api.kit.ids import new_id
from operis_api.kit.origin import Origin
from operis_db.records import AuditEvent

State = dict[str, str | int | bool | None]
PERSONAL = {"email", "name", "cidrs"}
OF_PERSONS = {"user", "session", "key", "organization"}
"""What changed in these may be personal: of a user it is sealed for that user, else for whoever changed it."""
NOBODY = UUID(int=0)
_NOTED = "audit_events"


class SealedOrigin(msgspec.Struct, frozen=True):
    address: str | None
    agent: str | None


class SealedState(msgspec.Struct, frozen=True):
    before: State
    after: State


class _Noted(TypedDict):
    origin: Origin
    action: str
    target: tuple[str, UUID | str]
    organization_id: UUID | None
    before: State | None
    after: State | None
    reason: str | None


def record_event(
    session: AsyncSession,
    origin: Origin,
    *,
    action: str,
    target: tuple[str, UUID | str],
    organization_id: UUID | None = None,
    before: State | None = None,
    after: State | None = None,
    reason: str | None = None,
) -> None:
    """Add what happened to the caller's transaction. Never pass a secret in `before` or `after`."""
    noted = cast("list[_Noted]", session.info.setdefault(_NOTED, []))
    noted.append(
        _Noted(
            origin=origin,
            action=action,
            target=target,
            organization_id=organization_id,
            before=before,
            after=after,
            reason=reason,
        )
    )


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    noted = cast("list[_Noted]", session.info.pop(_NOTED, []))
    if noted:
        keys = PersonKeys(cast("Vault", session.info["vault"]))
        for person in sorted({person for one in noted for person in _sealed_for(one)}):
            keys.of(session, person)  # in order, so that two transactions that make the same ones do not wait in turn
        session.add_all([_row(session, keys, one) for one in noted])


@event.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    if not transaction.nested:
        session.info.pop(_NOTED, None)


def persons_of(actor_id: UUID | None, target: tuple[str, UUID | str]) -> tuple[UUID, UUID]:
    """Return under whose keys an event's origin and its personal state are sealed."""
    subject = UUID(str(target[1])) if target[0] == "user" else actor_id or NOBODY
    return actor_id or subject, subject


def _sealed_for(noted: _Noted) -> tuple[UUID, ...]:
    """Return whose keys are needed; what says nothing of anybody needs none, and makes none anew."""
    origin = noted["origin"]
    silent = not (origin.address or origin.agent or _personal(noted["before"]) or _personal(noted["after"]))
    return () if silent else persons_of(origin.actor_id, noted["target"])


def _row(session: Session, keys: PersonKeys, noted: _Noted) -> AuditEvent:
    origin, target = noted["origin"], noted["target"]
    keeper, subject = persons_of(origin.actor_id, target)
    before, after = noted["before"], noted["after"]
    told = target[0] in OF_PERSONS
    personal = SealedState(_personal(before), _personal(after)) if told else SealedState({}, {})
    identifier = new_id()
    row = AuditEvent(
        id=identifier,
        organization_id=noted["organization_id"],
        actor_id=origin.actor_id,
        key_id=origin.key_id,
        as_user_id=origin.as_user_id,
        action=noted["action"],
        target_type=target[0],
        target_id=str(target[1]),
        before=_without(before, personal.before),
        after=_without(after, personal.after),
        reason=noted["reason"],
        request_id=origin.request_id,
    )
    if origin.address or origin.agent:
        sealed_origin = msgspec.json.encode(SealedOrigin(origin.address, origin.agent))
        row.origin_sealed = keys.of(session, keeper).seal(sealed_origin, context=f"audit/{identifier}/origin")
    if personal.before or personal.after:
        sealed_state = msgspec.json.encode(personal)
        row.state_sealed = keys.of(session, subject).seal(sealed_state, context=f"audit/{identifier}/state")
    return row


def _personal(state: State | None) -> State:
    return {name: value for name, value in (state or {}).items() if name in PERSONAL}


def _without(state: State | None, personal: State) -> State | None:
    return state and {name: value for name, value in state.items() if name not in personal}
