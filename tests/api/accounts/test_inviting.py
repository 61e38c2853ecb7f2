"""Signing up by invitation: to the platform by an operator, to an organization by its admins."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from operis_client import AsyncOperis
from operis_db.embedded import EmbeddedPostgres
from tests.factories import PASSWORD, Account, at_work, new_email, share, sign_up, token_of
from tests.reading_mail import read_mail, token_in
from tests.refusing import refused
from tests.running import Api, make_database, run_api


@pytest.fixture(scope="module")
async def by_invitation(postgres: EmbeddedPostgres) -> AsyncGenerator[Api]:
    database = await make_database(postgres)
    async with run_api(
        database, OPERIS_REGISTRATION="invite", OPERIS_REGISTRATION_DOMAINS="example.com,acme.org"
    ) as running:
        yield running


async def invited(api: Api, email: str) -> str:
    """Return the token by which an operator lets this address sign up."""
    link = (await (await api.admin()).invite_person(email=email)).link
    assert link is not None, "development shows the link"
    return link.partition("token=")[2]


async def test_an_operators_invitation_signs_its_address_up_once(by_invitation: Api) -> None:
    email = new_email()
    with refused(403, "registration_closed"):
        await by_invitation.client().register(email=email, password=PASSWORD, name="Ada")
    token = await invited(by_invitation, email)
    assert token_in((await read_mail(by_invitation, email, "Administrator invites you")).text) == token
    me = await by_invitation.client().register(email=email.upper(), password=PASSWORD, name="Ada", invitation=token)
    assert me.user.email_verified
    assert (await by_invitation.sign_in(email, PASSWORD)).token
    with refused(409, "invitation_over"):
        await by_invitation.client().register(email=email, password=PASSWORD, name="Ada", invitation=token)
    admin = await by_invitation.admin()
    assert email not in [row.email for row in (await admin.list_platform_invitations()).items]
    with refused(409, "email_taken"):
        await admin.invite_person(email=email)


async def test_a_members_invitation_signs_up_and_joins(by_invitation: Api) -> None:
    admin = await by_invitation.admin()
    made = await admin.create_organization(name="Engines")
    email = new_email()
    sent = await admin.invite_member(made.id, email=email, role="developer")
    me = await by_invitation.client().register(email=email, password=PASSWORD, name="Ada", invitation=token_of(sent))
    assert [(one.name, one.role) for one in me.organizations] == [("Ada", "owner"), ("Engines", "developer")]
    ada = await by_invitation.sign_in(email, PASSWORD)
    assert (await at_work(ada, made.id).mint_key(name="theirs")).secret


async def test_an_invitation_is_for_its_address_alone_and_ends(by_invitation: Api) -> None:
    admin, email = await by_invitation.admin(), new_email()
    token = await invited(by_invitation, email)
    visitor = by_invitation.client()
    with refused(403, "invited_another"):
        await visitor.register(email=new_email(), password=PASSWORD, name="Eve", invitation=token)
    for wrong in ("", "op-pi-", "op-in-x", token[:-1], token.upper(), "a" * 10_000):
        with refused(404, "not_found"):
            await visitor.register(email=email, password=PASSWORD, name="Eve", invitation=wrong)
    with refused(409, "already_invited"):
        await admin.invite_person(email=email)
    await by_invitation.database.fetch(
        "UPDATE platform_invitations SET expires_at = now() WHERE email = $1::text::citext", email
    )
    with refused(409, "invitation_over"):
        await visitor.register(email=email, password=PASSWORD, name="Ada", invitation=token)
    await invited(by_invitation, email)  # one that has expired is no obstacle
    row = next(row for row in (await admin.list_platform_invitations()).items if row.email == email)
    await admin.revoke_platform_invitation(row.id)
    with refused(404, "not_found"):
        await admin.revoke_platform_invitation(row.id)


async def test_a_domain_that_may_not_sign_up_is_not_invited(by_invitation: Api) -> None:
    with refused(403, "domain_not_allowed"):
        await (await by_invitation.admin()).invite_person(email="eve@elsewhere.org")


async def test_of_twenty_who_use_one_invitation_at_once_one_signs_up(by_invitation: Api) -> None:
    email = new_email()
    token = await invited(by_invitation, email)
    answers = await asyncio.gather(
        *(
            by_invitation.http.post(
                f"{by_invitation.base_url}/api/v1/auth/register",
                json={"email": email, "password": PASSWORD, "name": "Ada", "invitation": token},
            )
            for _ in range(20)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 19]


async def test_whoever_proves_the_address_takes_an_unproven_account_over(api: Api, admin: AsyncOperis) -> None:
    squatter = await sign_up(api)
    await api.database.fetch("UPDATE users SET email_verified_at = NULL WHERE id = $1::text::uuid", squatter.user_id)
    owner: Account = await share(await sign_up(api))
    sent = await owner.client.invite_member(owner.organization_id, email=squatter.email, role="viewer")
    own = "the password of the mailbox's owner"
    me = await api.client().register(email=squatter.email, password=own, name="Ada", invitation=token_of(sent))
    assert me.user.id == squatter.user_id
    with refused(401, "unauthenticated"):
        await squatter.client.get_me()
    with refused(401, "invalid_credentials"):
        await api.client().login(email=squatter.email, password=PASSWORD)
    assert (await api.sign_in(squatter.email, own)).token


async def test_an_invitation_of_somebody_with_an_account_says_so(api: Api, ada: Account) -> None:
    owner = await share(await sign_up(api))
    sent = await owner.client.invite_member(owner.organization_id, email=ada.email, role="viewer")
    with refused(409, "email_taken"):
        await api.client().register(
            email=ada.email, password="another password of mine", name="Eve", invitation=token_of(sent)
        )
    await ada.client.accept_invitation(token=token_of(sent))


async def test_where_sign_up_is_closed_no_invitation_opens_it(postgres: EmbeddedPostgres) -> None:
    async with run_api(await make_database(postgres), OPERIS_REGISTRATION="closed") as closed:
        admin = await closed.admin()
        with refused(403, "registration_closed"):
            await admin.invite_person(email=new_email())
        made, email = await admin.create_organization(name="Engines"), new_email()
        sent = await admin.invite_member(made.id, email=email, role="viewer")
        with refused(403, "registration_closed"):
            await closed.client().register(email=email, password=PASSWORD, name="Ada", invitation=token_of(sent))
