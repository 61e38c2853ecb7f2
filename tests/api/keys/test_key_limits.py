"""Limits of a key over its own routes: set, changed, shown with what is left, and told to the key itself."""

import asyncio

import pytest

from tests.factories import Account
from tests.refusing import refused
from tests.running import Api

HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}
CHARGE = "0.000006"
EVERY = {
    "budget": "10",
    "budget_daily": "1",
    "budget_weekly": "3.5",
    "budget_monthly": "8",
    "rpm": 60,
    "tpm": 10_000,
    "concurrency": 3,
}


async def test_every_limit_is_minted_shown_changed_and_taken_away(api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="bounded", **EVERY)  # type: ignore[arg-type]
    assert {name: getattr(minted.key, name) for name in EVERY} == EVERY
    assert [(state.scope, state.name, state.used) for state in minted.key.states] == [
        ("key", name, "0") for name in EVERY
    ]
    await api.client(minted.secret).create_chat_completion(HELLO)
    states = {state.name: state for state in (await ada.client.get_key(minted.key.id)).states}
    for budget in ("budget", "budget_daily", "budget_weekly", "budget_monthly"):
        assert states[budget].used == CHARGE
    assert (states["rpm"].used, states["concurrency"].used) == ("1", "0")
    assert states["budget_daily"].resets_at is not None
    assert [name for name, state in states.items() if state.binds] == ["rpm"]
    told = await api.client(minted.secret).get_calling_key()
    assert {name: told[name] for name in EVERY} == EVERY
    assert {state["name"]: state["used"] for state in told["states"]} == {  # type: ignore[union-attr,index]
        name: state.used for name, state in states.items()
    }

    changed = await ada.client.update_key(minted.key.id, rpm=None, budget="0.5")
    assert (changed.rpm, changed.budget, changed.tpm) == (None, "0.5", 10_000)
    listed = (await ada.client.list_keys()).items[0]
    assert listed == changed
    freed = await ada.client.update_key(minted.key.id, **dict.fromkeys(EVERY))  # type: ignore[arg-type]
    assert (freed.states, {getattr(freed, name) for name in EVERY}) == ([], {None})


async def test_a_limit_lowered_here_binds_there_at_once(api: Api, second_api: Api, ada: Account) -> None:
    minted = await ada.client.mint_key(name="bounded")
    for running in (api, second_api):
        await running.client(minted.secret).create_chat_completion(HELLO)
    await ada.client.update_key(minted.key.id, budget="0.000012")
    for running in (api, second_api):
        with refused(402, "budget_exhausted") as refusal:
            await running.client(minted.secret).create_chat_completion(HELLO)
        facts = refusal.error.facts
        assert (facts["scope"], facts["limit"], facts["value"], facts["used"]) == (
            "key",
            "budget",
            "0.000012",
            "0.000012",
        )
    # Requests are counted from the moment on in which their number is limited.
    await ada.client.update_key(minted.key.id, budget=None, rpm=1)
    await api.client(minted.secret).create_chat_completion(HELLO)
    with refused(429, "rate_limit_exceeded"):
        await second_api.client(minted.secret).create_chat_completion(HELLO)


async def test_a_hundred_calls_at_once_on_a_budget_for_ten_over_two_processes_are_ten(
    api: Api, second_api: Api, ada: Account
) -> None:
    minted = await ada.client.mint_key(name="ten", budget="0.00006")

    async def call(nth: int) -> int:
        running = (api, second_api)[nth % 2]
        headers = {"authorization": f"Bearer {minted.secret}"}
        answer = await running.http.post(f"{running.base_url}/v1/chat/completions", json=HELLO, headers=headers)
        return answer.status_code

    statuses = await asyncio.gather(*(call(nth) for nth in range(100)))
    assert (statuses.count(200), statuses.count(402)) == (10, 90)
    key = await ada.client.get_key(minted.key.id)
    assert (key.spent, key.requests) == ("0.00006", 10)


async def test_a_robot_gives_no_key_more_than_its_own_limits(api: Api, ada: Account) -> None:
    robot = await ada.client.mint_key(name="robot", scopes=["keys", "inference"], budget="5", rpm=10)
    client = api.client(robot.secret)
    made = await client.mint_key(name="within", scopes=["inference"], budget="5", rpm=10, tpm=7)
    for more in ({"budget": "5.000000001", "rpm": 10}, {"rpm": 10}, {"budget": "5"}, {"budget": "5", "rpm": 11}):
        with refused(403, "beyond_own_rights"):
            await client.mint_key(name="beyond", scopes=["inference"], **more)  # type: ignore[arg-type]
    for change in ({"budget": None}, {"rpm": 11}):
        with refused(403, "beyond_own_rights"):
            await client.update_key(made.key.id, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [("budget", "-1"), ("budget_daily", "1e3"), ("budget_weekly", "0.0000000001"), ("rpm", 0), ("concurrency", -1)],
)
async def test_a_limit_that_makes_no_sense_is_refused_by_name(ada: Account, name: str, value: object) -> None:
    with refused(422, "invalid_field") as refusal:
        await ada.client.mint_key(name="odd", **{name: value})  # type: ignore[arg-type]
    assert refusal.error.facts["field"] == name
