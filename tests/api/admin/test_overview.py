"""The platform's figures and requests, on a database of their own, so that every number is known."""

from collections.abc import AsyncGenerator

import pytest
from openai import APIStatusError

from operis_client import AsyncOperis
from operis_db.embedded import EmbeddedPostgres
from tests.factories import Account, mint, sign_up
from tests.fakes.openai_upstream import API_KEY, OpenAIUpstream, Script
from tests.refusing import refused
from tests.running import Api, make_database, run_api


@pytest.fixture
async def alone(postgres: EmbeddedPostgres) -> AsyncGenerator[Api]:
    async with run_api(await make_database(postgres)) as running:
        yield running


@pytest.fixture
async def operator(alone: Api, provider: OpenAIUpstream) -> AsyncOperis:
    admin = await alone.admin()
    upstream = await admin.create_upstream(name="Acme", base_url=provider.base_url, api_key=API_KEY)
    await admin.create_model(
        id="acme/large", upstream_id=upstream.id, upstream_model="real-model", default_output_tokens=100
    )
    await admin.create_price(model_id="acme/large", input="2.5", output="10", cost_input="2", cost_output="8")
    return admin


async def chat(api: Api, account: Account, model: str) -> None:
    await api.openai(await mint(account)).chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=20
    )


async def test_the_overview_adds_up(alone: Api, operator: AsyncOperis, script: Script) -> None:
    empty = await operator.get_overview()
    assert (empty.revenue, empty.requests, empty.by_day, empty.users, empty.sign_ups) == ("0", 0, [], 1, 1)
    assert (empty.liabilities, empty.held, empty.open_holds) == ("1", "0", 0)  # the administrator's welcome grant

    ada, eve = await sign_up(alone), await sign_up(alone)
    await chat(alone, ada, "acme/large")  # 11 x 2.5 + 7 x 10 = 97.5; cost 11 x 2 + 7 x 8 = 78
    await chat(alone, ada, "operis/echo")  # 5 x 1 + 5 x 2 = 15; costs nothing
    script.usage = None
    await chat(alone, eve, "acme/large")  # estimated
    script.status = 500
    with pytest.raises(APIStatusError):
        await chat(alone, eve, "acme/large")
    script.status = 200
    script.usage = {"prompt_tokens": 11, "completion_tokens": 700}  # far beyond what was asked and held
    await chat(alone, eve, "acme/large")

    requests = (await operator.list_admin_requests()).items
    assert [row.request.outcome for row in requests] == ["completed", "failed", "completed", "completed", "completed"]
    exceeding, failed, estimated, echoed, first = requests
    assert (first.user_email, first.organization_id, first.upstream) == (ada.email, ada.organization_id, "Acme")
    assert (first.request.charge, first.cost, first.loss) == ("0.0000975", "0.000078", "0")
    assert (echoed.request.charge, echoed.cost, echoed.upstream) == ("0.000015", "0", "Built-in echo")
    assert (failed.request.charge, failed.loss, failed.request.http_status) == ("0", "0", 502)
    assert (estimated.request.estimated, estimated.user_email) == (True, eve.email)
    assert exceeding.loss != "0"

    overview = await operator.get_overview()
    nano = {row.request.id: to_nano(row.request.charge) for row in requests}
    loss = to_nano(exceeding.loss)
    assert nano[exceeding.request.id] + loss == 7_027_500  # 11 x 2.5 + 700 x 10
    cost = sum(to_nano(row.cost or "0") for row in requests)
    assert to_nano(overview.revenue) == sum(nano.values()) + loss
    assert to_nano(overview.platform_loss) == loss
    assert to_nano(overview.upstream_cost) == cost
    assert to_nano(overview.margin) == sum(nano.values()) - cost
    assert to_nano(overview.liabilities) == 3_000_000_000 - sum(nano.values())
    assert (overview.held, overview.open_holds) == ("0", 0)
    assert (overview.requests, overview.failed_requests, overview.estimated_requests) == (5, 1, 1)
    assert (overview.users, overview.sign_ups) == (3, 3)
    assert [(day.requests, day.failed_requests, to_nano(day.charge)) for day in overview.by_day] == [
        (5, 1, sum(nano.values()))
    ]
    assert (await operator.get_overview(days=1)).revenue == overview.revenue
    assert await alone.database.broken_invariants() == []


