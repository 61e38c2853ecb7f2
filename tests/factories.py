"""People and keys for tests, made through the public door."""

import secrets
from dataclasses import dataclass

from operis_client import AsyncOperis
from tests.running import Api

PASSWORD = "a long enough password"


@dataclass(frozen=True)
class Account:
    """A signed-up, signed-in user with their own organization."""

    client: AsyncOperis
    user_id: str
    organization_id: str
    email: str

    async def available(self) -> str:
        return (await self.client.get_wallet()).available


def new_email() -> str:
    return f"ada.{secrets.token_hex(6)}@example.com"


async def sign_up(api: Api, *, name: str = "Ada Lovelace") -> Account:
    email = new_email()
    client = api.client()
    me = await client.register(email=email, password=PASSWORD, name=name)
    client.token = (await client.login(email=email, password=PASSWORD)).access_token
    return Account(client, me.user.id, me.organization.id, email)


async def join(api: Api, owner: Account, role: str) -> Account:
    """Return somebody new in the owner's organization, with that role there."""
    person = await sign_up(api)
    await api.database.fetch(
        "INSERT INTO memberships (organization_id, user_id, role) VALUES ($1::uuid, $2::uuid, $3)",
        owner.organization_id,
        person.user_id,
        role,
    )
    client = api.client(person.client.token)
    client.organization_id = owner.organization_id
    return Account(client, person.user_id, owner.organization_id, person.email)


async def mint(account: Account, *, name: str = "test") -> str:
    """Return the secret of a new key."""
    return (await account.client.mint_key(name=name)).secret


async def set_balance(admin: AsyncOperis, account: Account, amount: str) -> None:
    """Make the account's wallet hold exactly this much."""
    available = (await account.client.get_wallet()).available
    if available != "0":
        await admin.adjust_wallet(account.organization_id, amount=f"-{available}", reason="empty for a test")
    if amount != "0":
        await admin.adjust_wallet(account.organization_id, amount=amount, reason="fill for a test")
