"""Identities: who a user is at a provider, by issuer and subject. A mail address alone never links one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.errors import NotFound
from operis_api.kit.ids import new_id
from operis_api.oidc.errors import IdentityTaken
from operis_api.settings import IdentityProvider
from operis_db.people import ProviderIdentity

IDENTITIES_MAX = 50


async def find_identity(session: AsyncSession, issuer: str, subject: str) -> ProviderIdentity | None:
    return await session.scalar(
        select(ProviderIdentity).where(ProviderIdentity.issuer == issuer, ProviderIdentity.subject == subject)
    )


async def link_identity(
    session: AsyncSession, provider: IdentityProvider, user_id: UUID, *, subject: str, email: str | None
) -> ProviderIdentity:
    """Link an identity to the user; raises `IdentityTaken` where it is somebody's, or the user has one there."""
    row = ProviderIdentity(
        id=new_id(),
        user_id=user_id,
        provider=provider.name,
        issuer=provider.issuer,
        subject=subject,
        email=email,
        created_at=datetime.now(UTC),
    )
    session.add(row)
    try:
        await session.flush()
    except IntegrityError:
        raise IdentityTaken("Unlink it first, where it is linked.") from None
    return row


async def list_identities(session: AsyncSession, user_id: UUID) -> Sequence[ProviderIdentity]:
    """Return the user's identities, oldest first: at most one of each provider."""
    query = select(ProviderIdentity).where(ProviderIdentity.user_id == user_id).order_by(ProviderIdentity.id)
    return (await session.scalars(query.limit(IDENTITIES_MAX))).all()


async def find_own(session: AsyncSession, user_id: UUID, identity_id: UUID) -> ProviderIdentity:
    """Return the user's identity, locked, or raise `NotFound`."""
    query = select(ProviderIdentity).where(ProviderIdentity.id == identity_id, ProviderIdentity.user_id == user_id)
    row = await session.scalar(query.with_for_update())
    if row is None:
        raise NotFound("There is no such identity of yours.")
    return row
