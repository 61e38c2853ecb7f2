"""What is done about keys that somebody found in public: revoked at once, put on record, their owners told."""

import hashlib
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.audit.recording import record_event
from operis_api.keys.changing import revoke
from operis_api.keys.secret import Peppers, is_well_formed
from operis_api.kit.origin import Origin
from operis_api.mail.notifying import notify
from operis_api.mail.outbox import Outbox
from operis_db.people import ApiKey, KeySecret, User

REASON = "It was found in public."
URL_CHARACTERS_MAX = 500
log = structlog.get_logger()


class Leak(msgspec.Struct, frozen=True):
    """One secret and where it was found; members we do not know are ignored."""

    token: str
    type: str = ""
    url: str = ""
    source: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What we say of one secret, by its hash: our answer repeats no secret."""

    token_hash: str
    token_type: str
    label: str
    """true_positive: it is or was a secret of a key of ours."""


async def handle_leaks(
    session: AsyncSession, outbox: Outbox, origin: Origin, leaks: list[Leak], peppers: Peppers
) -> list[Verdict]:
    """Revoke every key among them whose secret is still in force; a report that comes again changes nothing."""
    hashes = {leak.token: peppers.hashes(leak.token) for leak in leaks if is_well_formed(leak.token)}
    asked = [one for found in hashes.values() for one in found]
    rows = await session.execute(
        select(KeySecret.secret_hash, KeySecret.organization_id, KeySecret.key_id).where(
            KeySecret.secret_hash.in_(asked)
        )
    )
    known: dict[bytes, tuple[UUID, UUID]] = {row.secret_hash: (row.organization_id, row.key_id) for row in rows}
    verdicts: list[Verdict] = []
    for leak in leaks:
        found = next((known[one] for one in hashes.get(leak.token, []) if one in known), None)
        if found is not None:
            await _revoke_leaked(session, outbox, origin, *found, leak=leak)
        verdicts.append(
            Verdict(
                token_hash=hashlib.sha256(leak.token.encode()).hexdigest(),
                token_type=leak.type[:URL_CHARACTERS_MAX],
                label="false_positive" if found is None else "true_positive",
            )
        )
    return verdicts


async def _revoke_leaked(
    session: AsyncSession, outbox: Outbox, origin: Origin, organization_id: UUID, key_id: UUID, *, leak: Leak
) -> None:
    key = await session.get(ApiKey, (organization_id, key_id), with_for_update=True)
    assert key is not None, "a secret has a key"
    if key.revoked_at is not None:
        return
    in_force = await session.scalar(
        select(func.count()).where(
            KeySecret.organization_id == organization_id,
            KeySecret.key_id == key_id,
            KeySecret.prefix == leak.token[:12],
            KeySecret.last_four == leak.token[-4:],
            func.coalesce(KeySecret.expires_at > func.now(), True),  # SQL's own true
        )
    )
    if in_force:
        revoke(key, reason=REASON)
    record_event(
        session,
        origin,
        action="key.leak",
        target=("key", key.id),
        organization_id=organization_id,
        after={
            "prefix": key.prefix,
            "url": leak.url[:URL_CHARACTERS_MAX],
            "source": leak.source[:80],
            "revoked": bool(in_force),
        },
        reason=REASON,
    )
    log.warning("key_leaked", key_id=str(key.id), organization_id=str(key.organization_id), source=leak.source[:80])
    if not in_force:
        return
    owner = await session.get_one(User, key.user_id)
    place = "".join(sign for sign in leak.url if sign.isprintable())[:URL_CHARACTERS_MAX] or "-"
    notify(session, outbox, owner, "key_leaked", origin, path="/keys", key=f"{key.name} ({key.prefix}…)", place=place)
