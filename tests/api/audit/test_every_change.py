"""Every route that changes something writes exactly one row of the audit log. A new one needs its line in CHANGES."""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from operis_api.credentials.totp import STEP_SECONDS, code_at
from operis_api.kit.ids import new_id
from operis_client import AsyncOperis
from tests.factories import PASSWORD, Account, join, mint, new_email, set_balance, share, sign_up, token_of
from tests.fakes.authenticator import add_passkey as keep_passkey
from tests.fakes.authenticator import device_for
from tests.fakes.identity_provider import IdentityProvider, link
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream
from tests.habits.walking import OPERATIONS, Operation, name_of, send
from tests.money.moving import give
from tests.reading_mail import read_mail, token_in
from tests.running import Api

NO_CHANGE = {
    "refresh": "the session stays the one it is",
    "begin_passkey": "a challenge is nothing yet",
    "begin_passkey_sign_in": "a challenge is nothing yet",
    "begin_passkey_step_up": "a challenge is nothing yet",
    "begin_provider_sign_in": "an attempt is nothing yet",
    "begin_link": "an attempt is nothing yet",
    "test_upstream": "it asks the provider, and keeps nothing",
    "verify_ledger": "it reads the books; who asked is kept with the result",
}
"""Routes that change nothing anybody could ask about, and why."""
ASKED_BY_ANYBODY = {"forgot_password", "resend_verification"}
"""Whoever names an address may ask for these: it is not known who that is."""
FURTHER_ROWS = {"import_prices": 1}
"""An import has a row, and so has each version that it adds."""
CHANGING = [
    operation
    for operation in OPERATIONS
    if operation.method != "GET" and not operation.is_gateway and operation.name not in NO_CHANGE
]


@dataclass
class Stage:
    """Who and what a change needs: an owner in a shared organization, an operator, a provider."""

    api: Api
    admin: AsyncOperis
    owner: Account
    provider: OpenAIUpstream
    identities: IdentityProvider

    @property
    def shared(self) -> dict[str, str]:
        return {"organization_id": self.owner.organization_id}


@dataclass
class Change:
    """A request that succeeds."""

    token: str | None
    values: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


Make = Callable[[Stage], Awaitable[Change]]
CHANGES: dict[str, Make] = {}


def change(make: Make) -> Make:
    CHANGES[getattr(make, "__name__", "")] = make
    return make


@change
async def register(stage: Stage) -> Change:
    return Change(None, body={"email": new_email(), "password": PASSWORD, "name": "Ada"})


@change
async def login(stage: Stage) -> Change:
    return Change(None, body={"email": stage.owner.email, "password": PASSWORD})


@change
async def logout(stage: Stage) -> Change:
    return Change((await sign_up(stage.api)).client.token)


@change
async def logout_all(stage: Stage) -> Change:
    return Change((await sign_up(stage.api)).client.token)


@change
async def change_password(stage: Stage) -> Change:
    body = {"current_password": PASSWORD, "new_password": "a rather long new password"}
    return Change((await sign_up(stage.api)).client.token, body=body)


@change
async def forgot_password(stage: Stage) -> Change:
    return Change(None, body={"email": (await sign_up(stage.api)).email})


