"""What amounts, times and charts look like."""

from datetime import UTC, datetime, timedelta

import pytest

from operis_client.models import UsageBucket
from operis_dashboard.charts import draw_days
from operis_dashboard.formatting import Writer, ceiling, exact, share

ENGLISH, VIETNAMESE = Writer("en", "UTC"), Writer("vi", "Asia/Ho_Chi_Minh")


@pytest.mark.parametrize(
    ("amount", "short"),
    [
        ("0", "0.00"),
        ("1", "1.00"),
        ("0.999985", "0.999"),  # cut, not rounded up: this much is there
        ("0.000015", "0.000015"),
        ("0.0000975", "0.0000975"),
        ("0.000000001", "0.000000001"),
        ("12.349999999", "12.34"),
        ("1234567.8", "1,234,567.80"),
        ("-3.5", "\N{MINUS SIGN}3.50"),
        ("9007199254740993.000000001", "9,007,199,254,740,993.00"),
    ],
)
def test_money_is_short_to_read_and_exact_on_hover(amount: str, short: str) -> None:
    shown = ENGLISH.money(amount)
    assert (shown.text, shown.exact) == (short, amount)


def test_money_in_vietnamese_has_its_own_separators() -> None:
    assert VIETNAMESE.money("1234567.8").text == "1.234.567,80"
    assert VIETNAMESE.money("1234567.8").exact == "1234567.8"


def test_exact_amounts_lose_only_trailing_zeros() -> None:
    assert [exact(amount) for amount in ("1.500000000", "100", "1E-9", "-0.10")] == [
        "1.5",
        "100",
        "0.000000001",
        "-0.1",
    ]


def test_prices_keep_all_their_digits() -> None:
    assert [ENGLISH.price(price).text for price in ("2.5", "0.075", "10", None)] == [
        "2.50",
        "0.075",
        "10.00",
        "\N{EN DASH}",
    ]


def test_times_are_in_the_readers_zone_with_the_exact_value_on_hover() -> None:
    at = datetime(2024, 11, 23, 20, 1, 3, 123000, tzinfo=UTC)
    shown = Writer("en", "Asia/Ho_Chi_Minh").moment(at)
    assert shown.text == "Nov 24 2024, 03:01"
    assert shown.exact == "2024-11-24 03:01:03.123+07:00"


def test_an_unknown_zone_is_read_as_utc() -> None:
    assert Writer.known_zone("Mars/Olympus") == "UTC"
    assert Writer.known_zone("../../etc/passwd") == "UTC"
    assert Writer.known_zone("Asia%2FHo_Chi_Minh") == "Asia/Ho_Chi_Minh"


def test_a_margin_is_what_the_cost_leaves_of_the_price() -> None:
    assert ENGLISH.margin("10", "4") == "60 %"
    assert ENGLISH.margin("4", "10") == "\N{MINUS SIGN}150 %"
    assert ENGLISH.margin("10", None) == "\N{EN DASH}"


def test_a_charts_top_is_round_and_above_every_bar() -> None:
    assert [ceiling([amount]) for amount in ("0", "0.000132", "1", "3", "6", "101")] == [
        "0",
        "0.0002",
        "1",
        "4",
        "10",
        "200",
    ]
    assert share("0.5", "2") == 250


def test_a_span_is_written_by_its_two_largest_units() -> None:
    assert [ENGLISH.span(seconds) for seconds in (-1, 0, 59, 3600, 18_060, 90_061)] == [
        "0 s",
        "0 s",
        "59 s",
        "1 h",
        "5 h 1 min",
        "1 d 1 h",
    ]
    assert Writer("vi").span(18_000) == "5 giờ"


def test_a_chart_has_a_bar_for_every_day() -> None:
    today = ENGLISH.today()
    buckets = [_bucket(today.isoformat(), "2"), _bucket((today - timedelta(days=2)).isoformat(), "0.000000001")]
    chart = draw_days(
        buckets,
        days=7,
        writer=ENGLISH,
        value=lambda bucket: bucket.charge,
        write=lambda amount: ENGLISH.money(amount).text,
        total="2.00",
    )
    heights = [bar.height for bar in chart.bars]
    assert heights == ["0.0%", "0.0%", "0.0%", "0.0%", "1.2%", "0.0%", "100.0%"]  # the least charge is still seen
    assert chart.bars[-1].tip.endswith(": 2.00")
    assert (chart.top, chart.middle) == ("2.00", "1.00")


def _bucket(day: str, charge: str) -> UsageBucket:
    return UsageBucket(
        bucket=day, label=day, requests=1, failed_requests=0, input_tokens=1, output_tokens=1, charge=charge
    )
