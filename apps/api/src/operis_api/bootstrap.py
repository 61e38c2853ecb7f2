"""The first administrator: made on the first start, with the given password or a random one shown once."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import async_sessionmaker

from operis_api.accounts.registering import CLAIM_KEY, check_applicant, register_user, verify_user
from operis_api.audit.recording import record_event
from operis_api.credentials.second_factors import remove_all
from operis_api.kit.encryption import Vault
from operis_api.kit.errors import DomainError
from operis_api.kit.ids import new_id
from operis_api.kit.origin import Origin
from operis_api.kit.sessions import Sessions, create_engine
from operis_api.migrating import APP_ROLE
from operis_api.settings import SettingError, Settings
from operis_api.signing_in.sessions import end_all_sessions
from operis_db.people import User

DEFAULT_EMAIL = "admin@example.com"


class Credentials(msgspec.Struct, frozen=True):
    email: str
    password: str


async def ensure_admin(settings: Settings) -> Credentials | None:
    """Make the first administrator where there is none yet; returns the sign-in to show, None where nobody was made."""
    async with open_sessions(settings) as sessions, sessions.begin() as session:
        if await session.scalar(select(exists().where(User.role == "superadmin"))):
            return None
    return await create_admin(
        settings,
        email=settings.admin_email or DEFAULT_EMAIL,
        password=settings.admin_password or secrets.token_urlsafe(15),
    )


async def create_admin(settings: Settings, *, email: str, password: str) -> Credentials:
    """Make an administrator, who may sign in at once; raises `SettingError` where the credentials cannot be used."""
    async with open_sessions(settings) as sessions, sessions.begin() as session:
        try:
            applicant = await check_applicant(
                email=email, password=password, name="Administrator", host=settings.dashboard_host
            )
            user, _ = await register_user(session, applicant, role="superadmin")
            await verify_user(session, user, claim_key=settings.derive_key(CLAIM_KEY))
        except DomainError as error:
            raise SettingError(f"OPERIS_ADMIN_EMAIL or OPERIS_ADMIN_PASSWORD cannot be used: {error.detail}") from None
        record_event(session, _operis(), action="admin.create", target=("user", user.id))
    return Credentials(email, password)


async def take_second_factor(settings: Settings, *, email: str) -> None:
    """Turn a user's second factor off and end their sessions; raises `SettingError` where there is none."""
    async with open_sessions(settings) as sessions, sessions.begin() as session:
        user = await session.scalar(select(User).where(User.email == email.strip()))
        if user is None or not await remove_all(session, user.id):
            raise SettingError(f"There is no second factor of {email}.")
        await end_all_sessions(session, user.id, "second_factor_removed")
        record_event(session, _operis(), action="second_factor.disable", target=("user", user.id))


@asynccontextmanager
async def open_sessions(settings: Settings) -> AsyncGenerator[Sessions]:
    """Yield a session maker for one command, its engine closed at the end."""
    assert settings.database_url is not None, "the caller has set up the database"
    engine = create_engine(settings.database_url, APP_ROLE)
    try:
        vault = Vault(settings.derive_key("vault"))
        yield async_sessionmaker(engine, expire_on_commit=False, info={"vault": vault})
    finally:
        await engine.dispose()


def _operis() -> Origin:
    return Origin(actor_id=None, address=None, agent="operis", request_id=str(new_id()))
