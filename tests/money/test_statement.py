"""A wallet's lines, for its owner as a list and as a file, and for operators over all organizations."""

import csv
import io
from datetime import UTC, datetime, timedelta
from uuid import UUID

from operis_api.ledger.postings import Movement, credit_wallet
from operis_client import AsyncOperis
from tests.factories import Account, mint
from tests.money.moving import hold_request, open_holds, open_sessions, settlement
from tests.refusing import refused
from tests.running import NANO_MODEL, Api, Database


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


async def charge(database: Database, account: Account, charge_nano: int) -> str:
    async with open_holds(database) as holds:
        request = await hold_request(database, account, quote_nano=1000)
        await holds.place(request)
        await holds.settle(settlement(request, charge_nano=charge_nano))
    return str(request.hold_id)


async def test_lines_name_the_request_and_its_model_of_charges_and_of_reversals(
    admin: AsyncOperis, database: Database, ada: Account
) -> None:
    request_id = await charge(database, ada, 700)
    await admin.reverse_charge(ada.organization_id, request_id, reason="Cut off")
    reversal, charged, welcome = (await ada.client.list_wallet_entries()).items
    assert (reversal.kind, reversal.request_id, reversal.model) == ("reversal", request_id, NANO_MODEL)
    assert (charged.kind, charged.request_id, charged.model) == ("charge", request_id, NANO_MODEL)
    assert (welcome.kind, welcome.request_id, welcome.model) == ("welcome", None, None)


async def test_the_statement_is_every_line_with_the_balance_after_it(database: Database, ada: Account) -> None:
    request_id = await charge(database, ada, 700)
    rows = rows_of(await ada.client.get_wallet_statement())
    assert [(row["line"], row["kind"], row["amount"], row["balance"]) for row in rows] == [
        ("1", "welcome", "1", "1"),
        ("2", "charge", "-0.0000007", "0.9999993"),
    ]
    assert (rows[1]["request"], rows[1]["model"]) == (request_id, NANO_MODEL)


async def test_a_statement_of_more_lines_than_are_read_at_once_is_whole(database: Database, ada: Account) -> None:
    gift = Movement(kind="gift", account="promotions", reason="", actor_id=None)
    async with open_sessions(database) as sessions, sessions.begin() as session:
        for _ in range(2100):
            await credit_wallet(session, UUID(ada.organization_id), gift, amount_nano=1, source="bonus")
    rows = rows_of(await ada.client.get_wallet_statement())
    assert [int(row["line"]) for row in rows] == list(range(1, 2102))


async def test_words_that_a_spreadsheet_would_run_are_made_harmless(admin: AsyncOperis, ada: Account) -> None:
    for reason in ("=1+1", "+1", "-1", "@SUM(A1)", "  =1", 'a "quoted", word\nand a line'):
        await admin.adjust_wallet(ada.organization_id, amount="1", reason=reason)
    found = [row["description"] for row in rows_of(await ada.client.get_wallet_statement())][1:]
    assert found == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'=1", 'a "quoted", word\nand a line']


async def test_a_statement_has_a_beginning_and_an_end(admin: AsyncOperis, ada: Account) -> None:
    now = datetime.now(UTC)
    assert rows_of(await ada.client.get_wallet_statement(to=now - timedelta(days=1))) == []
    assert len(rows_of(await ada.client.get_wallet_statement(from_=now - timedelta(days=1)))) == 1
    with refused(422, "invalid_field"):
        await ada.client.get_wallet_statement(from_=now, to=now)
    with refused(422, "invalid_field"):
        await ada.client.get_wallet_statement(from_=now.replace(tzinfo=None))


async def test_lines_are_paged(admin: AsyncOperis, ada: Account) -> None:
    for _ in range(3):
        await admin.adjust_wallet(ada.organization_id, amount="1", reason="More")
    first = await ada.client.list_wallet_entries(limit=2)
    rest = await ada.client.list_wallet_entries(limit=2, after=first.next)
    assert [line.sequence for line in (*first.items, *rest.items)] == [4, 3, 2, 1]
    assert rest.next is None


