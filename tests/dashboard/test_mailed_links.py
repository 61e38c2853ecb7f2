"""The pages that mails lead to: what they do with a link once, twice, too late, and for whom."""

import asyncio

import httpx
import pytest

from operis_client import ApiError
from operis_dashboard import runtime
from operis_dashboard.mailed_links import LINK_PAGES
from operis_dashboard.pages.confirm_address import ConfirmAddress
from operis_dashboard.pages.forgot_password import ForgotPassword
from operis_dashboard.pages.invitation import InvitationPage
from operis_dashboard.pages.register import Register
from operis_dashboard.pages.reset_password import ResetPassword
from operis_dashboard.pages.undo_address import UndoAddress
from operis_dashboard.pages.verify_email import VerifyEmail
from tests.dashboard.conftest import Tab, run
from tests.dashboard.serving import serve_dashboard
from tests.factories import Account, new_email, share, sign_up, token_of
from tests.reading_mail import read_mail, token_in
from tests.running import Api

NEW_PASSWORD = "another quiet password"


def follow(tab: Tab, page: str, token: str) -> None:
    """Arrive with the cookie that the link was exchanged for."""
    name = "operis_link" + page.replace("/", "_").replace("-", "_")
    tab.visit(page, cookies={**tab.cookies, name: token})


async def test_a_forgotten_password_is_set_anew_by_the_link(tab: Tab, api: Api) -> None:
    account = await sign_up(api)
    tab.visit("/", cookies={})
    forgot = await tab.page(ForgotPassword, "/forgot-password")
    await run(forgot.submit({"email": account.email}))
    assert (forgot.sent_to, forgot.failure) == (account.email, "")
    token = token_in((await read_mail(api, account.email, "Set a new password")).text)

    follow(tab, "/reset-password", token)
    reset = await tab.page(ResetPassword, "/reset-password")
    assert reset.stage == "link"
    await run(reset.submit({"new_password": "short"}))
    assert reset.stage == "link", "a refused password leaves the link as it is"
    assert "8" in reset.failure
    (script,) = await run(reset.submit({"new_password": NEW_PASSWORD}))
    assert (reset.stage, reset.failure) == ("done", "")
    assert "/_auth/link-used" in str(script.args)
    assert (await runtime.open_session(account.email, NEW_PASSWORD)).email == account.email
    with pytest.raises(ApiError, match="401"):
        await account.client.get_me()

    reset = await tab.page(ResetPassword, "/reset-password")
    assert reset.stage == "none", "the open socket still names the used cookie"
    assert token not in tab.sent()


async def test_known_and_unknown_addresses_get_the_same_answer(tab: Tab, api: Api) -> None:
    account = await sign_up(api)
    seen: list[object] = []
    for email in (account.email, "nobody.at.all@example.com"):
        forgot = await tab.page(ForgotPassword, "/forgot-password")
        await run(forgot.submit({"email": email}))
        verify = await tab.page(VerifyEmail, "/verify-email")
        await run(verify.submit({"email": email}))
        seen.append((forgot.sent_to == email, forgot.failure, verify.stage, verify.failure))
    assert seen == [(True, "", "sent", "")] * 2


async def test_a_new_address_is_confirmed_and_can_be_taken_back(signed_in: tuple[Tab, Account], api: Api) -> None:
    tab, account = signed_in
    new = new_email()
    await account.client.change_address(email=new)
    follow(tab, "/confirm-address", token_in((await read_mail(api, new, "Confirm your new address")).text))
    confirm = await tab.page(ConfirmAddress, "/confirm-address")
    assert confirm.stage == "link"
    await run(confirm.use())
    assert (confirm.stage, confirm.email) == ("done", new)

    subject = "The address of your account was changed"
    token = token_in((await read_mail(api, account.email, subject)).text)
    tab.visit("/", cookies={})
    for stage in ("done", "none"):
        follow(tab, "/undo-address", token)
        undo = await tab.page(UndoAddress, "/undo-address")
        await run(undo.use())
        assert undo.stage == stage
    with pytest.raises(ApiError, match="401"):
        await account.client.get_me()


@pytest.mark.parametrize("token", ["op-ol-made-up", "x"])
async def test_a_link_that_is_refused_leads_to_another_one(token: str, tab: Tab) -> None:
    for page in LINK_PAGES:
        follow(tab, page, token)
    verify = await tab.page(VerifyEmail, "/verify-email")
    assert verify.stage == "link"
    await run(verify.use())
    assert verify.stage == "ask"
    assert verify.failure.startswith("This link was used")
    reset = await tab.page(ResetPassword, "/reset-password")
    await run(reset.submit({"new_password": NEW_PASSWORD}))
    assert reset.stage == "none"


