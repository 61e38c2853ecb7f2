"""Models: added, served by several upstreams, changed for the next call."""

import secrets

import pytest

from operis_client import AsyncOperis
from tests.factories import Account, mint
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.refusing import refused
from tests.running import Api


def new_id() -> str:
    return f"acme/{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
async def upstream_id(admin: AsyncOperis, provider: OpenAIUpstream) -> str:
    return (await admin.create_upstream(name="For models", base_url=provider.base_url, api_key=API_KEY)).id


async def test_a_model_is_offered_once_it_has_a_price(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account, upstream_id: str, script: Script
) -> None:
    model = new_id()
    row = await admin.create_model(
        id=model, upstream_id=upstream_id, upstream_model="real-model", name="Acme's own", context_tokens=8000
    )
    assert (row.name, row.enabled, row.context_tokens, row.price) == ("Acme's own", True, 8000, None)
    assert (row.max_output_tokens, row.default_output_tokens, row.min_output_tokens) == (None, 4096, 16)
    assert [(link.upstream_id, link.upstream_model, link.weight, link.priority) for link in row.upstreams] == [
        (upstream_id, "real-model", 1, 0)
    ]
    secret = await mint(ada)
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
    for running in (api, second_api):
        with refused(404, "model_not_found"):
            await running.client(secret).create_chat_completion(body)

    await admin.create_price(model_id=model, input="1.5", output="2")
    for running in (api, second_api):
        assert (await running.client(secret).create_chat_completion(body))["model"]
        offered = {found.id: found for found in (await running.client(ada.client.token).list_models()).items}
        assert (offered[model].input, offered[model].output, offered[model].cached_input) == ("1.5", "2", None)


async def test_a_change_is_in_force_for_the_next_call_in_every_process(
    api: Api, second_api: Api, admin: AsyncOperis, ada: Account, upstream_id: str, provider: OpenAIUpstream
) -> None:
    model = new_id()
    await admin.create_model(id=model, upstream_id=upstream_id, upstream_model="real-model", default_output_tokens=50)
    await admin.create_price(model_id=model, input="1", output="1")
    secret = await mint(ada)
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    for running in (api, second_api):
        await running.client(secret).create_chat_completion(body)
        assert provider.calls[-1]["max_tokens"] == 50

    changed = await admin.update_model(model, name="Renamed", default_output_tokens=8, max_output_tokens=500)
    assert (changed.name, changed.default_output_tokens, changed.min_output_tokens) == ("Renamed", 8, 8)
    for running in (api, second_api):
        await running.client(secret).create_chat_completion(body)
        assert provider.calls[-1]["max_tokens"] == 8

    await admin.update_model(model, enabled=False)
    for running in (api, second_api):
        with refused(404, "model_not_found"):
            await running.client(secret).create_chat_completion(body)
        assert model not in [row.id for row in (await running.client(ada.client.token).list_models()).items]
    row = next(row for row in (await admin.list_model_rows()).items if row.id == model)
    assert (row.enabled, row.max_output_tokens) == (False, 500)
    assert (await admin.update_model(model, max_output_tokens=None)).max_output_tokens is None


