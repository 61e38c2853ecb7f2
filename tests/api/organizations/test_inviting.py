"""Invitations: bound to an address, once, for a week."""

import asyncio

import pytest

from operis_client import ApiError
from tests.factories import Account, join, new_email, share, sign_up, token_of
from tests.reading_mail import read_mail, token_in
from tests.refusing import refused
from tests.running import Api


async def test_an_invited_address_joins_in_its_role(api: Api, ada: Account) -> None:
    shared = await share(ada)
    grace = await sign_up(api)
    sent = await shared.client.invite_member(shared.organization_id, email=f" {grace.email.upper()} ", role="billing")
    assert (sent.invitation.role, sent.invitation.status) == ("billing", "open")
    assert (await shared.client.list_invitations(shared.organization_id)).items == [sent.invitation]
    joined = await grace.client.accept_invitation(token=token_of(sent))
    assert (joined.user_id, joined.role) == (grace.user_id, "billing")
    assert (await shared.client.list_invitations(shared.organization_id)).items == []
    assert (await grace.client.get_organization(shared.organization_id)).role == "billing"
    with refused(404, "not_found"):
        await grace.client.accept_invitation(token="op-in-nothing")


async def test_an_invitation_works_once_however_often_it_is_tried_at_once(api: Api, ada: Account) -> None:
    shared = await share(ada)
    grace = await sign_up(api)
    sent = await shared.client.invite_member(shared.organization_id, email=grace.email, role="viewer")
    answers = await asyncio.gather(
        *(grace.client.accept_invitation(token=token_of(sent)) for _ in range(20)), return_exceptions=True
    )
    refusals = [answer.code for answer in answers if isinstance(answer, ApiError)]
    assert refusals == ["invitation_over"] * 19
    assert (await ada.client.get_organization(shared.organization_id)).members == 2
    await ada.client.remove_member(shared.organization_id, grace.user_id)
    with refused(409, "invitation_over"):
        await grace.client.accept_invitation(token=token_of(sent))


async def test_an_invitation_is_for_its_address_alone(api: Api, ada: Account) -> None:
    shared = await share(ada)
    sent = await shared.client.invite_member(shared.organization_id, email=new_email(), role="admin")
    mallory = await sign_up(api)
    with refused(403, "invited_another"):
        await mallory.client.accept_invitation(token=token_of(sent))
    unverified = await sign_up(api)
    theirs = await shared.client.invite_member(shared.organization_id, email=unverified.email, role="admin")
    await api.database.fetch("UPDATE users SET email_verified_at = NULL WHERE id = $1::uuid", unverified.user_id)
    with refused(403, "invited_another"):
        await unverified.client.accept_invitation(token=token_of(theirs))


async def test_sending_again_ends_the_link_before(api: Api, ada: Account) -> None:
    shared = await share(ada)
    grace = await sign_up(api)
    sent = await shared.client.invite_member(shared.organization_id, email=grace.email, role="viewer")
    with refused(409, "already_invited"):
        await shared.client.invite_member(shared.organization_id, email=grace.email, role="admin")
    again = await shared.client.resend_invitation(shared.organization_id, sent.invitation.id)
    assert again.invitation.id == sent.invitation.id
    with refused(404, "not_found"):
        await grace.client.accept_invitation(token=token_of(sent))
    await grace.client.accept_invitation(token=token_of(again))
    with refused(404, "not_found"):
        await shared.client.resend_invitation(shared.organization_id, sent.invitation.id)


async def test_a_revoked_or_expired_invitation_is_over(api: Api, ada: Account) -> None:
    shared = await share(ada)
    grace = await sign_up(api)
    revoked = await shared.client.invite_member(shared.organization_id, email=grace.email, role="viewer")
    await shared.client.revoke_invitation(shared.organization_id, revoked.invitation.id)
    with refused(404, "not_found"):
        await shared.client.revoke_invitation(shared.organization_id, revoked.invitation.id)
    with refused(409, "invitation_over"):
        await grace.client.accept_invitation(token=token_of(revoked))
    expired = await shared.client.invite_member(shared.organization_id, email=grace.email, role="viewer")
    await api.database.fetch("UPDATE invitations SET expires_at = now() WHERE id = $1::uuid", expired.invitation.id)
    with refused(409, "invitation_over"):
        await grace.client.accept_invitation(token=token_of(expired))
    (listed,) = (await shared.client.list_invitations(shared.organization_id)).items
    assert listed.status == "expired"
    again = await shared.client.resend_invitation(shared.organization_id, expired.invitation.id)
    assert (await grace.client.accept_invitation(token=token_of(again))).role == "viewer"


async def test_members_are_not_invited_again(api: Api, ada: Account) -> None:
    shared = await share(ada)
    grace = await join(api, shared, "viewer")
    with refused(409, "already_member"):
        await shared.client.invite_member(shared.organization_id, email=grace.email.upper(), role="admin")


@pytest.mark.parametrize("email", ["", "ada", "ada@", "a b@example.com", "ada@exa\nmple.com", "a" * 300 + "@x.io"])
async def test_what_is_no_address_is_not_invited(ada: Account, email: str) -> None:
    shared = await share(ada)
    with refused(422, "invalid_email"):
        await shared.client.invite_member(shared.organization_id, email=email, role="viewer")


async def test_nobody_invites_an_owner(ada: Account) -> None:
    shared = await share(ada)
    with refused(400, "invalid_request"):
        await shared.client.invite_member(shared.organization_id, email=new_email(), role="owner")


async def test_tokens_are_stored_as_hashes_and_never_listed(api: Api, ada: Account) -> None:
    shared = await share(ada)
    sent = await shared.client.invite_member(shared.organization_id, email=new_email(), role="viewer")
    rows = await api.database.fetch("SELECT i::text AS row FROM invitations i")
    assert all(token_of(sent) not in row["row"] for row in rows)
    assert token_of(sent) not in str((await shared.client.list_invitations(shared.organization_id)).items)


async def test_the_mail_names_who_invites_whereto_and_has_the_link(api: Api, ada: Account) -> None:
    shared = await share(ada, name="Analytical <b>Engines</b>")
    email = new_email()
    sent = await shared.client.invite_member(shared.organization_id, email=email, role="developer")
    mail = await read_mail(api, email, "Ada Lovelace invites you to Analytical <b>Engines</b>")
    assert token_in(mail.text) == token_of(sent)
    assert "<b>Engines" not in mail.html


async def test_production_leaves_the_link_to_the_mail(production: Api) -> None:
    admin = await production.admin()
    shared = await admin.create_organization(name="Operators")
    sent = await admin.invite_member(shared.id, email=new_email(), role="viewer")
    assert sent.link is None
