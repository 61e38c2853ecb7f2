"""Signing in with identity providers: who is new, who has an account, who is linked, and what is refused."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from operis_client.models import Departure, SignIn
from operis_db.embedded import EmbeddedPostgres
from tests.api.accounts.test_second_factor import age, turn_on
from tests.factories import PASSWORD, Account, new_email, sign_up
from tests.fakes.identity_provider import (
    CLIENT_ID,
    SHARED,
    IdentityProvider,
    Script,
    link,
    run_identity_provider,
    setting_of,
)
from tests.reading_mail import read_mail
from tests.refusing import refused
from tests.running import Api, make_database, run_api


@pytest.fixture(scope="module")
async def acme() -> AsyncGenerator[IdentityProvider]:
    async with run_identity_provider() as running:
        yield running


@pytest.fixture(scope="module")
async def globex() -> AsyncGenerator[IdentityProvider]:
    async with run_identity_provider() as running:
        yield running


@pytest.fixture(scope="module")
async def federated(
    postgres: EmbeddedPostgres, acme: IdentityProvider, globex: IdentityProvider
) -> AsyncGenerator[Api]:
    async with run_api(
        await make_database(postgres), OPERIS_IDENTITY_PROVIDERS=setting_of(acme=acme, globex=globex)
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def honest(acme: IdentityProvider, globex: IdentityProvider) -> None:
    acme.script, globex.script = Script(), Script()


@pytest.fixture
async def grace(federated: Api) -> Account:
    """Somebody with a password."""
    return await sign_up(federated)


async def sign_in(api: Api, provider: IdentityProvider, **claims: Any) -> SignIn:
    departure = await api.client().begin_provider_sign_in("acme")
    back = provider.consent(departure.url, **claims)
    return await api.client().finish_provider_sign_in(**back, browser_token=departure.browser_token)


async def test_who_is_new_signs_up_and_comes_back_as_the_same(federated: Api, acme: IdentityProvider) -> None:
    assert [(one.name, one.title) for one in await federated.client().list_identity_providers()] == [
        ("acme", "Acme"),
        ("globex", "Globex"),
    ]
    email, subject = new_email(), "subject-" + new_email()
    first = await sign_in(federated, acme, sub=subject, email=email, name=" Grace\tHopper ")
    me = await federated.client(first.access_token).get_me()
    assert (me.user.email, me.user.name, me.user.email_verified) == (email, "Grace Hopper", True)
    again = await sign_in(federated, acme, sub=subject, email=new_email(), email_verified=False)
    assert (await federated.client(again.access_token).get_me()).user.id == me.user.id, "by subject, whatever the mail"
    identities = await federated.client(again.access_token).list_identities()
    assert [(one.provider, one.title, one.email) for one in identities] == [("acme", "Acme", email)]
    assert identities[0].last_used_at is not None


async def test_an_account_with_the_address_is_linked_by_its_password_alone(
    federated: Api, acme: IdentityProvider, grace: Account
) -> None:
    departure = await federated.client().begin_provider_sign_in("acme")
    back = acme.consent(departure.url, sub=grace.email, email=grace.email.upper())
    kept = departure.browser_token
    answer = await federated.client().finish_provider_sign_in(**back, browser_token=kept)
    assert (answer.access_token, answer.password_required) == ("", True)
    assert await grace.client.list_identities() == []
    with refused(401, "invalid_credentials"):
        await federated.client().prove_identity(link_token=answer.link_token, browser_token=kept, password="wrong")
    with refused(401, "identity_refused"):
        await federated.client().prove_identity(
            link_token=answer.link_token, browser_token="another's", password=PASSWORD
        )
    proven = await federated.client().prove_identity(
        link_token=answer.link_token, browser_token=kept, password=PASSWORD
    )
    assert (await federated.client(proven.access_token).get_me()).user.id == grace.user_id
    with refused(401, "identity_refused"):
        await federated.client().prove_identity(link_token=answer.link_token, browser_token=kept, password=PASSWORD)
    assert (await sign_in(federated, acme, sub=grace.email, email=grace.email)).access_token
    await read_mail(federated, grace.email, "Acme was linked to your account")


async def test_a_signed_in_user_links_and_unlinks_after_a_recent_proof(
    federated: Api, acme: IdentityProvider, globex: IdentityProvider, grace: Account
) -> None:
    subject = "s-" + grace.user_id
    await link(grace, acme, "acme", sub=subject, email="grace@elsewhere.org", email_verified=False)
    await link(grace, globex, "globex", sub=subject)  # the same subject elsewhere is another identity
    with refused(409, "identity_taken"):
        await link(grace, acme, "acme", sub="another")
    eve = await sign_up(federated)
    with refused(409, "identity_taken"):
        await link(eve, acme, "acme", sub=subject)
    signed_in = await sign_in(federated, acme, sub=subject)
    assert (await federated.client(signed_in.access_token).get_me()).user.id == grace.user_id
    waiting = await grace.client.begin_link("acme")
    await age(federated, grace)
    identities = await grace.client.list_identities()
    with refused(403, "step_up_required"):
        await grace.client.unlink_identity(identities[0].id)
    with refused(403, "step_up_required"):
        await grace.client.begin_link("acme")
    with refused(403, "step_up_required"):
        await grace.client.finish_link(**acme.consent(waiting.url, sub="x"), browser_token=waiting.browser_token)
    await grace.client.step_up(password=PASSWORD)
    with refused(404, "not_found"):
        await eve.client.unlink_identity(identities[0].id)
    await grace.client.unlink_identity(identities[0].id)
    with refused(403, "provider_mail_unproven"):
        await sign_in(federated, acme, sub=subject, email=grace.email, email_verified=False)
    await read_mail(federated, grace.email, "acme was unlinked from your account")


async def test_a_second_factor_is_asked_for_as_after_a_password(
    federated: Api, acme: IdentityProvider, grace: Account
) -> None:
    await link(grace, acme, "acme", sub=grace.user_id)
    _, codes = await turn_on(grace)
    answer = await sign_in(federated, acme, sub=grace.user_id)
    assert (answer.access_token, answer.mfa_methods) == ("", ["totp", "recovery_code"])
    tokens = await federated.client().verify_second_factor(mfa_token=answer.mfa_token, code=codes[0])
    assert tokens.access_token


async def test_who_is_suspended_does_not_sign_in(federated: Api, acme: IdentityProvider, grace: Account) -> None:
    await link(grace, acme, "acme", sub=grace.user_id)
    await (await federated.admin()).update_user(grace.user_id, status="suspended", reason="for a test")
    with refused(403, "suspended"):
        await sign_in(federated, acme, sub=grace.user_id)


@pytest.mark.parametrize("claims", [{"email_verified": False}, {"email_verified": None}, {"email": None}], ids=str)
async def test_an_address_that_nobody_vouches_for_signs_nobody_up(
    federated: Api, acme: IdentityProvider, grace: Account, claims: dict[str, Any]
) -> None:
    for email in (new_email(), grace.email):
        with refused(403, "provider_mail_unproven"):
            await sign_in(federated, acme, **{"sub": "x" + email, "email": email, **claims})


LIES: dict[str, Script] = {
    "of another issuer": Script(claims={"iss": "https://accounts.evil.test"}),
    "for another client": Script(claims={"aud": "somebody else"}),
    "for several, and another": Script(claims={"aud": [CLIENT_ID, "other"], "azp": "other"}),
    "for several, and nobody": Script(claims={"aud": [CLIENT_ID, "other"]}),
    "expired": Script(claims={"exp": 1_700_000_000}),
    "without an end": Script(claims={"exp": None}),
    "of tomorrow": Script(claims={"iat": 4_000_000_000}),
    "with another nonce": Script(claims={"nonce": "another"}),
    "without a nonce": Script(claims={"nonce": None}),
    "of nobody": Script(claims={"sub": ""}),
    "of a number": Script(claims={"sub": 7}),
    "of somebody endless": Script(claims={"sub": "x" * 10_000}),
    "unsigned": Script(algorithm="none"),
    "with a shared key": Script(sign_with="x" * 40, algorithm="HS256"),
    "with the key named shared": Script(sign_with=SHARED, algorithm="HS256", header={"kid": "shared"}),
    "with the client's secret": Script(sign_with="a secret: of/ours and long enough now", algorithm="HS256"),
    "with an unknown key": Script(header={"kid": "unknown"}),
    "with a key for encryption": Script(header={"kid": "old"}),
    "with a key of its own": Script(header={"jku": "https://evil.test/keys", "kid": "evil"}),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_token_that_lies_opens_nothing(federated: Api, acme: IdentityProvider, lie: str) -> None:
    acme.script = LIES[lie]
    with refused(401, "identity_refused"):
        await sign_in(federated, acme, sub="honest", email=new_email())


async def test_the_public_key_is_no_shared_secret(federated: Api, acme: IdentityProvider) -> None:
    departure = await federated.client().begin_provider_sign_in("acme")
    back = acme.consent(departure.url, sub="eve", email=new_email())
    granted = acme.codes[back["code"]]
    claims = {
        "iss": acme.issuer,
        "aud": CLIENT_ID,
        "iat": 1,
        "exp": 4_000_000_000,
        "nonce": granted.nonce,
        "sub": "eve",
    }

    def b64(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    head = b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": acme.kid}).encode())
    text = f"{head}.{b64(json.dumps(claims).encode())}"
    forged = f"{text}.{b64(hmac.digest(acme.public_pem, text.encode(), hashlib.sha256))}"
    acme.script = Script(body=json.dumps({"id_token": forged}).encode())
    with refused(401, "identity_refused"):
        await federated.client().finish_provider_sign_in(**back, browser_token=departure.browser_token)


async def test_a_code_and_a_state_are_good_once(federated: Api, acme: IdentityProvider) -> None:
    departure = await federated.client().begin_provider_sign_in("acme")
    back, kept = acme.consent(departure.url, sub="once", email=new_email()), departure.browser_token

    async def finish() -> int:
        url = f"{federated.base_url}/api/v1/auth/providers/finish"
        return (await federated.http.post(url, json={**back, "browser_token": kept})).status_code

    assert sorted(await asyncio.gather(*(finish() for _ in range(10)))) == [200, *[401] * 9]
    other = await federated.client().begin_provider_sign_in("acme")
    state = acme.consent(other.url, sub="once")["state"]
    with refused(401, "identity_refused"):  # a code that was used, under a state of one's own
        await federated.client().finish_provider_sign_in(
            state=state, code=back["code"], browser_token=other.browser_token
        )


async def test_a_code_of_somebody_elses_sign_in_is_useless(federated: Api, acme: IdentityProvider) -> None:
    victim, eve = [await federated.client().begin_provider_sign_in("acme") for _ in range(2)]
    stolen = acme.consent(victim.url, sub="victim", email=new_email())
    own = acme.consent(eve.url, sub="eve")
    with refused(401, "identity_refused"):  # PKCE: the code goes with the verifier of the victim's sign-in
        await federated.client().finish_provider_sign_in(
            state=own["state"], code=stolen["code"], browser_token=eve.browser_token
        )
    with refused(401, "identity_refused"):  # nobody is signed in as Eve by a link of hers
        await federated.client().finish_provider_sign_in(**stolen, browser_token=eve.browser_token)


async def test_an_answer_is_taken_from_the_provider_that_was_asked_alone(
    federated: Api, acme: IdentityProvider, globex: IdentityProvider
) -> None:
    departure = await federated.client().begin_provider_sign_in("acme")
    back = acme.consent(departure.url, sub="mixed", email=new_email())
    with refused(401, "identity_refused"):
        await federated.client().finish_provider_sign_in(
            **back, browser_token=departure.browser_token, iss=globex.issuer
        )
    departure = await federated.client().begin_provider_sign_in("acme")
    back = acme.consent(departure.url, sub="mixed", email=new_email())
    answer = await federated.client().finish_provider_sign_in(
        **back, browser_token=departure.browser_token, iss=acme.issuer
    )
    assert answer.access_token
    with refused(404, "not_found"):
        await federated.client().begin_provider_sign_in("initech")


async def test_a_sign_in_links_nothing_and_a_link_signs_nobody_in(
    federated: Api, acme: IdentityProvider, grace: Account
) -> None:
    public, own = await federated.client().begin_provider_sign_in("acme"), await grace.client.begin_link("acme")
    with refused(401, "identity_refused"):
        await grace.client.finish_link(**acme.consent(public.url, sub="a"), browser_token=public.browser_token)
    with refused(401, "identity_refused"):
        await federated.client().finish_provider_sign_in(
            **acme.consent(own.url, sub="b", email=new_email()), browser_token=own.browser_token
        )
    eve, theirs = await sign_up(federated), await grace.client.begin_link("acme")
    with refused(401, "identity_refused"):  # nobody links their identity to another's account
        await eve.client.finish_link(**acme.consent(theirs.url, sub="c"), browser_token=theirs.browser_token)


async def test_new_keys_are_found_and_old_ones_forgotten(federated: Api, acme: IdentityProvider) -> None:
    email = new_email()
    assert (await sign_in(federated, acme, sub=email, email=email)).access_token
    before = acme.key, acme.kid
    await asyncio.sleep(5.1)  # new keys are not asked for at once again
    acme.rotate()
    asked = acme.asked.count("keys")
    assert (await sign_in(federated, acme, sub=email)).access_token
    assert acme.asked.count("keys") == asked + 1
    for _ in range(3):
        acme.script = Script(sign_with=before[0], header={"kid": before[1]})
        with refused(401, "identity_refused"):
            await sign_in(federated, acme, sub=email)
    assert acme.asked.count("keys") == asked + 1


@pytest.mark.parametrize(
    "script",
    [
        Script(status=500),
        Script(status=302),
        Script(body=b"<html>"),
        Script(body=b'{"id_token": 7}'),
        Script(body=b"x" * 600_000),
    ],
    ids=["500", "302", "html", "number", "huge"],
)
async def test_a_provider_that_fails_is_a_failure_of_its_own(
    federated: Api, acme: IdentityProvider, script: Script
) -> None:
    acme.script = script
    with refused(502, "identity_provider_failed"):
        await sign_in(federated, acme, sub="x", email=new_email())


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.test"},
        {"token_endpoint": "http://169.254.169.254/latest/meta-data"},
        {"token_endpoint": "http://10.0.0.1/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": "http://[fd00::1]/keys"},
        {"jwks_uri": 7},
    ],
    ids=str,
)
async def test_a_providers_document_leads_nowhere_else(
    postgres: EmbeddedPostgres, federated: Api, metadata: dict[str, Any]
) -> None:
    async with (
        run_identity_provider() as evil,
        run_api(federated.database, OPERIS_IDENTITY_PROVIDERS=setting_of(evil=evil)) as running,
    ):
        evil.script.metadata = metadata
        with refused(502, "identity_provider_failed"):
            departure = await begin(running)
            back = evil.consent(departure.url, sub="x", email=new_email())
            await running.client().finish_provider_sign_in(**back, browser_token=departure.browser_token)


async def begin(api: Api) -> Departure:
    return await api.client().begin_provider_sign_in("evil")


async def test_signing_up_so_keeps_the_rules_of_any_sign_up(postgres: EmbeddedPostgres, acme: IdentityProvider) -> None:
    async with run_api(
        await make_database(postgres),
        OPERIS_IDENTITY_PROVIDERS=setting_of(acme=acme),
        OPERIS_REGISTRATION="invite",
        OPERIS_REGISTRATION_DOMAINS="example.com",
    ) as running:
        email = new_email()
        with refused(403, "registration_closed"):
            await sign_in(running, acme, sub="new", email=email)
        link = (await (await running.admin()).invite_person(email=email)).link
        assert link is not None
        invitation = link.partition("token=")[2]
        for claims, status, code in (
            ({"sub": "other", "email": "x@elsewhere.org"}, 403, "domain_not_allowed"),
            ({"sub": "other", "email": new_email()}, 403, "invited_another"),
            ({"sub": "new", "email": email}, 200, ""),
        ):
            departure = await running.client().begin_provider_sign_in("acme")
            back = acme.consent(departure.url, **claims)
            answer = await running.http.post(
                f"{running.base_url}/api/v1/auth/providers/finish",
                json={**back, "browser_token": departure.browser_token, "invitation": invitation},
            )
            assert answer.status_code == status, answer.text
            assert answer.json().get("code", "") == code
        assert (await sign_in(running, acme, sub="new")).access_token


async def test_where_none_is_configured_there_is_none(second_api: Api) -> None:
    assert await second_api.client().list_identity_providers() == []
    with refused(404, "not_found"):
        await second_api.client().begin_provider_sign_in("acme")
    answer: httpx.Response = await second_api.http.post(
        f"{second_api.base_url}/api/v1/auth/providers/finish", json={"state": "x", "code": "y", "browser_token": "z"}
    )
    assert answer.status_code == 401
