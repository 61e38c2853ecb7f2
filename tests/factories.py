"""People and keys for tests, made through the public door."""

import secrets
from dataclasses import dataclass

from operis_client import AsyncOperis
from operis_client.models import SentInvitation
from tests.running import Api, patiently

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
    me = await patiently(lambda: client.register(email=email, password=PASSWORD, name=name))
    client.token = (await patiently(lambda: client.login(email=email, password=PASSWORD))).access_token
    return Account(client, me.user.id, me.organization.id, email)


async def share(account: Account, *, name: str = "Analytical Engines") -> Account:
    """Return the account at work in a new shared organization of its own."""
    made = await account.client.create_organization(name=name)
    return Account(at_work(account.client, made.id), account.user_id, made.id, account.email)


async def join(api: Api, owner: Account, role: str) -> Account:
    """Return somebody new who was invited into the owner's shared organization, at work there."""
    person = await sign_up(api)
    sent = await owner.client.invite_member(owner.organization_id, email=person.email, role=role)
    await person.client.accept_invitation(token=token_of(sent))
    return Account(at_work(person.client, owner.organization_id), person.user_id, owner.organization_id, person.email)


def at_work(client: AsyncOperis, organization_id: str) -> AsyncOperis:
    """Return the same session, with that organization as the active one."""
    return client.for_organization(organization_id)


def token_of(sent: SentInvitation) -> str:
    assert sent.link is not None, "development shows the link"
    return sent.link.partition("token=")[2]


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
