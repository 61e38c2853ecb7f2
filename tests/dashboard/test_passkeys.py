"""Passkeys on the pages, with a device in software instead of the browser's."""

import json
import re
from typing import Any

from operis_client.models import PasskeyOptions
from operis_dashboard.pages.login import Login
from operis_dashboard.pages.settings_security import Security
from tests.dashboard.conftest import Tab, run
from tests.dashboard.test_settings import age
from tests.factories import PASSWORD, Account
from tests.fakes.authenticator import Authenticator, add_passkey, device_for
from tests.running import Api


def options_of(event: Any) -> PasskeyOptions:
    """Return what the script asks the device by."""
    found = re.search(r"operisPasskey\((.*), (?:true|false)\)", json.loads(json.dumps(script_of(event))))
    assert found, event
    return PasskeyOptions(public_key=json.loads(found[1]))


def script_of(event: Any) -> str:
    return next(str(json.loads(str(value))) for name, value in event.args if "javascript" in str(name))


def shown(device: Authenticator, event: Any) -> dict[str, Any]:
    return {"credential": device.get(options_of(event))}


async def test_one_is_added_after_a_proof_listed_and_removed(api: Api, signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    device = device_for(api)
    security = await tab.page(Security, "/settings/security")
    await age(api, account)
    await run(security.open_passkey(True))
    await run(security.name_passkey({"passkey_name": " Phone "}))
    assert await run(security.add_passkey()) == []
    assert (security.proof_asked, security.proof_by_passkey, security.passkey_name) == (True, False, "Phone")
    (then,) = await run(security.prove({"proof": PASSWORD}))
    assert then.fn.__name__ == "add_passkey"
    (event,) = await run(security.add_passkey())
    await run(security.keep_passkey({"failure": "NotAllowedError"}))
    assert (security.naming_passkey, security.passkey_failure != "") == (True, True)
    await run(security.keep_passkey({"credential": device.create(options_of(event))}))
    assert ([row.name for row in security.passkeys], len(security.codes)) == (["Phone"], 10)

    await age(api, account)
    security.ask_passkey(security.passkeys[0].id)
    await run(security.remove_passkey())
    assert (security.proof_asked, security.proof_by_code, security.proof_by_passkey) == (True, True, True)
    (event,) = await run(security.ask_proof_of_device())
    (then,) = await run(security.prove_by_device(shown(device, event)))
    assert then.fn.__name__ == "remove_passkey"
    await run(security.remove_passkey())
    assert (security.passkeys, security.codes_left) == ([], 0)


async def test_one_signs_in_alone_and_as_the_second_factor(api: Api, tab: Tab, signed_in: tuple[Tab, Account]) -> None:
    _, account = signed_in
    device = device_for(api)
    await add_passkey(account, device)
    tab.visit("/login", cookies={})
    login = await tab.page(Login, "/login")
    (event,) = await run(login.ask_device())
    assert "/_auth/callback" in str((await run(login.submit_passkey(shown(device, event))))[0])

    login = await tab.page(Login, "/login")
    await run(login.submit({"email": account.email, "password": PASSWORD}))
    assert (login.code_asked, login.methods) == (True, ["passkey", "recovery_code"])
    (event,) = await run(login.ask_device())
    assert "/_auth/callback" in str((await run(login.submit_passkey(shown(device, event))))[0])


async def test_a_strange_answer_signs_nobody_in(api: Api, tab: Tab, signed_in: tuple[Tab, Account]) -> None:
    _, account = signed_in
    device = device_for(api)
    await add_passkey(account, device)
    tab.visit("/login", cookies={})
    login = await tab.page(Login, "/login")
    (event,) = await run(login.ask_device())
    used = shown(device, event)
    await run(login.submit_passkey(used))
    answers: list[Any] = [None, [], "x", {}, {"credential": {}}, {"credential": {"id": 1}}, {"failure": ["x"]}, used]
    for answer in answers:
        login.failure = ""
        assert await run(login.submit_passkey(answer)) == []
        assert (login.busy, login.failure != "") == (False, True), answer
