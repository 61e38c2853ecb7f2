"""Paying a grant back: what is left of it and no hold draws on, with a reason, once for each key."""

import asyncio
from uuid import UUID

import pytest

from operis_api.ledger.postings import Movement, credit_wallet
from operis_client import ApiError, AsyncOperis
from tests.factories import Account
from tests.money.moving import end_grant, entries_of, give, hold_request, open_holds, open_sessions, run_expiry
from tests.refusing import refused
from tests.running import Database

PAID = 10**9
"""One credit."""


@pytest.fixture
async def paid(database: Database, ada: Account) -> str:
    return str(await give(database, ada, PAID, source="paid", ends=None))


async def test_a_refund_takes_what_is_left_out_of_the_wallet(
    admin: AsyncOperis, database: Database, ada: Account, paid: str
) -> None:
    part = await admin.refund_grant(ada.organization_id, paid, amount="0.4", reason="Asked by mail")
    assert (part.amount, part.account, part.wallet.available) == ("0.4", "refunds", "1.6")
    rest = await admin.refund_grant(ada.organization_id, paid, reason="And the rest")
    assert (rest.amount, rest.wallet.available) == ("0.6", "1")
    assert (await entries_of(database, ada))[-2:] == [
        ("refund", "wallet", -600_000_000, 10**9),
        ("refund", "refunds", 600_000_000, None),
    ]
    with refused(409, "refund_too_large") as refusal:
        await admin.refund_grant(ada.organization_id, paid, reason="Once more")
    assert refusal.error.facts["refundable"] == "0"
    audit = await database.fetch(
        "SELECT reason FROM audit_events WHERE action = 'grant.refund' AND target_id = $1 ORDER BY id", paid
    )
    assert [row["reason"] for row in audit] == ["Asked by mail", "And the rest"]
    assert await database.broken_invariants() == []


async def test_what_holds_draw_on_is_not_paid_back(
    admin: AsyncOperis, database: Database, ada: Account, paid: str
) -> None:
    async with open_holds(database) as holds:
        request = await hold_request(database, ada, quote_nano=PAID + 300)  # the welcome grant burns first
        await holds.place(request)
        with refused(409, "refund_too_large") as refusal:
            await admin.refund_grant(ada.organization_id, paid, amount="1", reason="Too much")
        assert refusal.error.facts["refundable"] == "0.9999997"
        assert refusal.error.facts["held"] == "0.0000003"
        assert (await admin.refund_grant(ada.organization_id, paid, reason="All there is")).amount == "0.9999997"
    assert await database.broken_invariants() == []


async def test_twenty_refunds_at_once_pay_back_once(
    admin: AsyncOperis, database: Database, ada: Account, paid: str
) -> None:
    answers = await asyncio.gather(
        *(admin.refund_grant(ada.organization_id, paid, amount="0.6", reason=f"Try {nth}") for nth in range(20)),
        return_exceptions=True,
    )
    refusals = [answer for answer in answers if isinstance(answer, ApiError)]
    assert ({refusal.code for refusal in refusals}, len(refusals)) == ({"refund_too_large"}, 19)
    assert await ada.available() == "1.4"
    assert await database.broken_invariants() == []


async def test_the_same_idempotency_key_replays_the_refund(admin: AsyncOperis, ada: Account, paid: str) -> None:
    answers = [
        await admin.refund_grant(ada.organization_id, paid, amount="0.1", reason="Once", idempotency_key=paid)
        for _ in range(3)
    ]
    assert len({answer.posting_id for answer in answers}) == 1
    assert await ada.available() == "1.9"


async def test_only_a_paid_grant_of_that_wallet_is_paid_back(
    admin: AsyncOperis, database: Database, ada: Account, paid: str
) -> None:
    gift = str(await give(database, ada, 500))
    with refused(409, "not_refundable"):
        await admin.refund_grant(ada.organization_id, gift, reason="A gift")
    with refused(404, "not_found"):
        await admin.refund_grant(ada.organization_id, str(UUID(int=7)), reason="Which?")
    with refused(404, "not_found"):
        await admin.refund_grant(str(UUID(int=7)), paid, reason="Whose?")
    with refused(403, "forbidden"):
        await ada.client.refund_grant(ada.organization_id, paid, reason="Mine")


async def test_what_has_ended_is_not_paid_back(admin: AsyncOperis, database: Database, ada: Account, paid: str) -> None:
    await end_grant(database, UUID(paid))
    with refused(409, "refund_too_large"):
        await admin.refund_grant(ada.organization_id, paid, reason="Late")
    await run_expiry(database)
    assert await ada.available() == "1"


@pytest.mark.parametrize(
    ("amount", "reason"), [("0", "Why"), ("-1", "Why"), ("x", "Why"), ("1e3", "Why"), ("0.1", "  "), ("0.1", "x" * 501)]
)
async def test_a_refund_needs_an_amount_that_is_one_and_a_reason(
    admin: AsyncOperis, ada: Account, paid: str, amount: str, reason: str
) -> None:
    with refused(422, "invalid_field"):
        await admin.refund_grant(ada.organization_id, paid, amount=amount, reason=reason)
    with refused(409, "refund_too_large"):
        await admin.refund_grant(ada.organization_id, paid, amount="9999999999", reason="Everything")


async def test_money_goes_back_to_the_account_it_came_from(
    admin: AsyncOperis, database: Database, ada: Account
) -> None:
    deposit = Movement(kind="deposit", account="cash:bank", reason="Transfer", actor_id=None)
    async with open_sessions(database) as sessions, sessions.begin() as session:
        grant = await credit_wallet(session, UUID(ada.organization_id), deposit, amount_nano=PAID, source="paid")
    refund = await admin.refund_grant(ada.organization_id, str(grant), reason="Asked")
    assert refund.account == "cash:bank"
    assert await database.broken_invariants() == []
