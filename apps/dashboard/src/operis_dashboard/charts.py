"""What a bar chart shows, computed exactly: heights are shares of a round top, so no amount becomes a float."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from operis_client.models import UsageBucket
from operis_dashboard.formatting import Writer, ceiling, share


@dataclass(frozen=True)
class Bar:
    tip: str = ""
    height: str = "0%"


@dataclass(frozen=True)
class Chart:
    bars: list[Bar] = field(default_factory=list)
    top: str = ""
    """What the highest line of the scale stands for."""
    middle: str = ""
    first: str = ""
    last: str = ""
    empty: bool = True
    total: str = ""
    """The sum, in words for those who do not see the bars."""


def draw_days(
    buckets: list[UsageBucket],
    *,
    days: int,
    writer: Writer,
    value: Callable[[UsageBucket], str],
    write: Callable[[str], str],
    total: str,
) -> Chart:
    """Draw one bar per day up to today, days without usage included."""
    today = writer.today()
    known = {bucket.bucket[:10]: value(bucket) for bucket in buckets}
    dates = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    values = [known.get(day.isoformat(), "0") for day in dates]
    top = ceiling(values)
    return Chart(
        bars=[_bar(day, amount, top, writer, write) for day, amount in zip(dates, values, strict=True)],
        top=write(top) if top != "0" else "",
        middle=write(_half(top)) if top not in {"0", "1"} else "",
        first=writer.day(dates[0]),
        last=writer.day(today),
        empty=top == "0",
        total=total,
    )


def _bar(day: date, amount: str, top: str, writer: Writer, write: Callable[[str], str]) -> Bar:
    # An amount too small to see still gets a sliver, so that a day with calls never looks like one without.
    height = max(share(amount, top), 12 if amount.strip("0.") else 0)
    return Bar(tip=f"{writer.day(day)}: {write(amount)}", height=f"{height / 10}%")


def _half(top: str) -> str:
    return str(Decimal(top) / 2)
