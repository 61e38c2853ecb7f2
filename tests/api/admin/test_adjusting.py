"""Adjusting a wallet by hand: exact, bounded, explained, and once for an Idempotency-Key."""

import asyncio
from collections import Counter

import httpx
import pytest

from operis_client import ApiError, AsyncOperis
from tests.factories import Account
from tests.refusing import refused
from tests.running import Api


async def post_adjustment(
    api: Api, admin: AsyncOperis, ada: Account, body: object, idempotency_key: str | None = None
) -> httpx.Response:
    headers = {"authorization": f"Bearer {admin.token}"}
    if idempotency_key is not None:
        headers["idempotency-key"] = idempotency_key
    return await api.http.post(
        f"{api.base_url}/api/v1/admin/wallets/{ada.organization_id}/adjust", json=body, headers=headers
    )


async def test_a_credit_and_a_debit_are_exact_to_the_nanocredit(ada: Account, admin: AsyncOperis) -> None:
    credit = await admin.adjust_wallet(ada.organization_id, amount="2.000000001", reason="A gift")
    assert (credit.amount, credit.wallet.available) == ("2.000000001", "3.000000001")
    assert [(grant.source, grant.remaining) for grant in credit.wallet.grants] == [
        ("bonus", "1"),
        ("manual", "2.000000001"),
    ]
    debit = await admin.adjust_wallet(ada.organization_id, amount="-1.500000001", reason="Too much")
    assert (debit.amount, debit.wallet.available) == ("-1.500000001", "1.5")
    assert [(grant.source, grant.remaining) for grant in debit.wallet.grants] == [("manual", "1.5")]  # bonus first
    assert await admin.get_organization_wallet(ada.organization_id) == debit.wallet == await ada.client.get_wallet()
    entries = (await ada.client.list_wallet_entries()).items
    assert [(entry.kind, entry.amount, entry.balance_after, entry.reason, entry.sequence) for entry in entries] == [
        ("adjustment", "-1.500000001", "1.5", "Too much", 3),
        ("adjustment", "2.000000001", "3.000000001", "A gift", 2),
        ("welcome", "1", "1", "Welcome grant", 1),
    ]


async def test_a_wallet_can_be_emptied_and_not_beyond(ada: Account, admin: AsyncOperis) -> None:
    with refused(409, "balance_too_small") as refusal:
        await admin.adjust_wallet(ada.organization_id, amount="-1.000000001", reason="All and more")
    assert (refusal.error.facts["available"], refusal.error.facts["held"]) == ("1", "0")
    emptied = await admin.adjust_wallet(ada.organization_id, amount="-1", reason="All")
    assert (emptied.wallet.available, emptied.wallet.grants) == ("0", [])


async def test_a_wallet_of_hundreds_of_grants_can_be_emptied(api: Api, ada: Account, admin: AsyncOperis) -> None:
    for _ in range(230):
        answer = await post_adjustment(api, admin, ada, {"amount": "0.01", "reason": "Another little gift"})
        assert answer.status_code == 201
    emptied = await admin.adjust_wallet(ada.organization_id, amount="-3.3", reason="All of them")
    assert (emptied.wallet.available, emptied.wallet.grants) == ("0", [])
    assert await api.database.broken_invariants() == []


async def test_a_million_credits_either_way_is_the_limit(ada: Account, admin: AsyncOperis) -> None:
    most = await admin.adjust_wallet(ada.organization_id, amount="1000000", reason="A patron")
    assert most.wallet.available == "1000001"
    for amount in ("1000000.000000001", "-1000000.000000001", "9999999999"):
        with refused(422, "adjustment_too_large") as refusal:
            await admin.adjust_wallet(ada.organization_id, amount=amount, reason="Too much")
        assert refusal.error.facts["limit"] == "1000000"
    await admin.adjust_wallet(ada.organization_id, amount="-1000000", reason="Back again")
    assert await ada.available() == "1"


@pytest.mark.parametrize(
    "amount",
    [
        "0",
        "-0",
        "0.000000000",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "1e3",
        "1e309",
        "1E2",
        "0.0000000001",
        "1.",
        ".5",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "1,5",
        "1_000",
        "0x10",
        "--1",
        "",
        "9" * 11,
        "9" * 400,
        "9223372036854775808",
        "\u0661",
        "1; DROP TABLE wallets",
        "1' OR '1'='1",
    ],
)
async def test_what_is_no_amount_is_refused_and_moves_nothing(ada: Account, admin: AsyncOperis, amount: str) -> None:
    with refused(422, "invalid_field") as refusal:
        await admin.adjust_wallet(ada.organization_id, amount=amount, reason="Odd")
    assert refusal.error.facts["field"] == "amount"
    assert await ada.available() == "1"


