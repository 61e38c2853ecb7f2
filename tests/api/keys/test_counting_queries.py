"""What a credential costs the database: a wrong checksum nothing, an unknown key one query, a known one nothing."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import async_sessionmaker

from operis_api.keys.authentication import Asking, KeyRing
from operis_api.keys.errors import InvalidApiKey
from operis_api.keys.secret import Peppers, new_secret
from operis_api.keys.uses import KeyUses
from operis_api.kit.encryption import Vault
from operis_api.kit.sessions import create_engine
from operis_api.kit.tokens import TokenSigner
from operis_api.migrating import APP_ROLE
from operis_api.settings import read_settings
from tests.factories import Account, mint
from tests.running import Api, Database, environment


class Counted:
    """A key ring of its own on the tests' database, and the statements that it sent."""

    def __init__(self, ring: KeyRing, statements: list[str]) -> None:
        self._ring = ring
        self.statements = statements

    async def authenticate(self, secret: str) -> int:
        """Return how many statements that took."""
        before = len(self.statements)
        asking = Asking(credential=secret, scope="inference:chat", organization_id=None, address=None, agent=None)
        try:
            await self._ring.authenticate(asking)
        finally:
            taken = len(self.statements) - before
        return taken

    async def fresh(self, secret: str) -> str:
        """Return why the key, read afresh, is not good."""
        asking = Asking(credential=secret, scope="inference:chat", organization_id=None, address=None, agent=None)
        with pytest.raises(InvalidApiKey) as refusal:
            await self._ring.authenticate(asking, fresh=True)
        return refusal.value.code

    async def refuse(self, secret: str) -> int:
        before = len(self.statements)
        with pytest.raises(InvalidApiKey):
            await self.authenticate(secret)
        return len(self.statements) - before


@pytest.fixture
async def counted(database: Database, api: Api) -> AsyncGenerator[Counted]:
    settings = read_settings(environment(database, api.log.parent, 3001))
    engine = create_engine(database.app_url, APP_ROLE)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with sessions() as session:  # what a first connection asks for itself does not count
        await session.connection()
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    peppers = Peppers([*settings.derive_keys("api-key-pepper"), b"an earlier pepper"])
    yield Counted(
        KeyRing(
            sessions,
            TokenSigner(b"a" * 32, b"b" * 32),
            peppers,
            KeyUses(sessions),
            vault=Vault(*settings.derive_keys("vault")),
        ),
        statements,
    )
    await engine.dispose()


async def test_a_wrong_checksum_costs_no_query(counted: Counted, ada: Account) -> None:
    secret = await mint(ada)
    for wrong in (
        secret[:-1],
        secret + "0",
        "sk-op-" + secret[6:].swapcase(),
        "sk-op-" + "0" * 38,
        "sk-something-else",
    ):
        assert await counted.refuse(wrong) == 0


async def test_an_unknown_key_costs_one_query_each_time(counted: Counted) -> None:
    unknown = new_secret()
    assert [await counted.refuse(unknown) for _ in range(3)] == [1, 1, 1]


async def test_a_known_key_costs_one_query_and_none_while_it_is_cached(counted: Counted, ada: Account) -> None:
    secret = await mint(ada)
    assert [await counted.authenticate(secret) for _ in range(100)] == [1, *([0] * 99)]


async def test_calls_that_come_at_once_share_one_query_however_many(counted: Counted, ada: Account) -> None:
    secret = await mint(ada)
    await asyncio.gather(*(counted.authenticate(secret) for _ in range(500)))
    assert len(counted.statements) <= 2


async def test_a_read_that_began_before_a_change_is_not_shared_with_who_came_after(
    counted: Counted, ada: Account
) -> None:
    minted = await ada.client.mint_key(name="changes")
    before = asyncio.gather(*(counted.authenticate(minted.secret) for _ in range(50)))
    await asyncio.sleep(0)
    await ada.client.revoke_key(minted.key.id)
    await asyncio.gather(before, return_exceptions=True)
    assert await counted.fresh(minted.secret) == "invalid_api_key"