async def test_operators_read_postings_with_their_entries(admin: AsyncOperis, database: Database, ada: Account) -> None:
    request_id = await charge(database, ada, 1500)  # 500 of it are platform loss
    await admin.adjust_wallet(ada.organization_id, amount="-0.5", reason="A fine")
    items = (await admin.list_ledger_postings(organization_id=ada.organization_id)).items
    assert [posting.kind for posting in items] == ["adjustment", "charge", "welcome"]
    assert [(entry.account, entry.amount) for entry in items[1].entries] == [
        ("platform_loss", "-0.0000005"),
        ("revenue", "0.0000015"),
        ("wallet", "-0.000001"),
    ]
    assert (items[1].id, items[0].reason) == (request_id, "A fine")
    assert [entry.sequence for entry in items[1].entries] == [None, None, 2]
    only = (await admin.list_ledger_postings(organization_id=ada.organization_id, kind="adjustment")).items
    assert [posting.id for posting in only] == [items[0].id]
    day = timedelta(days=1)
    now = datetime.now(UTC)
    assert (await admin.list_ledger_postings(organization_id=ada.organization_id, to=now - day)).items == []
    assert (await admin.list_ledger_postings(organization_id=ada.organization_id, from_=now + day)).items == []
    window = await admin.list_ledger_postings(organization_id=ada.organization_id, from_=now - day, to=now + day)
    assert len(window.items) == 3


async def test_postings_are_paged_in_the_order_they_were_written(admin: AsyncOperis, ada: Account) -> None:
    for nth in range(4):
        await admin.adjust_wallet(ada.organization_id, amount="1", reason=f"No {nth}")
    found: list[str] = []
    after: str | None = None
    while True:
        page = await admin.list_ledger_postings(organization_id=ada.organization_id, limit=2, after=after)
        found += [posting.reason for posting in page.items if posting.kind == "adjustment"]
        if (after := page.next) is None:
            break
    assert found == ["No 3", "No 2", "No 1", "No 0"]
    with refused(422, "invalid_field"):
        await admin.list_ledger_postings(after="nonsense")
    with refused(403, "forbidden"):
        await ada.client.list_ledger_postings()


async def test_operators_see_open_holds_with_whose_they_are(
    admin: AsyncOperis, api: Api, database: Database, ada: Account
) -> None:
    await mint(ada)
    async with open_holds(database) as holds:
        first, second = [await hold_request(database, ada, quote_nano=100 + nth) for nth in range(2)]
        for request in (first, second):
            await holds.place(request)
        page = await admin.list_holds(organization_id=ada.organization_id, limit=1)
        assert page.next is not None
        rest = await admin.list_holds(organization_id=ada.organization_id, limit=1, after=page.next)
        assert rest.next is None
        shown = [*page.items, *rest.items]
        assert [(hold.id, hold.amount, hold.user_email, hold.model) for hold in shown] == [
            (str(first.hold_id), "0.0000001", ada.email, NANO_MODEL),
            (str(second.hold_id), "0.000000101", ada.email, NANO_MODEL),
        ]
        assert not shown[0].lapsed
        assert 0 <= shown[0].age_seconds < 60
        await holds.settle(settlement(first, charge_nano=0))
        await holds.settle(settlement(second, charge_nano=0))
    assert (await admin.list_holds(organization_id=ada.organization_id)).items == []
    with refused(403, "forbidden"):
        await ada.client.list_holds()


async def test_lines_and_the_statement_are_narrowed_by_kind_and_time(
    admin: AsyncOperis, database: Database, ada: Account
) -> None:
    request_id = await charge(database, ada, 700)
    await admin.adjust_wallet(ada.organization_id, amount="1", reason="More")
    client, day, now = ada.client, timedelta(days=1), datetime.now(UTC)
    assert [line.request_id for line in (await client.list_wallet_entries(kind="charge")).items] == [request_id]
    assert [line.reason for line in (await client.list_wallet_entries(kind="adjustment")).items] == ["More"]
    assert (await client.list_wallet_entries(kind="nonsense")).items == []
    assert (await client.list_wallet_entries(to=now - day)).items == []
    assert len((await client.list_wallet_entries(from_=now - day, to=now + day)).items) == 3
    assert [row["line"] for row in rows_of(await client.get_wallet_statement(kind="adjustment"))] == ["3"]
    with refused(422, "invalid_field"):
        await client.list_wallet_entries(from_=now, to=now - day)


async def test_a_statement_comes_piece_by_piece_too(ada: Account) -> None:
    async with ada.client.stream_wallet_statement(kind="welcome") as pieces:
        text = b"".join([piece async for piece in pieces]).decode()
    assert [row["amount"] for row in rows_of(text)] == ["1"]
    with refused(400, "invalid_request"):
        async with ada.client.stream_wallet_statement(kind="x" * 25):
            raise AssertionError("it was opened")