@pytest.mark.parametrize("amount", [5, 5.5, True, None, ["1"], {"credits": "1"}])
async def test_an_amount_is_a_string(api: Api, ada: Account, admin: AsyncOperis, amount: object) -> None:
    answer = await post_adjustment(api, admin, ada, {"amount": amount, "reason": "Odd"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert await ada.available() == "1"


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "1e309", "9" * 5000])
async def test_numbers_that_json_does_not_know_are_refused(
    api: Api, ada: Account, admin: AsyncOperis, raw: str
) -> None:
    answer = await api.http.post(
        f"{api.base_url}/api/v1/admin/wallets/{ada.organization_id}/adjust",
        content=f'{{"amount": {raw}, "reason": "Odd"}}',
        headers={"authorization": f"Bearer {admin.token}", "content-type": "application/json"},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert await ada.available() == "1"


async def test_the_reason_is_required_and_bounded(api: Api, ada: Account, admin: AsyncOperis) -> None:
    assert (await post_adjustment(api, admin, ada, {"amount": "1"})).status_code == 400
    for reason in ("", "   ", "r" * 501):
        with refused(422, "invalid_field") as refusal:
            await admin.adjust_wallet(ada.organization_id, amount="1", reason=reason)
        assert refusal.error.facts["field"] == "reason"
    with refused(422, "unusable_text"):
        await admin.adjust_wallet(ada.organization_id, amount="1", reason="a\x00b")
    assert await ada.available() == "1"


async def test_a_wallet_nobody_has_is_not_found(admin: AsyncOperis) -> None:
    with refused(404, "not_found"):
        await admin.adjust_wallet("00000000-0000-7000-8000-00000000dead", amount="1", reason="Nobody")
    with refused(404, "not_found"):
        await admin.get_organization_wallet("00000000-0000-7000-8000-00000000dead")


async def test_an_idempotency_key_moves_money_once(api: Api, ada: Account, admin: AsyncOperis) -> None:
    key = f"gift-{ada.user_id}"
    body = {"amount": "5", "reason": "A gift"}
    first = await post_adjustment(api, admin, ada, body, key)
    again = await post_adjustment(api, admin, ada, body, key)
    assert (first.status_code, again.status_code, again.headers["idempotent-replayed"]) == (201, 201, "true")
    assert again.json() == first.json()
    other = await post_adjustment(api, admin, ada, {**body, "amount": "6"}, key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await ada.available() == "6"


async def test_an_idempotency_key_used_for_one_wallet_does_not_answer_for_another(
    api: Api, ada: Account, admin: AsyncOperis
) -> None:
    key = f"wallet-{ada.user_id}"
    own = (await admin.get_me()).organization.id
    await admin.adjust_wallet(own, amount="5", reason="A gift", idempotency_key=key)
    with refused(422, "idempotency_key_reused"):
        await admin.adjust_wallet(ada.organization_id, amount="5", reason="A gift", idempotency_key=key)
    assert await ada.available() == "1"


async def test_fifty_posts_with_one_idempotency_key_at_once_move_money_once(
    api: Api, second_api: Api, ada: Account, admin: AsyncOperis
) -> None:
    key = f"race-{ada.user_id}"
    body = {"amount": "5", "reason": "A gift"}
    answers = await asyncio.gather(
        *(post_adjustment((api, second_api)[n % 2], admin, ada, body, key) for n in range(50))
    )
    assert set(Counter(answer.status_code for answer in answers)) <= {201, 409}
    assert len({answer.json()["posting_id"] for answer in answers if answer.status_code == 201}) == 1
    assert await ada.available() == "6"
    rows = await api.database.fetch(
        "SELECT count(*) FROM audit_events WHERE action = 'wallet.adjust' AND organization_id = $1::text::uuid",
        ada.organization_id,
    )
    assert rows[0]["count"] == 1


async def test_debits_at_once_take_what_there_is_and_no_more(ada: Account, admin: AsyncOperis) -> None:
    async def take() -> bool:
        try:
            await admin.adjust_wallet(ada.organization_id, amount="-0.3", reason="A fee")
        except ApiError as error:
            if error.code != "balance_too_small":
                raise
            return False
        return True

    taken = await asyncio.gather(*(take() for _ in range(10)))
    assert sum(taken) == 3
    assert await ada.available() == "0.1"
