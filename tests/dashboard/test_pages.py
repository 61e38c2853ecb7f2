"""What pages show and do, against the running API and without a browser."""

import base64
import time
from decimal import Decimal
from typing import Any

import pytest

from operis_api.credentials.totp import STEP_SECONDS, code_at
from operis_client import AsyncOperis, UnreachableError
from operis_dashboard import runtime
from operis_dashboard.pages.admin_keys import AdminKeys
from operis_dashboard.pages.admin_models import AdminModels
from operis_dashboard.pages.admin_prices import AdminPrices
from operis_dashboard.pages.admin_requests import AdminRequests
from operis_dashboard.pages.admin_upstreams import AdminUpstreams
from operis_dashboard.pages.admin_users import AdminUsers
from operis_dashboard.pages.keys import Keys
from operis_dashboard.pages.login import Login
from operis_dashboard.pages.models import Models
from operis_dashboard.pages.overview import Overview
from operis_dashboard.pages.playground import Playground
from operis_dashboard.pages.requests import Requests
from operis_dashboard.pages.wallet import WalletPage
from tests.dashboard.conftest import Tab, run, say_hello
from tests.factories import PASSWORD, Account, mint
from tests.fakes.openai_upstream import ANOTHER_KEY, API_KEY, OpenAIUpstream
from tests.running import Api


async def test_the_overview_shows_the_wallet_and_the_spend(signed_in: tuple[Tab, Account], api: Api) -> None:
    tab, account = signed_in
    assert await say_hello(api, account) == "0.000015"
    overview = await tab.page(Overview, "/?days=7")
    assert (overview.available.exact, overview.held.exact, overview.spend.exact) == ("0.999985", "0", "0.000015")
    assert (overview.days, overview.requests, len(overview.spend_chart.bars)) == ("7", "1", 7)
    assert overview.spend_chart.bars[-1].tip.endswith(": 0.000015")
    assert "https://api.example.com/v1" in overview.snippets.curl
    assert 'model="' in overview.snippets.python


async def test_a_key_is_minted_shown_once_and_revoked(signed_in: tuple[Tab, Account], api: Api) -> None:
    tab, _ = signed_in
    keys = await tab.page(Keys, "/keys")
    assert (keys.loaded, keys.rows) == (True, [])
    await run(keys.open_mint(True))
    await run(keys.mint({"key_name": "Server", "lifetime": "30"}))
    secret = keys.secret
    assert secret.startswith("sk-op-")
    assert secret in keys.snippets.javascript
    assert [(row.name, row.status) for row in keys.rows] == [("Server", "active")]
    await run(keys.forget_secret(False))
    assert (keys.secret, keys.snippets.curl) == ("", "")

    keys.ask_revoke(keys.rows[0].id, keys.rows[0].name, False)
    await run(keys.revoke())
    assert [row.status for row in keys.rows] == ["revoked"]