async def test_without_a_link_each_page_says_where_to_get_one(tab: Tab) -> None:
    tab.visit("/", cookies={})
    stages = [
        (await tab.page(VerifyEmail, "/verify-email")).stage,
        (await tab.page(ResetPassword, "/reset-password")).stage,
        (await tab.page(InvitationPage, "/invitation")).stage,
    ]
    assert stages == ["ask", "none", "none"]


async def test_an_address_is_proven_by_a_press_and_not_by_opening_the_page(tab: Tab, api: Api) -> None:
    account = await sign_up(api)
    first = token_in((await read_mail(api, account.email, "Confirm your address")).text)
    await api.database.fetch("update users set email_verified_at = null where email = $1", account.email)
    verify = await tab.page(VerifyEmail, "/verify-email")
    await run(verify.submit({"email": account.email}))
    while (token := token_in((await read_mail(api, account.email, "Confirm your address")).text)) == first:
        await asyncio.sleep(0.1)
    follow(tab, "/verify-email", token)
    for _ in range(2):  # a program that scans mail opens it first
        verify = await tab.page(VerifyEmail, "/verify-email")
        assert verify.stage == "link"
    await run(verify.use())
    assert (verify.stage, verify.failure) == ("done", "")
    assert (await account.client.get_me()).user.email_verified


async def test_an_invitation_waits_for_signing_in_and_is_accepted_once(
    api: Api, tab: Tab, signed_in: tuple[Tab, Account]
) -> None:
    _, invited = signed_in
    owner = await share(await sign_up(api), name="Analytical Engines")
    token = token_of(await owner.client.invite_member(owner.organization_id, email=invited.email, role="developer"))
    session = tab.cookies

    tab.visit("/", cookies={})
    follow(tab, "/invitation", token)
    assert (await tab.page(InvitationPage, "/invitation")).stage == "visitor"

    tab.visit("/", cookies=session)
    follow(tab, "/invitation", token)
    page = await tab.page(InvitationPage, "/invitation")
    assert page.stage == "link"
    await run(page.accept())
    assert (page.failure, page.stage, page.joined) == ("", "done", "Analytical Engines")
    members = (await owner.client.list_members(owner.organization_id)).items
    assert {member.email: member.role for member in members}[invited.email] == "developer"
    assert await run(page.accept()) == [], "a second click finds no link"


async def test_whoever_is_invited_signs_up_by_the_link(tab: Tab, api: Api) -> None:
    email = new_email()
    await (await api.admin()).invite_person(email=email)
    token = token_in((await read_mail(api, email, "Administrator invites you")).text)
    tab.visit("/", cookies={})
    follow(tab, "/register", token)
    page = await tab.page(Register, "/register")
    assert page.welcome
    await run(page.submit({"email": new_email(), "password": NEW_PASSWORD, "name": "Eve"}))
    assert page.failure
    spent, _ = await run(page.submit({"email": email, "password": NEW_PASSWORD, "name": "Ada"}))
    assert "/_auth/link-used" in str(spent.args)
    assert (await runtime.open_session(email, NEW_PASSWORD)).email == email
    assert token not in tab.sent()


async def test_an_invitation_for_another_address_says_so_and_stays_usable(
    api: Api, signed_in: tuple[Tab, Account]
) -> None:
    tab, _ = signed_in
    owner = await share(await sign_up(api))
    somebody = await sign_up(api)
    token = token_of(await owner.client.invite_member(owner.organization_id, email=somebody.email, role="viewer"))
    follow(tab, "/invitation", token)
    page = await tab.page(InvitationPage, "/invitation")
    await run(page.accept())
    assert (page.stage, page.other_address) == ("link", True)
    await somebody.client.accept_invitation(token=token)
    await run(page.accept())
    assert page.stage == "none"


async def test_the_token_is_taken_out_of_the_address_before_the_page_is_shown(
    api: Api, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serve_dashboard(api.base_url, tmp_path_factory.mktemp("links")) as served:
        async with httpx.AsyncClient(base_url=served.url, trust_env=False) as browser:
            for page in LINK_PAGES:
                answer = await browser.get(f"{page}?token=op-ol-secret_1")
                assert (answer.status_code, answer.headers["location"]) == (303, page)
                cookie = answer.headers["set-cookie"]
                assert "op-ol-secret_1" in cookie
                assert {"HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
                assert (await browser.get(page)).status_code == 200, "a visitor may see it"
                refused = await browser.get(f"{page}?token=a%3Bb%0d%0a")
                assert (refused.status_code, "set-cookie" in refused.headers) == (303, False)
            assert len(browser.cookies) == len(LINK_PAGES)
            stranger = await browser.post("/_auth/link-used", headers={"origin": "https://evil.example"})
            assert (stranger.status_code, len(browser.cookies)) == (403, len(LINK_PAGES))
            await browser.post("/_auth/link-used", headers={"origin": served.url})
            assert len(browser.cookies) == 0
        assert "op-ol-secret_1" not in served.log.read_text()
