"""The log of a process that saw every secret there is holds none of them."""

import json

import httpx
import pytest
from openai import APIStatusError

from operis_db.embedded import EmbeddedPostgres
from tests.factories import mint, sign_up
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.refusing import refused
from tests.running import ADMIN_PASSWORD, make_database, run_api

PASSWORD = "zebra-crossing-at-noon-4711"
PROMPT = "my diagnosis is confidential-7fq2"
ANSWER = "the patient has secret-answer-9k3"
COOKIE = "session=cookie-value-55d1"


async def test_secrets_and_bodies_are_never_in_the_log(
    postgres: EmbeddedPostgres, provider: OpenAIUpstream, script: Script
) -> None:
    async with run_api(await make_database(postgres)) as api:
        admin = await api.admin()
        secrets = [ADMIN_PASSWORD, PASSWORD, API_KEY, PROMPT, ANSWER, "cookie-value-55d1", admin.token or ""]

        email = "log.reader@example.com"
        me = await api.client().register(email=email, password=PASSWORD, name="Ada")
        tokens = await api.client().login(email=email, password=PASSWORD)
        secrets += [tokens.access_token, tokens.refresh_token]
        with refused(401, "invalid_credentials"):
            await api.client().login(email=email, password=PASSWORD + "-wrong")
        ada = await sign_up(api)
        key = await mint(ada)
        secrets.append(key)

        upstream = await admin.create_upstream(name="Acme", base_url=provider.base_url, api_key=API_KEY)
        await admin.create_model(id="acme/large", upstream_id=upstream.id, upstream_model="real-model")
        await admin.create_price(model_id="acme/large", input="1", output="1")
        await admin.adjust_wallet(me.organization.id, amount="5", reason="A gift")
        script.words = [ANSWER]
        openai = api.openai(key)
        messages = [{"role": "user", "content": PROMPT}]
        await openai.chat.completions.create(model="acme/large", messages=messages)  # type: ignore[arg-type]
        script.status, script.error = 500, f"failed on: {PROMPT}"
        with pytest.raises(APIStatusError):
            await openai.chat.completions.create(model="acme/large", messages=messages)  # type: ignore[arg-type]
        script.status = 200
        script.break_after_words = 0
        with pytest.raises(Exception):  # noqa: B017, PT011  # however it breaks off, the log is what counts
            async for _ in await openai.chat.completions.create(model="acme/large", messages=messages, stream=True):  # type: ignore[arg-type]
                pass

        await send_what_does_not_fit(api.http, api.base_url, tokens.access_token)
        # Errors nobody expected, with secrets in hand: a table that is away fails the handler itself.
        await api.database.fetch("ALTER TABLE audit_events RENAME TO audit_events_away")
        answer = await api.http.post(f"{api.base_url}/api/v1/auth/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 500
        await api.database.fetch("ALTER TABLE audit_events_away RENAME TO audit_events")

        log = api.log.read_text()
        assert "unhandled_error" in log  # the failure itself is logged, with its request id
        assert answer.json()["request_id"] in log
        assert [secret for secret in secrets if secret in log] == []
        hashes = await api.database.fetch("SELECT password_hash FROM users")
        assert [row for row in hashes if row["password_hash"] in log] == []


async def send_what_does_not_fit(http: httpx.AsyncClient, base_url: str, token: str) -> None:
    headers = {"authorization": f"Bearer {token}", "cookie": COOKIE}
    for path, body in (
        ("/api/v1/auth/login", {"email": "a@example.com", "password": PASSWORD, "extra": PASSWORD}),
        ("/api/v1/auth/register", {"email": 7, "password": PASSWORD}),
        ("/api/v1/keys", {"name": PROMPT * 40}),
        ("/v1/chat/completions", {"model": "operis/echo", "messages": PROMPT}),
        (f"/nowhere?token={token}", {"password": PASSWORD}),
    ):
        answer = await http.post(
            base_url + path, content=json.dumps(body), headers={**headers, "content-type": "application/json"}
        )
        assert answer.status_code >= 400
        assert PASSWORD not in answer.text
