"""A new root secret: providers' credentials are read under the previous one, and sealed anew when they are set."""

from pathlib import Path

import httpx

from operis_db.embedded import EmbeddedPostgres
from tests.factories import mint, sign_up
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.running import Api, Database, environment, make_database, run_api

OLD = environment(Database("", "", ""), Path(), 1)["OPERIS_SECRET_KEY"]
NEW = "a-brand-new-root-secret-0123456789-abcdef"


async def call(api: Api, secret: str) -> httpx.Response:
    body = {"model": "acme/sealed", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9}
    headers = {"Authorization": f"Bearer {secret}"}
    return await api.http.post(f"{api.base_url}/v1/chat/completions", json=body, headers=headers)


async def test_a_providers_credential_outlives_the_root_secret_it_was_sealed_under(
    postgres: EmbeddedPostgres, provider: OpenAIUpstream, script: Script
) -> None:
    database = await make_database(postgres)
    async with run_api(database) as before:
        admin = await before.admin()
        upstream = await admin.create_upstream(name="Sealed", base_url=provider.base_url, api_key=API_KEY)
        await admin.create_model(id="acme/sealed", upstream_id=upstream.id, upstream_model="real-model")
        await admin.create_price(model_id="acme/sealed", input="1", output="2")
        secret = await mint(await sign_up(before))
        assert (await call(before, secret)).status_code == 200
    async with run_api(database, OPERIS_SECRET_KEY=NEW, OPERIS_SECRET_KEY_PREVIOUS=OLD) as renewed:
        assert (await call(renewed, secret)).status_code == 200
        await (await renewed.admin()).update_upstream(upstream.id, api_key=API_KEY)
    async with run_api(database, OPERIS_SECRET_KEY=NEW) as forgetful:
        assert (await call(forgetful, secret)).status_code == 200
    assert script.status == 200
