"""One person of every role, shared by all walks: a team in one organization, and operators of the platform."""

from dataclasses import dataclass

import pytest

from operis_api.access.permissions import OPERATOR_ROLES, ORGANIZATION_ROLES
from operis_client import AsyncOperis
from tests.factories import Account, join, new_email, set_balance, share, sign_up
from tests.fakes.authenticator import add_passkey, device_for
from tests.fakes.identity_provider import IdentityProvider, link
from tests.running import Api


@dataclass(frozen=True)
class Actor:
    """Somebody signed in, acting in one organization."""

    token: str
    organization_id: str
    organization_role: str
    operator_role: str

    @property
    def headers(self) -> dict[str, str]:
        return {"x-organization-id": self.organization_id}


async def make_actor(api: Api, role: str) -> Actor:
    """Return somebody new who has that role: in an organization of others, or on the platform."""
    if role in OPERATOR_ROLES:
        operator = await sign_up(api)
        await (await api.admin()).grant_role(operator.user_id, role=role, reason="for a test")
        return Actor(operator.client.token or "", operator.organization_id, "owner", role)
    owner = await share(await sign_up(api))
    person = owner if role == "owner" else await join(api, owner, role)
    return Actor(person.client.token or "", owner.organization_id, role, "user")


@pytest.fixture(scope="session")
async def actors(api: Api) -> dict[str, Actor]:
    return {role: await make_actor(api, role) for role in (*ORGANIZATION_ROLES, *OPERATOR_ROLES)}


@pytest.fixture(scope="session")
async def stranger(api: Api) -> Account:
    """Somebody who owns one of everything that has an id."""
    return await share(await sign_up(api))


@pytest.fixture(scope="session")
async def belongings(
    api: Api, admin: AsyncOperis, stranger: Account, identity_provider: IdentityProvider
) -> dict[str, str]:
    """What the stranger owns, by the name of its parameter in a path."""
    await set_balance(admin, stranger, "1")
    minted = await stranger.client.mint_key(name="theirs")
    await api.openai(minted.secret).chat.completions.create(
        model="operis/echo", messages=[{"role": "user", "content": "private"}]
    )
    invited = await stranger.client.invite_member(stranger.organization_id, email=new_email(), role="viewer")
    other = await sign_up(api)
    await link(other, identity_provider, "acme", sub=other.user_id)
    request = (await stranger.client.list_requests()).items[0]
    return {
        "key_id": minted.key.id,
        "request_id": request.id,
        "organization_id": stranger.organization_id,
        "user_id": stranger.user_id,
        "invitation_id": invited.invitation.id,
        "passkey_id": (await add_passkey(other, device_for(api))).id,
        "identity_id": (await other.client.list_identities())[0].id,
        "provider": "nobody",
        "session_id": (await stranger.client.list_sessions()).items[0].id,
    }