async def test_a_further_upstream_serves_the_model(
    admin: AsyncOperis, upstream_id: str, provider: OpenAIUpstream
) -> None:
    model = new_id()
    await admin.create_model(id=model, upstream_id=upstream_id, upstream_model="real-model")
    spare = await admin.create_upstream(name=f"Spare {model}", base_url=provider.base_url, api_key=API_KEY)
    link = await admin.add_model_upstream(model, upstream_id=spare.id, upstream_model="other", weight=3, priority=1)
    assert (link.upstream_name, link.upstream_model, link.weight, link.priority) == (spare.name, "other", 3, 1)
    row = next(row for row in (await admin.list_model_rows()).items if row.id == model)
    assert [found.upstream_model for found in row.upstreams] == ["real-model", "other"]
    with refused(409, "name_taken"):
        await admin.add_model_upstream(model, upstream_id=spare.id, upstream_model="other")
    for wrong in ({"weight": 0}, {"weight": 1001}, {"priority": -1}, {"priority": 1001}):
        with refused(422, "invalid_field"):
            await admin.add_model_upstream(model, upstream_id=spare.id, upstream_model="third", **wrong)
        with refused(422, "invalid_field"):
            await admin.update_model_upstream(spare.id, link.id, **wrong)
    assert (await admin.update_model_upstream(spare.id, link.id, weight=7)).priority == 1
    assert (await admin.update_model_upstream(spare.id, link.id, priority=0)).weight == 7
    with refused(404, "not_found"):
        await admin.update_model_upstream(upstream_id, link.id, weight=7)  # another upstream's


@pytest.mark.parametrize(
    "model", ["", "a b", "-a", "/a", "a" * 129, "a\x00", "\u00e9", "a\nb", "../x", "a?b", "a#b", "a%b"]
)
async def test_a_model_id_is_letters_digits_and_a_few_signs(admin: AsyncOperis, upstream_id: str, model: str) -> None:
    with refused(422, "invalid_field") as refusal:
        await admin.create_model(id=model, upstream_id=upstream_id, upstream_model="real-model")
    assert refusal.error.facts["field"] == "id"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"context_tokens": 0}, "context_tokens"),
        ({"context_tokens": 100_000_001}, "context_tokens"),
        ({"max_output_tokens": -1}, "max_output_tokens"),
        ({"default_output_tokens": 0}, "default_output_tokens"),
        ({"default_output_tokens": 2**31}, "default_output_tokens"),
        ({"upstream_model": ""}, "upstream_model"),
        ({"upstream_model": "m" * 129}, "upstream_model"),
        ({"upstream_id": "00000000-0000-7000-8000-00000000dead"}, "upstream_id"),
        ({"name": ""}, "name"),
        ({"name": "a\x00"}, "name"),
    ],
)
async def test_what_a_model_cannot_have_is_refused_by_field(
    api: Api, admin: AsyncOperis, upstream_id: str, wrong: dict[str, object], field: str
) -> None:
    model = new_id()
    answer = await api.http.post(
        f"{api.base_url}/api/v1/admin/models",
        json={"id": model, "upstream_id": upstream_id, "upstream_model": "real-model", **wrong},
        headers={"authorization": f"Bearer {admin.token}"},
    )
    assert (answer.status_code, answer.json().get("field")) == (422, field)
    assert model not in [row.id for row in (await admin.list_model_rows()).items]


async def test_a_model_is_created_once(admin: AsyncOperis, upstream_id: str) -> None:
    model = new_id()
    await admin.create_model(id=model, upstream_id=upstream_id, upstream_model="real-model")
    with refused(409, "name_taken") as refusal:
        await admin.create_model(id=model, upstream_id=upstream_id, upstream_model="real-model")
    assert refusal.error.facts["field"] == "id"


async def test_what_is_not_there_is_not_found(api: Api, admin: AsyncOperis, upstream_id: str) -> None:
    with refused(404, "not_found"):
        await admin.update_model("acme/nowhere", enabled=False)
    with refused(404, "not_found"):
        await admin.add_model_upstream("acme/nowhere", upstream_id=upstream_id, upstream_model="real-model")
    headers = {"authorization": f"Bearer {admin.token}"}
    nul = await api.http.patch(f"{api.base_url}/api/v1/admin/models/a%00b", json={"enabled": False}, headers=headers)
    assert nul.json()["code"] in {"not_found", "unusable_text"}
    other = await api.http.post(
        f"{api.base_url}/api/v1/admin/models/acme/large/elsewhere",
        json={"upstream_id": upstream_id, "upstream_model": "real-model"},
        headers=headers,
    )
    assert (other.status_code, other.json()["code"]) == (404, "not_found")
