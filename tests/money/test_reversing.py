"""Giving a charge back: whole, once, with a reason, and as credits that burn like any other."""

import asyncio
from uuid import UUID

import pytest

from operis_client import ApiError, AsyncOperis
from tests.factories import Account
from tests.money.moving import entries_of, hold_request, open_holds, settlement
from tests.refusing import refused
from tests.running import Database


async def charge_call(database: Database, account: Account, *, charge_nano: int) -> str:
    """Return the id of a request that was charged so much."""
    async with open_holds(database) as holds:
        request = await hold_request(database, account, quote_nano=1000)
        await holds.place(request)
        await holds.settle(settlement(request, charge_nano=charge_nano))
    return str(request.hold_id)


async def test_a_reversal_gives_the_whole_charge_back_as_a_refund_grant(
    admin: AsyncOperis, database: Database, ada: Account
) -> None:
    request_id = await charge_call(database, ada, charge_nano=700)
    assert await ada.available() == "0.9999993"
    reversal = await admin.reverse_charge(ada.organization_id, request_id, reason="The answer was cut off")
    assert (reversal.amount, reversal.wallet.available) == ("0.0000007", "1")
    refund = next(grant for grant in reversal.wallet.grants if grant.source == "refund")
    assert (refund.id, refund.amount, refund.remaining, refund.expires_at) == (
        reversal.posting_id,
        "0.0000007",
        "0.0000007",
        None,
    )
    assert (await entries_of(database, ada))[-2:] == [
        ("reversal", "wallet", 700, 10**9),
        ("reversal", "refunds", -700, None),
    ]
    newest = (await ada.client.list_wallet_entries()).items[0]
    assert (newest.kind, newest.request_id, newest.reason) == ("reversal", request_id, "The answer was cut off")
    audit = await database.fetch(
        "SELECT reason, after FROM audit_events WHERE action = 'charge.reverse' AND target_id = $1", request_id
    )
    assert [row["reason"] for row in audit] == ["The answer was cut off"]
    assert await database.broken_invariants() == []


async def test_a_charge_beyond_its_hold_gives_back_what_the_wallet_paid(
    admin: AsyncOperis, database: Database, ada: Account
) -> None:
    request_id = await charge_call(database, ada, charge_nano=1500)  # 500 of it are platform loss
    assert (await admin.reverse_charge(ada.organization_id, request_id, reason="Too dear")).amount == "0.000001"
    assert await ada.available() == "1"


async def test_a_second_reversal_is_refused_with_the_first_ones_posting(
    admin: AsyncOperis, database: Database, ada: Account
) -> None:
    request_id = await charge_call(database, ada, charge_nano=700)
    first = await admin.reverse_charge(ada.organization_id, request_id, reason="Once")
    with refused(409, "already_reversed") as refusal:
        await admin.reverse_charge(ada.organization_id, request_id, reason="Twice")
    assert refusal.error.facts["posting_id"] == first.posting_id
    assert await ada.available() == "1"


async def test_the_same_idempotency_key_replays_the_reversal(
    admin: AsyncOperis, database: Database, ada: Account
) -> None:
    request_id = await charge_call(database, ada, charge_nano=700)
    answers = [
        await admin.reverse_charge(ada.organization_id, request_id, reason="Once", idempotency_key=request_id)
        for _ in range(3)
    ]
    assert len({answer.posting_id for answer in answers}) == 1
    assert await ada.available() == "1"


async def test_twenty_reversals_at_once_give_back_once(admin: AsyncOperis, database: Database, ada: Account) -> None:
    request_id = await charge_call(database, ada, charge_nano=700)
    answers = await asyncio.gather(
        *(admin.reverse_charge(ada.organization_id, request_id, reason=f"Try {nth}") for nth in range(20)),
        return_exceptions=True,
    )
    refusals = [answer for answer in answers if isinstance(answer, ApiError)]
    assert {refusal.code for refusal in refusals} == {"already_reversed"}
    assert len(refusals) == 19
    assert await ada.available() == "1"
    assert await database.broken_invariants() == []


async def test_what_cost_nothing_or_is_not_there_cannot_be_given_back(
    admin: AsyncOperis, database: Database, ada: Account
) -> None:
    free = await charge_call(database, ada, charge_nano=0)
    with refused(409, "nothing_charged"):
        await admin.reverse_charge(ada.organization_id, free, reason="Nothing")
    paid = await charge_call(database, ada, charge_nano=1)
    with refused(404, "not_found"):  # of another organization
        await admin.reverse_charge(str(UUID(int=7)), paid, reason="Whose?")
    reversal = await admin.reverse_charge(ada.organization_id, paid, reason="Right")
    with refused(404, "not_found"):  # a reversal is no request
        await admin.reverse_charge(ada.organization_id, reversal.posting_id, reason="Again")


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
async def test_a_reversal_needs_a_reason(admin: AsyncOperis, database: Database, ada: Account, reason: str) -> None:
    request_id = await charge_call(database, ada, charge_nano=5)
    with refused(422, "invalid_field"):
        await admin.reverse_charge(ada.organization_id, request_id, reason=reason)


async def test_only_administrators_reverse(database: Database, ada: Account) -> None:
    request_id = await charge_call(database, ada, charge_nano=5)
    with refused(403, "forbidden"):
        await ada.client.reverse_charge(ada.organization_id, request_id, reason="Mine")


async def test_the_database_refuses_a_second_reversal_whatever_the_code_says(database: Database, ada: Account) -> None:
    request_id = await charge_call(database, ada, charge_nano=5)
    insert = (
        "INSERT INTO postings (organization_id, id, kind, reverses_id) VALUES ($1, gen_random_uuid(), 'reversal', $2)"
    )
    with pytest.raises(Exception, match="uq_postings_reverses_id"):
        await database.fetch(
            f"WITH first AS ({insert} RETURNING id) {insert}", UUID(ada.organization_id), UUID(request_id)
        )
