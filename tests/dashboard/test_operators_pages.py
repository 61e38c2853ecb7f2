"""Organizations and the audit log as operators see them, and what a role is shown."""

from operis_dashboard import runtime
from operis_dashboard.auditing import write_changes
from operis_dashboard.pages.admin_audit import AdminAudit
from operis_dashboard.pages.admin_organizations import AdminOrganizations
from operis_dashboard.pages.admin_users import AdminUsers
from operis_dashboard.pages.keys import Keys
from tests.dashboard.conftest import Tab, run
from tests.factories import PASSWORD, Account, join, share, sign_up
from tests.refusing import refused
from tests.running import Api


async def open_one(admin_tab: Tab, account: Account) -> AdminOrganizations:
    page = await admin_tab.page(AdminOrganizations, f"/admin/organizations?search={account.email}")
    assert account.organization_id in {row.id for row in page.rows}
    await run(page.open_organization(account.organization_id))
    return page


async def test_an_organization_is_found_and_opened_to_its_members_limits_and_plan(api: Api, admin_tab: Tab) -> None:
    owner = await share(await sign_up(api))
    member = await join(api, owner, "developer")
    await owner.client.update_organization(owner.organization_id, budget_daily="2.5", rpm=1000)
    page = await open_one(admin_tab, owner)
    assert (page.shown.owner, page.shown.member_count, page.shown.personal) == (owner.email, "2", False)
    assert {row.email: row.role for row in page.members} == {owner.email: "owner", member.email: "developer"}
    assert {limit.name: limit.value for limit in page.shown.limits} == {"budget_daily": "2.5", "rpm": "1,000"}
    assert page.shown.plan in {plan.name for plan in page.plans}
    assert page.shown.available.exact == "0"


async def test_an_organization_is_suspended_once_with_a_reason_and_works_again(api: Api, admin_tab: Tab) -> None:
    owner = await share(await sign_up(api))
    page = await open_one(admin_tab, owner)
    await run(page.act({"organization_reason": "Nothing was asked for"}))
    page.ask("suspend")
    await run(page.act({"organization_reason": ""}))
    assert (page.shown.status, page.open_failure != "") == ("active", True)
    for _ in range(2):
        await run(page.act({"organization_reason": "Unpaid"}))
    assert (page.shown.status, page.shown.reason, page.asked) == ("suspended", "Unpaid", "")
    page.ask("unsuspend")
    await run(page.act({"organization_reason": "Paid"}))
    assert page.shown.status == "active"
    page.ask("plan")
    await run(page.act({"organization_reason": "Same", "plan": "01920000-0000-7000-8000-000000000000"}))
    assert page.open_failure
    await run(page.open_organization("nonsense"))
    assert page.open_failure

    log = await admin_tab.page(AdminAudit, f"/admin/audit?target_id={owner.organization_id}&action=organization")
    assert [row.reason for row in log.rows if "suspend" in row.action] == ["Paid", "Unpaid"]
    assert all(row.operator for row in log.rows if row.reason)


async def test_the_audit_log_is_narrowed_paged_and_opened_to_before_and_after(
    admin_tab: Tab, signed_in: tuple[Tab, Account]
) -> None:
    _, account = signed_in
    await account.client.update_me(name="Ada King")
    log = await admin_tab.page(AdminAudit, f"/admin/audit?actor_id={account.user_id}&action=user.update")
    assert (log.filtered, [row.action for row in log.rows]) == (True, ["user.update"])
    log.open_event(log.rows[0].id)
    changes = {row.name: (row.before, row.after, row.changed) for row in log.event.changes}
    assert changes["name"] == ("Ada Lovelace", "Ada King", True)
    assert changes["locale"] == ("en", "en", False)
    (event,) = await run(log.narrow("target_id", account.user_id))
    assert f"target_id={account.user_id}" in str(event.args)

    first = await admin_tab.page(AdminAudit, "/admin/audit")
    assert (first.filtered, len(first.rows) > 3) == (False, True)
    later = await admin_tab.page(AdminAudit, "/admin/audit?from=2150-01-01")
    assert (later.rows, later.failure) == ([], "")
    for nonsense in ("from=yesterday", "to=9999-12-31"):
        assert (await admin_tab.page(AdminAudit, f"/admin/audit?{nonsense}")).rows
    assert (await admin_tab.page(AdminAudit, "/admin/audit?actor_id=nobody")).failure


def test_a_change_shows_what_stands_on_one_side_alone() -> None:
    rows = write_changes({"a": 1, "b": None}, {"a": 1, "c": True})
    assert [(row.name, row.before, row.after, row.changed) for row in rows] == [
        ("a", "1", "1", False),
        ("b", "\N{EN DASH}", "\N{EN DASH}", False),
        ("c", "\N{EN DASH}", "true", True),
    ]


async def test_a_role_is_shown_what_it_may_do_and_the_api_judges(api: Api, tab: Tab, admin_tab: Tab) -> None:
    account, victim = await sign_up(api), await share(await sign_up(api))
    admin = (await admin_tab.page(Keys, "/keys")).permissions
    assert {"admin.organizations.edit", "admin.users.grant", "keys.edit"} <= set(admin)
    async with await runtime.connect(admin_tab.cookies[runtime.cookie_name()]) as operator:
        await operator.grant_role(account.user_id, role="finance", reason="Books")
    tab.sign_in(await runtime.open_session(account.email, PASSWORD))
    page = await open_one(tab, victim)
    assert "admin.organizations.plan" in page.permissions
    assert "admin.organizations.edit" not in page.permissions
    page.ask("suspend")
    await run(page.act({"organization_reason": "By hand"}))
    assert (page.open_failure != "", page.shown.status) == (True, "active")


async def test_a_user_is_suspended_until_a_moment_of_the_operators_zone_and_reactivated(
    api: Api, admin_tab: Tab
) -> None:
    account = await sign_up(api)
    users = await admin_tab.page(AdminUsers, f"/admin/users?user={account.user_id}")
    await run(users.open_user(account.user_id))
    users.ask("suspend")
    await run(users.act({"user_reason": "Spam", "until": "tomorrow"}))
    assert (users.open_failure, users.person.status) == ("Until when is no time.", "active")
    for _ in range(2):
        await run(users.act({"user_reason": "Spam", "until": "2150-01-31T10:00"}))
    assert (users.person.status, users.person.reason, users.person.until) == ("suspended", "Spam", "Jan 31 2150, 10:00")
    users.ask("reactivate")
    await run(users.act({"user_reason": "Asked"}))
    assert users.person.status == "active"


async def test_a_user_is_corrected_verified_and_signed_out(api: Api, admin_tab: Tab) -> None:
    account = await sign_up(api)
    users = await admin_tab.page(AdminUsers, "/admin/users")
    await run(users.open_user(account.user_id))
    users.ask("everything")
    assert users.asked == ""
    for action, form in (
        ("edit", {"person_name": "Ada King", "person_locale": "vi"}),
        ("verify", {}),
        ("sign_out", {}),
    ):
        users.ask(action)
        await run(users.act({**form, "user_reason": "Asked by phone"}))
        assert users.open_failure == "", action
    users.ask("remove_factor")
    await run(users.act({"user_reason": "Asked by phone"}))
    assert (users.open_failure, users.asked) == ("This user has none.", "remove_factor")
    assert (users.person.name, users.person.locale, users.person.verified) == ("Ada King", "vi", True)
    with refused(401, "unauthenticated"):
        await account.client.get_me()