def to_nano(credits_text: str) -> int:
    whole, _, part = credits_text.lstrip("-").partition(".")
    amount = int(whole) * 10**9 + int(part.ljust(9, "0"))
    return -amount if credits_text.startswith("-") else amount


@pytest.mark.parametrize("days", ["0", "-1", "367", "ten", "1e3"])
async def test_the_overview_looks_back_a_day_to_a_year(api: Api, admin: AsyncOperis, days: str) -> None:
    answer = await api.http.get(
        f"{api.base_url}/api/v1/admin/overview?days={days}", headers={"authorization": f"Bearer {admin.token}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_requests_are_narrowed_and_paged_over_all_organizations(
    api: Api, admin: AsyncOperis, ada: Account, real_model: str, script: Script
) -> None:
    eve = await sign_up(api)
    for account, model in ((ada, real_model), (eve, "operis/echo"), (ada, "operis/echo"), (ada, real_model)):
        await chat(api, account, model)
    own = [row.request.id for row in (await admin.list_admin_requests(organization_id=ada.organization_id)).items]
    assert own == [row.id for row in (await ada.client.list_requests()).items]
    assert len(own) == 3
    real = await admin.list_admin_requests(organization_id=ada.organization_id, model=real_model)
    assert [row.request.id for row in real.items] == [own[0], own[2]]
    assert (await admin.list_admin_requests(organization_id=ada.organization_id, outcome="failed")).items == []
    pages: list[str] = []
    after: str | None = None
    for _ in range(2):
        page = await admin.list_admin_requests(limit=2, after=after)
        pages += [row.request.id for row in page.items]
        after = page.next
    both = sorted([*own, *(row.id for row in (await eve.client.list_requests()).items)], reverse=True)
    assert pages == both


async def test_an_operator_sees_the_attempts_a_customer_is_not_shown(
    api: Api, admin: AsyncOperis, ada: Account, real_model: str, script: Script
) -> None:
    script.status, script.error = 500, "the provider's own internal words"
    with pytest.raises(APIStatusError) as refusal:
        await chat(api, ada, real_model)
    assert "internal words" not in str(refusal.value.body)
    request = (await ada.client.list_requests()).items[0]
    shown = await ada.client.explain_request(request.id)
    whole = await admin.explain_admin_request(ada.organization_id, request.id)
    assert {attempt.upstream for attempt in whole.attempts} == {"Fake provider"}
    assert all("internal words" in (attempt.error or "") for attempt in whole.attempts)
    assert {attempt.upstream_model for attempt in whole.attempts} == {"real-model"}
    assert [attempt.upstream for attempt in shown.attempts] == [f"Upstream {n + 1}" for n in range(len(whole.attempts))]
    assert {attempt.upstream_model for attempt in shown.attempts} == {""}
    assert {attempt.error for attempt in shown.attempts} == {"The provider failed."}
    assert (shown.request.charge, shown.entries, shown.burnt) == ("0", [], [])


async def test_a_request_is_found_in_its_own_organization_alone(api: Api, admin: AsyncOperis, ada: Account) -> None:
    await chat(api, ada, "operis/echo")
    request = (await ada.client.list_requests()).items[0]
    eve = await sign_up(api)
    with refused(404, "not_found"):
        await eve.client.explain_request(request.id)
    with refused(404, "not_found"):
        await admin.explain_admin_request(eve.organization_id, request.id)
    assert (await admin.explain_admin_request(ada.organization_id, request.id)).request == request


@pytest.mark.parametrize("request_id", ["ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"])
async def test_any_id_can_be_asked_for(admin: AsyncOperis, ada: Account, request_id: str) -> None:
    with refused(404, "not_found"):
        await ada.client.explain_request(request_id)
    with refused(404, "not_found"):
        await admin.explain_admin_request(request_id, request_id)
