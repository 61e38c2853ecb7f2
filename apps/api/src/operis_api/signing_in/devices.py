"""Devices that an account was signed in on: they keep a budget of tries of their own, and are no news to the owner."""

from uuid import UUID

import msgspec
from sqlalchemy import and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.kit.origin import Origin
from operis_api.kit.tokens import TokenSigner
from operis_api.throttling.policies import SIGN_IN_ACCOUNT, SIGN_IN_DEVICE, SIGN_IN_NETWORK, SIGN_IN_PAIR
from operis_api.throttling.throttles import Try, network_of
from operis_db.people import Session

ADDRESS_CHARACTERS_MAX = 320


class Attempt(msgspec.Struct, frozen=True):
    """One attempt to sign in: the tries it takes, and those that its success forgives."""

    tries: tuple[Try, ...]
    forgiven: tuple[Try, ...]
    shared: Try | None
    """The bucket of the network, which others fill as well."""


async def recognize_device(
    session: AsyncSession, signer: TokenSigner, user_id: UUID | None, device_token: str | None
) -> UUID | None:
    """Return the device that the token names, if this user was signed in on it before."""
    read = signer.read_device(device_token) if device_token else None
    if read is None or read[0] != user_id:
        return None
    seen = select(exists().where(Session.user_id == user_id, Session.device_id == read[1]))
    return read[1] if await session.scalar(seen) else None


async def is_new_device(session: AsyncSession, user_id: UUID, device_id: UUID, origin: Origin) -> bool:
    """Tell whether the owner would wonder: they signed in before, and never from this device, or like from here."""
    mine = Session.user_id == user_id
    alike = or_(Session.device_id == device_id, and_(Session.address == origin.address, Session.agent == origin.agent))
    found = await session.execute(select(exists().where(mine), exists().where(mine, alike)))
    before, familiar = found.tuples().one()
    return before and not familiar


def attempt_of(email: str, device_id: UUID | None, address: str | None) -> Attempt:
    """Return what a sign-in costs. A known device pays from its own budget, so that no stranger can use it up."""
    account = email.strip().lower()[:ADDRESS_CHARACTERS_MAX]
    if device_id is not None:
        own = (Try(SIGN_IN_DEVICE, f"{account}\n{device_id}"),)
        return Attempt(own, own, None)
    network = network_of(address)
    personal = (Try(SIGN_IN_PAIR, f"{account}\n{network}"), Try(SIGN_IN_ACCOUNT, account))
    shared = Try(SIGN_IN_NETWORK, network)
    return Attempt((*personal, shared), personal, shared)


def tries_of_account(email: str, address: str | None) -> tuple[Try, ...]:
    """Return the buckets that a new password, proven by mail, empties."""
    return attempt_of(email, None, address).forgiven
