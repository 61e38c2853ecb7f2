"""One's own settings: profile, address, password, second factor, sessions, and the proof that some of it asks for."""

import base64
import time

import pytest

from operis_api.credentials.totp import STEP_SECONDS, code_at
from operis_dashboard import runtime
from operis_dashboard.agents import name_agent
from operis_dashboard.pages.keys import Keys
from operis_dashboard.pages.settings import Settings
from operis_dashboard.pages.settings_security import Security
from operis_dashboard.pages.settings_sessions import Sessions
from tests.dashboard.conftest import Tab, run
from tests.factories import PASSWORD, Account
from tests.reading_mail import read_mail
from tests.refusing import refused
from tests.running import Api


def code_of(shown: str, offset: int = 0) -> str:
    secret = base64.b32decode(shown + "=" * (-len(shown) % 8))
    return code_at(secret, int(time.time()) // STEP_SECONDS + offset)


async def age(api: Api, account: Account) -> None:
    """Let the last proof of every session lie eleven minutes back."""
    await api.database.fetch(
        "UPDATE sessions SET authenticated_at = now() - interval '11 minutes' WHERE user_id = $1::text::uuid",
        account.user_id,
    )


async def test_name_language_and_zone_are_saved_and_times_are_written_in_the_zone(
    signed_in: tuple[Tab, Account],
) -> None:
    tab, account = signed_in
    settings = await tab.page(Settings, "/settings")
    assert (settings.own_name, settings.locale, settings.time_zone) == ("Ada Lovelace", "en", "UTC")
    assert "Asia/Ho_Chi_Minh" in settings.zones
    await run(settings.save({"name": "Ada King", "locale": "en", "time_zone": "Asia/Ho_Chi_Minh"}))
    assert (settings.failure, settings.name) == ("", "Ada King")
    user = (await account.client.get_me()).user
    assert (user.name, user.locale, user.time_zone) == ("Ada King", "en", "Asia/Ho_Chi_Minh")
    sessions = await tab.page(Sessions, "/settings/sessions")
    assert sessions.rows[0].began.exact.endswith("+07:00")
    settings = await tab.page(Settings, "/settings")
    *_, event = await run(settings.save({"name": "Ada", "locale": "vi", "time_zone": "UTC"}))
    assert "choose_language" in str(event)
    await run(settings.save({"name": " ", "locale": "en", "time_zone": "Mars/Phobos"}))
    assert settings.failure
    assert (await account.client.get_me()).user.time_zone == "UTC"


async def test_a_new_address_is_asked_for_after_a_proof_where_the_last_one_is_old(
    api: Api, signed_in: tuple[Tab, Account]
) -> None:
    tab, account = signed_in
    wanted = f"new.{account.email}"
    settings = await tab.page(Settings, "/settings")
    await age(api, account)
    await run(settings.send_address())
    settings.open_address(True)
    await run(settings.change_address({"new_email": wanted}))
    await run(settings.send_address())
    assert (settings.proof_asked, settings.proof_by_code, settings.sent_to) == (True, False, "")
    assert await run(settings.prove({"proof": "not the password"})) == []
    assert (settings.proof_asked, settings.proof_failure != "") == (True, True)
    (then,) = await run(settings.prove({"proof": PASSWORD}))
    assert then.fn.__name__ == "send_address"
    await run(settings.send_address())
    assert (settings.readdressing, settings.sent_to) == (False, wanted)
    await read_mail(api, wanted, "Confirm your new address")
    assert await run(settings.prove({"proof": PASSWORD})) == [], "nothing waits for a proof any more"


async def test_the_password_changes_and_a_wrong_one_does_not(api: Api, signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    security = await tab.page(Security, "/settings/security")
    await run(security.change_password({"current_password": "wrong", "new_password": "quite another password"}))
    assert (security.password_failure != "", security.passwords) == (True, 0)
    await run(security.change_password({"current_password": PASSWORD, "new_password": "quite another password"}))
    assert (security.password_failure, security.passwords) == ("", 1)
    assert (await api.client().login(email=account.email, password="quite another password")).access_token
    assert (await tab.page(Keys, "/keys")).loaded, "this session stays"
    with refused(401, "unauthenticated"):
        await account.client.get_me()


async def test_a_second_factor_is_turned_on_its_codes_shown_once_and_turned_off_with_a_code(
    api: Api, signed_in: tuple[Tab, Account]
) -> None:
    tab, account = signed_in
    security = await tab.page(Security, "/settings/security")
    assert (security.loaded, security.enabled) == (True, False)
    await run(security.turn_on({"first_code": "000000"}))
    await run(security.enrol())
    assert security.picture.startswith("data:image/svg+xml")
    secret = security.secret
    await run(security.turn_on({"first_code": "000000"}))
    assert (security.secret, security.enabled, security.form_failure != "") == (secret, False, True)
    await run(security.turn_on({"first_code": code_of(secret, -1)}))
    assert (security.secret, security.picture, security.enabled, security.codes_left) == ("", "", True, 10)
    first = security.codes
    assert len(first) == 10
    security.forget_codes(False)
    assert first[0] not in tab.sent()

    await age(api, account)
    security.ask("replace")
    await run(security.confirm())
    assert (security.proof_asked, security.proof_by_code) == (True, True)
    (then,) = await run(security.prove({"proof": code_of(secret)}))
    assert then.fn.__name__ == "confirm"
    await run(security.confirm())
    assert len(security.codes) == 10
    assert not set(first) & set(security.codes)
    security.ask("remove")
    await run(security.confirm())
    assert (security.enabled, security.asking) == (False, "")
    assert (await api.client().login(email=account.email, password=PASSWORD)).access_token


async def test_a_page_that_is_left_forgets_the_secret_it_showed(signed_in: tuple[Tab, Account]) -> None:
    tab, _ = signed_in
    security = await tab.page(Security, "/settings/security")
    await run(security.enrol())
    secret = security.secret
    await tab.page(Security, "/settings/security")
    assert secret not in tab.sent()


async def test_sessions_are_listed_named_and_ended(api: Api, signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    page = await tab.page(Sessions, "/settings/sessions")
    assert [row.current for row in page.rows] == [True, False]
    other = page.rows[1]
    page.open_name(other.id)
    await run(page.save_name({"session_name": "Old laptop"}))
    assert [row.name for row in page.rows][1] == "Old laptop"
    for what, session_id in (("one", "nonsense"), ("one", other.id)):
        page.ask(what, session_id)
        await run(page.confirm())
    assert [row.current for row in page.rows] == [True]
    with refused(401, "unauthenticated"):
        await account.client.get_me()

    for _ in range(2):
        await api.client().login(email=account.email, password=PASSWORD)
    page.ask("others", "")
    await run(page.confirm())
    assert [row.current for row in page.rows] == [True]
    page.ask("all", "")
    (event,) = await run(page.confirm())
    assert "_auth/logout" in str(event.args)
    with pytest.raises(runtime.SignedOutError):
        await run(page.load())


async def test_a_session_is_known_by_the_browser_that_it_is_in(api: Api, signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0 Tiếng"
    runtime.browser.set(runtime.Browser("127.0.0.1", firefox))
    tab.sign_in(await runtime.open_session(account.email, PASSWORD))
    page = await tab.page(Sessions, "/settings/sessions")
    assert [row.name for row in page.rows if row.current] == ["Firefox · Linux"]


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (None, "\N{EN DASH}"),
        ("curl/8.5.0", "curl/8.5.0"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0 Safari/537.36 Edg/142.0",
            "Edge · Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604",
            "Safari · iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/142.0 Safari/537.36",
            "Chrome · macOS",
        ),
    ],
)
def test_a_browser_is_called_what_people_call_it(agent: str | None, name: str) -> None:
    assert name_agent(agent) == name
