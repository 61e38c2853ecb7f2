"""How amounts, counts and times are written. Short for reading, exact on hover; never a float near money."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NOTHING = "\N{EN DASH}"
"""Stands where a value is unknown or does not apply."""
MINUS = "\N{MINUS SIGN}"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SMALL_DIGITS = 3
_SPANS = (86_400, 3600, 60, 1)
_SPAN_UNITS = {"en": ("d", "h", "min", "s"), "vi": ("ngày", "giờ", "phút", "giây")}


@dataclass(frozen=True)
class Shown:
    """A value as a page writes it: `text` to read, `exact` on hover."""

    text: str = ""
    exact: str = ""


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@dataclass(frozen=True)
class Writer:
    """Writes for one reader: their language and their time zone."""

    language: str = "en"
    zone: str = "UTC"

    @staticmethod
    def known_zone(name: str | None) -> str:
        """Return the zone's name if this machine knows it, else UTC. Browsers send it percent-encoded."""
        name = (name or "").replace("%2F", "/").replace("%2B", "+")
        return name if name and _zone(name) else "UTC"

    def money(self, amount: str | None, *, signed: bool = False) -> Shown:
        """Write credits: two decimals from one credit on, three significant digits below.

        Cut, not rounded up: what is shown as available is there.
        """
        if amount is None:
            return Shown(NOTHING, "")
        value = Decimal(amount)
        sign = MINUS if value < 0 else "+" if signed and value > 0 else ""
        return Shown(sign + self._localized(_shorten(abs(value))), exact(amount))

    def price(self, amount: str | None) -> Shown:
        """Write credits per million with all their digits, at least two decimals."""
        if amount is None:
            return Shown(NOTHING, "")
        text = exact(amount)
        decimals = len(text.partition(".")[2])
        return Shown(self._localized(text if decimals >= 2 else f"{Decimal(amount):.2f}"), text)

    def margin(self, price: str, cost: str | None) -> str:
        """Write how much of a price is left after its cost, in whole per cent."""
        if cost is None or not Decimal(price):
            return NOTHING
        return f"{(Decimal(price) - Decimal(cost)) * 100 / Decimal(price):.0f} %".replace("-", MINUS)

    def count(self, number: int) -> str:
        return self._localized(str(number))

    def number(self, plain: str) -> str:
        """Write a decimal string as it is, in the reader's separators."""
        return self._localized(exact(plain))

    def moment(self, at: datetime | None) -> Shown:
        if at is None:
            return Shown(NOTHING, "")
        local = at.astimezone(_zone(self.zone) or UTC)
        year = "" if local.year == datetime.now(local.tzinfo).year else f" {local.year}"
        return Shown(f"{self._day(local)}{year}, {local:%H:%M}", local.isoformat(sep=" ", timespec="milliseconds"))

    def clock(self, at: datetime | None) -> Shown:
        """Write a moment of today by its time alone, to the second."""
        if at is None:
            return Shown(NOTHING, "")
        local = at.astimezone(_zone(self.zone) or UTC)
        return Shown(f"{local:%H:%M:%S}", local.isoformat(sep=" ", timespec="milliseconds"))

    def day(self, at: date) -> str:
        return self._day(at)

    def milliseconds(self, duration_ms: int | None) -> str:
        if duration_ms is None:
            return NOTHING
        if duration_ms < 1000:
            return f"{duration_ms} ms"
        return self._localized(f"{Decimal(duration_ms) / 1000:.2f}") + " s"

    def span(self, seconds: int) -> str:
        """Write a length of time by its two largest units."""
        parts: list[str] = []
        left = max(seconds, 0)
        for length, unit in zip(_SPANS, _SPAN_UNITS[self.language], strict=True):
            count, left = divmod(left, length)
            if count or (length == 1 and not parts):
                parts.append(f"{count} {unit}")
        return " ".join(parts[:2])

    def today(self) -> date:
        return datetime.now(_zone(self.zone) or UTC).date()

    def midnight(self, day: date) -> datetime:
        """Return the instant at which a day begins for the reader."""
        return datetime(day.year, day.month, day.day, tzinfo=_zone(self.zone) or UTC)

    def begin_of(self, day: str, *, after: bool = False) -> datetime | None:
        """Return when a day like 2027-01-31 begins for the reader, or the day after it; None for no such day."""
        try:
            return self.midnight(date.fromisoformat(day) + timedelta(days=1 if after else 0))
        except (ValueError, OverflowError):
            return None

    def instant(self, local: str) -> datetime:
        """Return when the reader's clock shows `local`. Raises ValueError for what is no time."""
        return datetime.fromisoformat(local).replace(tzinfo=_zone(self.zone) or UTC)

    def _day(self, at: date) -> str:
        return f"{at.day}/{at.month}" if self.language == "vi" else f"{_MONTHS[at.month - 1]} {at.day}"

    def _localized(self, plain: str) -> str:
        whole, point, fraction = plain.partition(".")
        grouped = f"{int(whole):,}"
        if self.language == "vi":
            return grouped.replace(",", ".") + ("," if point else "") + fraction
        return grouped + point + fraction


def exact(amount: str) -> str:
    """Return a decimal string without exponent and without trailing zeros."""
    text = format(Decimal(amount), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(part: str, whole: str) -> int:
    """Return how many per mille of `whole` `part` is, for the length of a bar."""
    total = Decimal(whole)
    return int(Decimal(part) * 1000 / total) if total else 0


def ceiling(amounts: list[str]) -> str:
    """Return a round number that none of the amounts exceeds, for the top of a chart's scale."""
    highest = max((Decimal(amount) for amount in amounts), default=Decimal(0))
    if highest <= 0:
        return "0"
    magnitude = Decimal(10) ** highest.adjusted()
    step = next(step for step in (1, 2, 4, 5, 10) if step * magnitude >= highest)
    return exact(str(step * magnitude))


def _shorten(value: Decimal) -> str:
    if value == 0:
        return "0.00"
    places = 2 if value >= 1 else max(2, _SMALL_DIGITS - 1 - value.adjusted())
    text = format(value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_DOWN), "f")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
