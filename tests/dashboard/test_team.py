"""Organizations in the dashboard: where one is at work, who else is, and what happens when that ends."""

import pytest

from operis_dashboard import runtime
from operis_dashboard.pages.keys import Keys
from operis_dashboard.pages.team import Team
from operis_dashboard.viewer import Viewer
from tests.dashboard.conftest import Tab, run
from tests.factories import Account, join, share, sign_up
from tests.running import Api


async def work_in(tab: Tab, organization_id: str) -> None:
    viewer = await tab.root.get_state(Viewer)
    (event,) = await run(viewer.choose_organization(organization_id))
    assert "location.assign" in str(event.args)


async def test_every_call_is_about_the_organization_that_was_chosen(signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    own = await tab.page(Keys, "/keys")
    await run(own.open_mint(True))
    await run(own.mint({"key_name": "Mine", "lifetime": ""}))
    assert own.secret

    team = await tab.page(Team, "/team?create=1")
    assert (team.personal, team.creating) == (True, True)
    await run(team.create({"organization_name": "Analytical Engines"}))
    assert team.form_failure == ""

    keys = await tab.page(Keys, "/keys")
    assert (keys.secret, keys.rows) == ("", []), "what belongs to the other organization is gone from the page"
    assert keys.organization == "Analytical Engines"
    assert len(keys.organizations) == 2
    await work_in(tab, account.organization_id)
    assert [row.name for row in (await tab.page(Keys, "/keys")).rows] == ["Mine"]


async def test_nobody_goes_to_work_where_they_are_not_in(api: Api, signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    foreign = await share(await sign_up(api))
    viewer = await tab.page(Keys, "/keys")
    for strange in (foreign.organization_id, "nonsense"):
        (event,) = await run(viewer.choose_organization(strange))
        assert "location.assign" not in str(event.args)
    assert (await tab.page(Keys, "/keys")).organization_id == account.organization_id


async def test_an_owner_invites_changes_caps_and_removes(api: Api, signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    owner = await share(account)
    member = await join(api, owner, "viewer")
    await tab.page(Keys, "/keys")
    await reread(tab)
    await work_in(tab, owner.organization_id)
    team = await tab.page(Team, "/team")
    assert {(row.email, row.role, row.me) for row in team.rows} == {
        (account.email, "owner", True),
        (member.email, "viewer", False),
    }
    team.open_invite(True)
    for _ in range(2):
        await run(team.invite({"invited_email": "grace@example.com", "invited_role": "billing"}))
    assert [(row.email, row.role, row.status) for row in team.invitations] == [("grace@example.com", "billing", "open")]
    first = team.link
    await run(team.resend(team.invitations[0].id))
    assert team.link.startswith("http")
    assert team.link != first
    team.ask("revoke", team.invitations[0].id, "grace@example.com")
    await run(team.confirm())
    assert team.invitations == []

    await run(team.open_member(member.user_id))
    await run(team.save_member({"member_role": "developer", "budget_daily": "2.5", "rpm": "ten"}))
    assert "whole numbers" in team.form_failure
    await run(team.save_member({"member_role": "developer", "budget_daily": "2,5"}))
    assert team.form_failure
    await run(team.save_member({"member_role": "developer", "budget_daily": "2.50", "rpm": "10"}))
    found = {row.email: row for row in (await owner.client.list_members(owner.organization_id)).items}[member.email]
    assert (found.role, found.budget_daily, found.rpm, found.tpm) == ("developer", "2.5", 10, None)
    await run(team.open_member(member.user_id))
    assert (team.limits["budget_daily"], team.limits["rpm"]) == ("2.5", "10")

    team.ask("remove", member.user_id, member.email)
    for _ in range(2):
        await run(team.confirm())
    assert [row.email for row in team.rows] == [account.email]
    team.ask("delete", "", "it")
    (event,) = await run(team.confirm())
    assert "location.assign" in str(event.args)
    assert (await tab.page(Team, "/team")).personal


async def test_who_is_removed_is_back_in_their_own_organization(api: Api, signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    owner = await share(await sign_up(api))
    await owner.client.invite_member(owner.organization_id, email=account.email, role="developer")
    invitation = (await owner.client.list_invitations(owner.organization_id)).items[0]
    sent = await owner.client.resend_invitation(owner.organization_id, invitation.id)
    assert sent.link is not None
    await account.client.accept_invitation(token=sent.link.partition("token=")[2])
    await tab.page(Keys, "/keys")
    await reread(tab)
    await work_in(tab, owner.organization_id)
    keys = await tab.page(Keys, "/keys")
    assert keys.organization_id == owner.organization_id
    team = await tab.page(Team, "/team")
    assert "members.edit" not in team.permissions

    await owner.client.remove_member(owner.organization_id, account.user_id)
    with pytest.raises(runtime.OrganizationLostError):
        await run(keys.load())
    keys = await tab.page(Keys, "/keys")
    assert (keys.organization_id, keys.failure) == (account.organization_id, "")


async def reread(tab: Tab) -> None:
    await runtime.reread_session(tab.cookies[runtime.cookie_name()])