@change
async def reset_password(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    await ada.client.forgot_password(email=ada.email)
    token = await mailed_token(stage, ada.email, "Set a new password")
    return Change(None, body={"token": token, "new_password": "a rather long new password"})


async def unverified(stage: Stage) -> str:
    ada = await sign_up(stage.api)
    await stage.api.database.fetch("UPDATE users SET email_verified_at = NULL WHERE id = $1::uuid", ada.user_id)
    return ada.email


@change
async def resend_verification(stage: Stage) -> Change:
    return Change(None, body={"email": await unverified(stage)})


@change
async def verify_email(stage: Stage) -> Change:
    email = await unverified(stage)
    of_before = await mailed_token(stage, email, "Confirm your address")  # signing up sent one, which is over
    await stage.api.client().resend_verification(email=email)
    while (token := await mailed_token(stage, email, "Confirm your address")) == of_before:
        await asyncio.sleep(0.1)
    return Change(None, body={"token": token})


async def mailed_token(stage: Stage, email: str, subject: str) -> str:
    return token_in((await read_mail(stage.api, email, subject)).text)


@change
async def change_address(stage: Stage) -> Change:
    return Change((await sign_up(stage.api)).client.token, body={"email": new_email()})


@change
async def confirm_address(stage: Stage) -> Change:
    _, token = await moving(stage)
    return Change(None, body={"token": token})


@change
async def undo_address(stage: Stage) -> Change:
    ada, token = await moving(stage)
    await stage.api.client().confirm_address(token=token)
    changed = "The address of your account was changed"
    return Change(None, body={"token": await mailed_token(stage, ada.email, changed)})


async def moving(stage: Stage) -> tuple[Account, str]:
    """Return somebody who asked for a new address, and the token that was mailed there."""
    ada, new = await sign_up(stage.api), new_email()
    await ada.client.change_address(email=new)
    return ada, await mailed_token(stage, new, "Confirm your new address")


@change
async def step_up(stage: Stage) -> Change:
    return Change((await sign_up(stage.api)).client.token, body={"password": PASSWORD})


@change
async def name_session(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change(ada.client.token, {"session_id": await session_of(ada)}, {"name": "My laptop"})


@change
async def end_session(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change(ada.client.token, {"session_id": await session_of(ada)})


@change
async def end_other_sessions(stage: Stage) -> Change:
    return Change((await sign_up(stage.api)).client.token)


async def session_of(account: Account) -> str:
    return (await account.client.list_sessions()).items[0].id


@change
async def enrol_second_factor(stage: Stage) -> Change:
    return Change((await sign_up(stage.api)).client.token)


@change
async def confirm_second_factor(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    enrolment = await ada.client.enrol_second_factor()
    return Change(ada.client.token, body={"code": code_of(enrolment.secret)})


@change
async def verify_second_factor(stage: Stage) -> Change:
    ada, codes = await guarded(stage)
    asked = await stage.api.client().login(email=ada.email, password=PASSWORD)
    return Change(None, body={"mfa_token": asked.mfa_token, "code": codes[0]})


@change
async def remove_second_factor(stage: Stage) -> Change:
    return Change((await guarded(stage))[0].client.token)


@change
async def replace_recovery_codes(stage: Stage) -> Change:
    return Change((await guarded(stage))[0].client.token)


async def guarded(stage: Stage) -> tuple[Account, list[str]]:
    """Return somebody with a second factor, and the recovery codes."""
    ada = await sign_up(stage.api)
    enrolment = await ada.client.enrol_second_factor()
    return ada, (await ada.client.confirm_second_factor(code=code_of(enrolment.secret))).recovery_codes


def code_of(shown: str) -> str:
    secret = base64.b32decode(shown + "=" * (-len(shown) % 8))
    return code_at(secret, int(time.time()) // STEP_SECONDS)


@change
async def add_passkey(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    credential = device_for(stage.api).create(await ada.client.begin_passkey())
    return Change(ada.client.token, body={"name": "Phone", "credential": credential})


@change
async def name_passkey(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change(
        ada.client.token, {"passkey_id": (await keep_passkey(ada, device_for(stage.api))).id}, {"name": "Old phone"}
    )


@change
async def remove_passkey(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change(ada.client.token, {"passkey_id": (await keep_passkey(ada, device_for(stage.api))).id})


@change
async def finish_passkey_sign_in(stage: Stage) -> Change:
    ada, device = await sign_up(stage.api), device_for(stage.api)
    await keep_passkey(ada, device)
    return Change(None, body={"credential": device.get(await stage.api.client().begin_passkey_sign_in())})


@change
async def finish_provider_sign_in(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    await link(ada, stage.identities, "acme", sub=ada.user_id)
    departure = await stage.api.client().begin_provider_sign_in("acme")
    back = stage.identities.consent(departure.url, sub=ada.user_id)
    return Change(None, body={**back, "browser_token": departure.browser_token})


@change
async def prove_identity(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    departure = await stage.api.client().begin_provider_sign_in("acme")
    kept = departure.browser_token
    back = stage.identities.consent(departure.url, sub=ada.user_id, email=ada.email)
    waiting = await stage.api.client().finish_provider_sign_in(**back, browser_token=kept)
    return Change(None, body={"link_token": waiting.link_token, "browser_token": kept, "password": PASSWORD})


@change
async def finish_link(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    departure = await ada.client.begin_link("acme")
    back = stage.identities.consent(departure.url, sub=ada.user_id)
    return Change(ada.client.token, body={**back, "browser_token": departure.browser_token})


@change
async def unlink_identity(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    await link(ada, stage.identities, "acme", sub=ada.user_id)
    return Change(ada.client.token, {"identity_id": (await ada.client.list_identities())[0].id})


@change
async def update_me(stage: Stage) -> Change:
    return Change(stage.owner.client.token, body={"name": "Ada King"})


@change
async def create_organization(stage: Stage) -> Change:
    return Change(stage.owner.client.token, body={"name": "Engines"})


@change
async def update_organization(stage: Stage) -> Change:
    return Change(stage.owner.client.token, stage.shared, {"name": "Difference Engines"})


@change
async def delete_organization(stage: Stage) -> Change:
    other = await share(stage.owner)
    return Change(other.client.token, {"organization_id": other.organization_id})


@change
async def leave_organization(stage: Stage) -> Change:
    grace = await join(stage.api, stage.owner, "viewer")
    return Change(grace.client.token, stage.shared)


@change
async def transfer_organization(stage: Stage) -> Change:
    other = await share(stage.owner)
    grace = await join(stage.api, other, "viewer")
    return Change(other.client.token, {"organization_id": other.organization_id}, {"user_id": grace.user_id})


@change
async def update_member(stage: Stage) -> Change:
    grace = await join(stage.api, stage.owner, "viewer")
    return Change(stage.owner.client.token, {**stage.shared, "user_id": grace.user_id}, {"role": "admin", "rpm": 7})


@change
async def remove_member(stage: Stage) -> Change:
    grace = await join(stage.api, stage.owner, "viewer")
    return Change(stage.owner.client.token, {**stage.shared, "user_id": grace.user_id})


async def invited(stage: Stage, email: str | None = None) -> tuple[str, str]:
    sent = await stage.owner.client.invite_member(
        stage.owner.organization_id, email=email or new_email(), role="viewer"
    )
    return sent.invitation.id, token_of(sent)


@change
async def invite_member(stage: Stage) -> Change:
    return Change(stage.owner.client.token, stage.shared, {"email": new_email(), "role": "viewer"})


@change
async def resend_invitation(stage: Stage) -> Change:
    invitation_id, _ = await invited(stage)
    return Change(stage.owner.client.token, {**stage.shared, "invitation_id": invitation_id})


@change
async def invite_person(stage: Stage) -> Change:
    return Change(stage.admin.token, body={"email": new_email()})


@change
async def revoke_platform_invitation(stage: Stage) -> Change:
    sent = await stage.admin.invite_person(email=new_email())
    return Change(stage.admin.token, {"invitation_id": sent.invitation.id})


@change
async def revoke_invitation(stage: Stage) -> Change:
    invitation_id, _ = await invited(stage)
    return Change(stage.owner.client.token, {**stage.shared, "invitation_id": invitation_id})


@change
async def accept_invitation(stage: Stage) -> Change:
    grace = await sign_up(stage.api)
    _, token = await invited(stage, grace.email)
    return Change(grace.client.token, body={"token": token})


@change
async def mint_key(stage: Stage) -> Change:
    return Change(stage.owner.client.token, body={"name": "laptop"})


async def minted(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change(ada.client.token, {"key_id": (await ada.client.mint_key(name="laptop")).key.id})


@change
async def update_key(stage: Stage) -> Change:
    found = await minted(stage)
    found.body = {"name": "desk"}
    return found


@change
async def rotate_key(stage: Stage) -> Change:
    found = await minted(stage)
    found.body = {"overlap": "1h"}
    return found


@change
async def disable_key(stage: Stage) -> Change:
    return await minted(stage)


@change
async def enable_key(stage: Stage) -> Change:
    return await minted(stage)


@change
async def revoke_key(stage: Stage) -> Change:
    return await minted(stage)


@change
async def delete_key(stage: Stage) -> Change:
    return await minted(stage)


async def minted_by_a_customer(stage: Stage) -> Change:
    return Change(stage.admin.token, (await minted(stage)).values, {"reason": "Abuse"})


@change
async def disable_admin_key(stage: Stage) -> Change:
    return await minted_by_a_customer(stage)


@change
async def enable_admin_key(stage: Stage) -> Change:
    return await minted_by_a_customer(stage)


@change
async def revoke_admin_key(stage: Stage) -> Change:
    return await minted_by_a_customer(stage)


@change
async def update_user(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change(stage.admin.token, {"user_id": ada.user_id}, {"status": "suspended", "reason": "Abuse"})


@change
async def grant_role(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change(stage.admin.token, {"user_id": ada.user_id}, {"role": "support", "reason": "Joined the team"})


@change
async def sign_out_user(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change(stage.admin.token, {"user_id": ada.user_id}, {"reason": "A lost laptop"})


@change
async def remove_user_second_factor(stage: Stage) -> Change:
    ada, _ = await guarded(stage)
    return Change((await stage.api.admin()).token, {"user_id": ada.user_id}, {"reason": "A lost telephone"})


@change
async def erase_me(stage: Stage) -> Change:
    return Change((await sign_up(stage.api)).client.token)


@change
async def undo_erasure(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    await ada.client.erase_me()
    return Change(None, body={"email": ada.email, "password": PASSWORD})


@change
async def export_user(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change((await stage.api.admin()).token, {"user_id": ada.user_id}, {"reason": "Asked for by mail"})


@change
async def erase_user(stage: Stage) -> Change:
    return await export_user(stage)


@change
async def undo_user_erasure(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    await ada.client.erase_me()
    return Change((await stage.api.admin()).token, {"user_id": ada.user_id}, {"reason": "Asked for by mail"})


@change
async def impersonate_user(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change((await stage.api.admin()).token, {"user_id": ada.user_id}, {"reason": "Ticket 7"})


@change
async def end_impersonation(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    return Change((await (await stage.api.admin()).impersonate_user(ada.user_id, reason="Ticket 7")).token)


@change
async def suspend_organization(stage: Stage) -> Change:
    grace = await sign_up(stage.api)
    return Change(stage.admin.token, {"organization_id": grace.organization_id}, {"reason": "Abuse"})


@change
async def unsuspend_organization(stage: Stage) -> Change:
    return await suspend_organization(stage)


@change
async def change_organization_plan(stage: Stage) -> Change:
    plan = (await stage.admin.list_plans()).items[0]
    return Change(stage.admin.token, stage.shared, {"plan_id": plan.id, "reason": "Grew"})


@change
async def adjust_wallet(stage: Stage) -> Change:
    return Change(stage.admin.token, stage.shared, {"amount": "1", "reason": "A gift"})


@change
async def reverse_charge(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    messages = [{"role": "user", "content": "hi"}]
    await stage.api.client(await mint(ada)).create_chat_completion({"model": "operis/echo", "messages": messages})
    request = (await ada.client.list_requests()).items[0]
    ids = {"organization_id": ada.organization_id, "request_id": request.id}
    return Change(stage.admin.token, ids, {"reason": "It was wrong"})


@change
async def refund_grant(stage: Stage) -> Change:
    ada = await sign_up(stage.api)
    grant_id = await give(stage.api.database, ada, 1000, source="paid", ends=None)
    ids = {"organization_id": ada.organization_id, "grant_id": str(grant_id)}
    return Change(stage.admin.token, ids, {"reason": "Asked for"})


@change
async def acknowledge_alert(stage: Stage) -> Change:
    rows = await stage.api.database.fetch(
        "INSERT INTO alerts (id, kind, subject, detail) "
        "VALUES ($1, 'platform_loss', gen_random_uuid()::text, '') RETURNING id",
        new_id(),
    )
    return Change(stage.admin.token, {"alert_id": str(rows[0]["id"])})


@change
async def update_plan(stage: Stage) -> Change:
    plan = (await stage.admin.list_plans()).items[0]
    return Change(stage.admin.token, {"plan_id": plan.id}, {"welcome_grant": plan.welcome_grant})


async def upstream_of(stage: Stage) -> str:
    made = await stage.admin.create_upstream(
        name=f"Provider {secrets.token_hex(4)}", base_url=stage.provider.base_url, api_key=API_KEY
    )
    return made.id


async def model_of(stage: Stage) -> str:
    model_id = f"acme/{secrets.token_hex(4)}"
    await stage.admin.create_model(id=model_id, upstream_id=await upstream_of(stage), upstream_model="m")
    return model_id


@change
async def create_upstream(stage: Stage) -> Change:
    name = f"Provider {secrets.token_hex(4)}"
    body = {"name": name, "protocol": "openai", "base_url": stage.provider.base_url, "api_key": API_KEY}
    return Change(stage.admin.token, body=body)


@change
async def update_upstream(stage: Stage) -> Change:
    return Change(stage.admin.token, {"upstream_id": await upstream_of(stage)}, {"enabled": False})


@change
async def add_upstream_key(stage: Stage) -> Change:
    return Change(stage.admin.token, {"upstream_id": await upstream_of(stage)}, {"api_key": API_KEY + "2"})


@change
async def remove_upstream_key(stage: Stage) -> Change:
    upstream_id = await upstream_of(stage)
    keys = (await stage.admin.add_upstream_key(upstream_id, api_key=API_KEY + "2")).further_keys
    return Change(stage.admin.token, {"upstream_id": upstream_id, "key_id": keys[-1].id})


@change
async def create_model(stage: Stage) -> Change:
    body = {
        "id": f"acme/{secrets.token_hex(4)}",
        "upstream_id": await upstream_of(stage),
        "upstream_model": "m",
    }
    return Change(stage.admin.token, body=body)


@change
async def update_model(stage: Stage) -> Change:
    return Change(stage.admin.token, {"model_id": await model_of(stage)}, {"enabled": False})


@change
async def update_model_upstream(stage: Stage) -> Change:
    upstream_id, model_id = await upstream_of(stage), await model_of(stage)
    link = await stage.admin.add_model_upstream(model_id, upstream_id=upstream_id, upstream_model="m")
    return Change(stage.admin.token, {"upstream_id": upstream_id, "link_id": link.id}, {"weight": 2})


@change
async def add_model_upstream(stage: Stage) -> Change:
    body = {"upstream_id": await upstream_of(stage), "upstream_model": "m"}
    return Change(stage.admin.token, {"model_id": await model_of(stage)}, body)


@change
async def create_price(stage: Stage) -> Change:
    return Change(stage.admin.token, body={"model_id": await model_of(stage), "input": "1", "output": "1"})


@change
async def import_prices(stage: Stage) -> Change:
    model = await model_of(stage)
    file = json.dumps([{"model_id": model, "input": "1", "output": "2"}])
    review = await stage.admin.import_prices(format="json", file=file)
    return Change(stage.admin.token, body={"format": "json", "file": file, "plan": review.plan, "models": [model]})


async def multiplier_of(stage: Stage) -> dict[str, Any]:
    plan = (await stage.admin.list_plans()).items[0]
    return {"plan_id": plan.id, "model_id": await model_of(stage), "multiplier": "0.5"}


@change
async def set_multiplier(stage: Stage) -> Change:
    return Change(stage.admin.token, body=await multiplier_of(stage))


@change
async def remove_multiplier(stage: Stage) -> Change:
    made = await stage.admin.set_multiplier(**await multiplier_of(stage))
    return Change(stage.admin.token, {"multiplier_id": made.id})


@pytest.fixture(scope="session")
async def stage(api: Api, admin: AsyncOperis, provider: OpenAIUpstream, identity_provider: IdentityProvider) -> Stage:
    owner = await share(await sign_up(api))
    await set_balance(admin, owner, "1")
    return Stage(api, admin, owner, provider, identity_provider)


def test_every_changing_route_is_here_and_nothing_else() -> None:
    assert {operation.name for operation in CHANGING} == set(CHANGES)
    assert set(NO_CHANGE) <= {operation.name for operation in OPERATIONS}


@pytest.mark.parametrize("operation", CHANGING, ids=name_of)
async def test_a_change_writes_exactly_one_row_that_says_who_and_what(stage: Stage, operation: Operation) -> None:
    made = await CHANGES[operation.name](stage)
    more = {} if made.body is None else {"json": made.body}
    answer = await send(stage.api, operation, token=made.token, values=made.values, headers=made.headers, **more)
    assert answer.is_success, answer.text
    rows = (await stage.admin.list_audit(request_id=answer.headers["x-request-id"])).items
    row, *further = rows
    assert len(further) == FURTHER_ROWS.get(operation.name, 0), [one.action for one in rows]
    assert row.actor_email is not None or operation.name in ASKED_BY_ANYBODY
    assert row.address == "127.0.0.1"
    assert row.target_id
    assert (row.reason is not None) is ("reason" in (made.body or {}))