async def test_a_double_click_mints_one_key(signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    keys = await tab.page(Keys, "/keys")
    await run(keys.open_mint(True))
    for _ in range(2):
        await run(keys.mint({"key_name": "Once", "lifetime": ""}))
    assert len((await account.client.list_keys()).items) == 1


async def test_a_refused_key_keeps_the_dialog_open_and_says_why(signed_in: tuple[Tab, Account]) -> None:
    tab, _ = signed_in
    keys = await tab.page(Keys, "/keys")
    await run(keys.open_mint(True))
    await run(keys.mint({"key_name": "", "lifetime": ""}))
    assert keys.minting
    assert keys.mint_failure
    assert not keys.busy


async def test_a_key_is_minted_with_every_limit_and_changed(signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    keys = await tab.page(Keys, "/keys")
    await run(keys.open_mint(True))
    keys.choose_model("operis/echo")
    keys.choose_scope("models")
    keys.choose_scope("usage")
    keys.choose_scope("nonsense")
    form = {
        "key_name": "Robot",
        "lifetime": "",
        "patterns": "acme/*, openai/*",
        "cidrs": "127.0.0.0/8\n::1/128",
        "budget": "10",
        "budget_monthly": "2.5",
        "rpm": "60",
        "tpm": "",
        "concurrency": "5",
    }
    for wrong in ("six", "6.5", "-1"):
        await run(keys.mint({**form, "rpm": wrong}))
        assert (keys.minting, keys.mint_failure) == (True, "Requests, tokens and calls at once are whole numbers.")
    await run(keys.mint(form))
    assert keys.mint_failure == ""
    (made,) = (await account.client.list_keys()).items
    assert (made.scopes, made.models) == (["inference", "usage"], ["acme/*", "openai/*", "operis/echo"])
    assert (made.cidrs, made.budget, made.budget_daily, made.budget_monthly) == (
        ["127.0.0.0/8", "::1/128"],
        "10",
        None,
        "2.5",
    )
    assert (made.rpm, made.tpm, made.concurrency, made.service) == (60, None, 5, False)
    assert 'model="operis/echo"' in keys.snippets.anthropic
    (row,) = keys.rows
    assert {limit.name for limit in row.limits} >= {"budget", "budget_monthly", "rpm", "concurrency"}
    assert row.limited

    keys.open_key(row.id)
    await run(keys.open_edit())
    assert (keys.editing, keys.chosen, keys.draft["patterns"]) == (True, ["operis/echo"], "acme/* openai/*")
    await run(keys.mint({**form, "lifetime": "keep", "budget": "", "rpm": "120", "patterns": ""}))
    changed = await account.client.get_key(made.id)
    assert (changed.budget, changed.rpm, changed.models) == (None, 120, ["operis/echo"])


async def test_a_key_is_rotated_disabled_enabled_and_deleted(signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    await mint(account, name="Server")
    keys = await tab.page(Keys, "/keys")
    keys.open_key(keys.rows[0].id)
    await run(keys.rotate({"overlap": "24h"}))
    assert keys.secret == "", "nobody asked yet"
    keys.ask_rotate(True)
    for _ in range(2):
        await run(keys.rotate({"overlap": "24h"}))
    assert keys.open_failure == ""
    assert keys.secret.startswith("sk-op-")
    assert keys.overlap_ends
    (key,) = (await account.client.list_keys()).items
    assert key.old_secret_expires_at is not None
    await run(keys.forget_secret(False))
    assert keys.rows[0].old_secret_ends.exact

    keys.open_key(key.id)
    await run(keys.disable())
    assert (keys.shown.status, keys.rows[0].status) == ("disabled", "disabled")
    await run(keys.enable())
    assert keys.shown.status == "active"
    keys.ask_revoke(key.id, key.name, True)
    await run(keys.revoke())
    assert keys.rows == []


async def test_an_operator_finds_any_key_and_disables_it_with_a_reason(
    admin_tab: Tab, signed_in: tuple[Tab, Account]
) -> None:
    tab, account = signed_in
    await mint(account, name="Suspicious")
    office = await admin_tab.page(AdminKeys, f"/admin/keys?search={account.email}&status=active")
    (row,) = office.rows
    assert (row.name, row.owner) == ("Suspicious", account.email)
    office.open_key(row.id)
    office.ask("nonsense")
    await run(office.act({"key_reason": "Seen in a forum"}))
    assert office.shown.status == "active"
    office.ask("disable")
    await run(office.act({"key_reason": ""}))
    assert office.open_failure
    await run(office.act({"key_reason": "Seen in a forum"}))
    assert (office.shown.status, office.shown.reason) == ("disabled", "Seen in a forum")
    assert office.rows == [], "the filter shows active ones"

    keys = await tab.page(Keys, "/keys")
    keys.open_key(row.id)
    await run(keys.enable())
    assert keys.open_failure, "what an operator disabled, an operator enables"
    office.ask("revoke")
    await run(office.act({"key_reason": "Certain now"}))
    assert (await account.client.get_key(row.id)).status == "revoked"


async def test_the_playground_copies_a_call_with_all_that_it_would_send(signed_in: tuple[Tab, Account]) -> None:
    tab, _ = signed_in
    playground = await tab.page(Playground, "/playground?model=operis/echo")
    playground.write_system("Be 'brief'.")
    playground.write_temperature("0.2")
    playground.write_top_p("nan")
    playground.write_max_tokens("64")
    playground.write_draft("Hello")
    playground.show_code(True)
    shown = playground.snippets
    assert "    temperature=0.2,\n    max_tokens=64,\n" in shown.python
    assert '{"role": "system", "content": "Be \'brief\'."}, {"role": "user", "content": "Hello"}' in shown.javascript
    assert '    system="Be \'brief\'.",\n    messages=[{"role": "user", "content": "Hello"}],' in shown.anthropic
    assert "'\\''brief'\\''" in shown.curl
    assert "top_p" not in shown.python
    compile(shown.python, "python", "exec")
    compile(shown.anthropic, "anthropic", "exec")


async def test_a_request_explains_its_charge_to_the_last_digit(signed_in: tuple[Tab, Account], api: Api) -> None:
    tab, account = signed_in
    await say_hello(api, account)
    requests = await tab.page(Requests, "/requests")
    (row,) = requests.rows
    assert (row.model, row.charge.exact, row.key) == ("operis/echo", "0.000015", "laptop")
    await run(requests.open_request(row.id))
    shown = requests.explanation
    assert shown.request.charge.exact == "0.000015"
    assert sum(Decimal(meter.amount.exact) for meter in shown.meters) == Decimal("0.000015")
    assert sum(Decimal(line.amount.exact) for line in shown.ledger) == 0
    assert [grant.amount.exact for grant in shown.burnt] == ["0.000015"]


async def test_filters_come_from_the_address(signed_in: tuple[Tab, Account], api: Api) -> None:
    tab, account = signed_in
    await say_hello(api, account)
    assert len((await tab.page(Requests, "/requests?outcome=completed&model=operis%2Fecho")).rows) == 1
    requests = await tab.page(Requests, "/requests?outcome=failed")
    assert (requests.rows, requests.outcome) == ([], "failed")
    (redirect,) = await run(requests.choose_filter("model", "a&b=c"))
    assert "/requests?model=a%26b%3Dc&outcome=failed" in str(redirect.args)


async def test_the_wallet_shows_grants_and_a_running_balance(signed_in: tuple[Tab, Account], api: Api) -> None:
    tab, account = signed_in
    await say_hello(api, account)
    wallet = await tab.page(WalletPage, "/wallet")
    assert wallet.available.exact == "0.999985"
    assert [(row.amount.exact, row.balance.exact) for row in wallet.entries] == [("-0.000015", "0.999985"), ("1", "1")]
    assert [(grant.source, grant.remaining.exact) for grant in wallet.grants] == [("bonus", "0.999985")]


async def test_models_say_what_the_plan_pays_of_their_prices(
    signed_in: tuple[Tab, Account], admin: AsyncOperis
) -> None:
    tab, _ = signed_in
    (plan,) = [plan for plan in (await admin.list_plans()).items if plan.is_default]
    saved = await admin.set_multiplier(plan_id=plan.id, model_id="operis/echo", multiplier="1/3")
    try:
        rows = (await tab.page(Models, "/models?search=operis/echo")).rows
    finally:
        await admin.remove_multiplier(saved.id)
    assert [row.multiplier for row in rows] == ["1/3"]
    rows = (await tab.page(Models, "/models?search=operis/echo")).rows
    assert [row.multiplier for row in rows] == [""]


async def test_models_are_searched_in_the_address(signed_in: tuple[Tab, Account]) -> None:
    tab, _ = signed_in
    assert "operis/echo" in [row.id for row in (await tab.page(Models, "/models?search=ECHO")).rows]
    assert (await tab.page(Models, "/models?search=nothing-like-this")).rows == []


async def test_a_page_says_calmly_that_the_api_is_away_and_recovers(
    signed_in: tuple[Tab, Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    tab, _ = signed_in
    with monkeypatch.context() as broken:
        broken.setattr(AsyncOperis, "_send", _refuse)
        keys = await tab.page(Keys, "/keys")
    assert keys.failure == "The API does not answer. Nothing is lost; try again in a moment."
    keys = await tab.page(Keys, "/keys")
    assert (keys.failure, keys.loaded) == ("", True)


async def test_a_wrong_password_is_one_sentence_for_known_and_unknown_people(
    tab: Tab, signed_in: tuple[Tab, Account]
) -> None:
    _, account = signed_in
    tab.visit("/login", cookies={})
    login = await tab.page(Login, "/login")
    for email in (account.email, "nobody@example.com"):
        await run(login.submit({"email": email, "password": "not the password"}))
        assert login.failure == "Email or password is not right."


async def test_signing_in_answers_with_a_ticket_and_no_token(
    tab: Tab, api: Api, signed_in: tuple[Tab, Account]
) -> None:
    _, account = signed_in
    tab.visit("/login?next=/keys", cookies={})
    login = await tab.page(Login, "/login?next=/keys")
    (event,) = await run(login.submit({"email": account.email, "password": PASSWORD}))
    script = str(event.args)
    assert "/_auth/callback" in script
    assert "eyJ" not in script, "an access token went to the browser"


async def test_signing_in_asks_for_the_second_factor_and_takes_a_recovery_code_once(
    tab: Tab, signed_in: tuple[Tab, Account]
) -> None:
    _, account = signed_in
    enrolment = await account.client.enrol_second_factor()
    secret = base64.b32decode(enrolment.secret + "=" * (-len(enrolment.secret) % 8))
    step = int(time.time()) // STEP_SECONDS
    codes = (await account.client.confirm_second_factor(code=code_at(secret, step))).recovery_codes
    tab.visit("/login", cookies={})
    login = await tab.page(Login, "/login")
    assert await run(login.submit_code({"code": codes[0]})) == [], "without the password a code is nothing"
    assert await run(login.submit({"email": account.email, "password": PASSWORD})) == []
    assert login.code_asked
    assert await run(login.submit_code({"code": "000000"})) == []
    assert (login.code_asked, login.failure) == (True, "This code is wrong, too old, or was used before.")
    (event,) = await run(login.submit_code({"code": codes[0]}))
    assert "/_auth/callback" in str(event.args)
    await run(login.load())
    assert not login.code_asked


async def test_a_dead_session_is_sent_to_sign_in(signed_in: tuple[Tab, Account]) -> None:
    tab, account = signed_in
    keys = await tab.page(Keys, "/keys")
    await account.client.logout_all()
    with pytest.raises(runtime.SignedOutError):
        await run(keys.load())


async def test_pages_speak_vietnamese_to_those_who_read_it(signed_in: tuple[Tab, Account]) -> None:
    tab, _ = signed_in
    wallet = await tab.page(WalletPage, "/wallet", language="vi-VN,vi;q=0.9")
    assert (wallet.language, wallet.available.text) == ("vi", "1,00")


async def test_a_suspended_user_is_out_at_once_and_back_when_reactivated(
    admin_tab: Tab, signed_in: tuple[Tab, Account]
) -> None:
    tab, account = signed_in
    users = await admin_tab.page(AdminUsers, f"/admin/users?search={account.email}")
    await run(users.open_user(users.rows[0].id))
    users.ask("suspend")
    await run(users.act({"user_reason": "a test"}))
    assert users.person.status == "suspended"
    wallet = await tab.root.get_state(WalletPage)
    await _load_refused(wallet)
    users.ask("reactivate")
    await run(users.act({"user_reason": "the test is over"}))
    assert users.person.status == "active"


async def test_an_operator_puts_a_model_on_offer(admin_tab: Tab, provider: OpenAIUpstream) -> None:
    upstreams = await admin_tab.page(AdminUpstreams, "/admin/upstreams")
    upstreams.open_form(True)
    await run(upstreams.add({"name": "Dashboard test", "base_url": provider.base_url, "api_key": API_KEY}))
    assert upstreams.add_failure == ""
    row = next(row for row in upstreams.rows if row.name == "Dashboard test")
    assert row.key == f"…{API_KEY[-4:]}"
    assert API_KEY not in admin_tab.sent()
    (toast,) = await run(upstreams.test(row.id, row.name))
    assert "answered in" in str(toast.args)
    assert (upstreams.result.ok, upstreams.result.models) == (True, ["real-model"])

    models = await admin_tab.page(AdminModels, "/admin/models")
    models.open_form(True)
    await run(models.add({"model_id": "test/dashboard", "upstream_id": row.id, "upstream_model": "real-model"}))
    assert models.add_failure == ""
    assert models.pricing == "test/dashboard"
    await run(models.set_price({"input": "10", "output": "20", "cost_input": "4", "cost_output": "5"}))
    offer = next(offer for offer in models.rows if offer.id == "test/dashboard")
    assert (offer.status, offer.input.exact, offer.margin) == ("enabled", "10", "60 % / 75 %")
    tiers = "200001: input 12, cost_input 5\n\n"
    await run(models.open_prices("test/dashboard"))
    assert (models.current["cost_output"], models.current["tiers"]) == ("5", "")
    await run(models.set_price({"input": "10", "output": "20", "cache_write_1h": "11", "tiers": "long: 3"}))
    assert "200001" in models.price_failure
    await run(models.set_price({"input": "10", "output": "20", "cache_write_1h": "11", "tiers": tiers}))
    await run(models.open_prices("test/dashboard"))
    assert (models.current["cache_write_1h"], models.current["tiers"]) == ("11", tiers.strip())
    models.ask_disable("test/dashboard")
    await run(models.disable())
    assert next(offer.status for offer in models.rows if offer.id == "test/dashboard") == "disabled"


async def test_an_operator_imports_what_the_difference_showed_and_sets_multipliers(
    admin_tab: Tab, admin: AsyncOperis
) -> None:
    upstream = next(one for one in (await admin.list_upstreams()).items if one.protocol == "openai")
    await admin.create_model(id="test/import", upstream_id=upstream.id, upstream_model="real-model")
    prices = await admin_tab.page(AdminPrices, "/admin/prices")
    form = {"format": "csv", "file": "model_id,cost_input,cost_output\ntest/import,1,2\n", "markup": "5/4"}
    await run(prices.review(form))
    row = next(row for row in prices.changes if row.model == "test/import")
    assert (row.status, row.lines[0], row.flags) == ("new", "input: \N{EN DASH} \N{RIGHTWARDS ARROW} 1.25", [])
    assert (await admin.list_prices(model_id="test/import")).items == []
    await run(prices.apply(False))
    assert [price.output for price in (await admin.list_prices(model_id="test/import")).items] == ["2.5"]
    assert prices.reviewed is False
    await run(prices.review({"format": "csv", "file": "nonsense"}))
    assert "model_id" in prices.import_failure

    plan = prices.plans[0]
    await run(prices.set_multiplier({"plan_id": plan["id"], "multiplier_model": "test/import", "multiplier": "4/5"}))
    row = next(row for row in prices.multipliers if row.model == "test/import")
    assert (row.plan, row.multiplier) == (plan["name"], "0.8")
    await run(prices.set_multiplier({"plan_id": plan["id"], "multiplier": "much"}))
    assert "multiplier" in prices.multiplier_failure
    prices.ask_remove(row.id, row.name)
    await run(prices.remove())
    assert [row.model for row in prices.multipliers if row.model == "test/import"] == []


async def test_an_operator_gives_an_upstream_further_keys_and_shares_out_its_models(
    admin_tab: Tab, admin: AsyncOperis, provider: OpenAIUpstream
) -> None:
    made = await admin.create_upstream(name="Pool", base_url=provider.base_url, api_key=API_KEY)
    await admin.create_model(id="test/pool", upstream_id=made.id, upstream_model="real-model")
    upstreams = await admin_tab.page(AdminUpstreams, "/admin/upstreams")
    await run(upstreams.open_upstream(made.id))
    await run(upstreams.add_key({"further_key": ANOTHER_KEY}))
    assert [key.last_four for key in upstreams.shown.credentials] == [f"…{API_KEY[-4:]}", f"…{ANOTHER_KEY[-4:]}"]
    assert ANOTHER_KEY not in admin_tab.sent()
    await run(upstreams.remove_key())
    assert len(upstreams.shown.credentials) == 2, "nobody was asked yet"
    upstreams.ask_remove_key(upstreams.shown.credentials[1].id)
    await run(upstreams.remove_key())
    assert [key.id for key in upstreams.shown.credentials] == [""]

    (share,) = upstreams.served
    assert (share.model, share.weight, share.priority) == ("test/pool", "1", "0")
    await run(upstreams.share_out({"link_id": share.link_id, "weight": "5", "priority": "2"}))
    assert (upstreams.served[0].weight, upstreams.served[0].priority) == ("5", "2")
    for weight in ("", "-1", "1.5", "1001", "9" * 30):
        await run(upstreams.share_out({"link_id": share.link_id, "weight": weight, "priority": "2"}))
        assert upstreams.open_failure
    assert upstreams.served[0].weight == "5"


async def test_a_refused_change_of_an_upstream_says_why_and_keeps_the_form(
    admin_tab: Tab, admin: AsyncOperis, provider: OpenAIUpstream
) -> None:
    made = await admin.create_upstream(name="Kept", base_url=provider.base_url, api_key=API_KEY)
    upstreams = await admin_tab.page(AdminUpstreams, "/admin/upstreams")
    await run(upstreams.open_upstream(made.id))
    forms = upstreams.forms
    form = {"new_name": "Kept", "new_base_url": "http://127.0.0.1:9/v1", "new_api_key": ""}
    await run(upstreams.change(form))  # another address without the credential
    assert "api_key" in upstreams.open_failure
    assert upstreams.forms == forms
    await run(upstreams.change({**form, "new_name": "Kept well", "new_base_url": provider.base_url}))
    assert (upstreams.open_failure, upstreams.shown.name) == ("", "Kept well")


async def test_an_operator_sees_every_customers_calls(admin_tab: Tab, signed_in: tuple[Tab, Account], api: Api) -> None:
    _, account = signed_in
    await say_hello(api, account)
    requests = await admin_tab.page(AdminRequests, f"/admin/requests?organization_id={account.organization_id}")
    assert [(row.email, row.request.charge.exact) for row in requests.rows] == [(account.email, "0.000015")]


async def test_an_operator_explains_a_charge_and_gives_it_back_once(
    admin_tab: Tab, signed_in: tuple[Tab, Account], api: Api
) -> None:
    tab, account = signed_in
    await say_hello(api, account)
    office = await admin_tab.page(AdminRequests, f"/admin/requests?organization_id={account.organization_id}")
    await run(office.open_request(account.organization_id, office.rows[0].request.id))
    (attempt,) = office.explanation.attempts
    assert (attempt.upstream, attempt.status) == ("Built-in echo", "200")
    assert [(part.meter, part.quantity) for part in attempt.usage] == [("input", "5"), ("output", "5")]
    assert not office.explanation.reversed
    for _ in range(2):
        await run(office.reverse({"reverse_reason": "The answer was cut off"}))
    assert office.explain_failure == ""
    assert (await account.client.get_wallet()).available == "1"

    requests = await tab.page(Requests, "/requests")
    await run(requests.open_request(requests.rows[0].id))
    shown = requests.explanation
    assert (shown.reversed, shown.reversal.reason) == (True, "The answer was cut off")
    assert sum(Decimal(line.amount.exact) for line in shown.reversal.ledger) == 0
    assert [part.cost.exact for part in shown.attempts] == [""], "costs are for operators"


async def _load_refused(page: Any) -> None:
    """Load a page of somebody who is out: either the session has ended or the API says no."""
    try:
        await run(page.load())
    except runtime.SignedOutError:
        return
    assert page.failure


async def _refuse(*_: object, **__: object) -> None:
    raise UnreachableError("The API at http://127.0.0.1:1 does not answer: connection refused")
