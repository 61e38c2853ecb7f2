"""`operis price import`: shows what a price file would change, asks, and applies exactly what was shown."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from operis_api.admin.price_files import read_price_file
from operis_api.admin.price_import import apply_import, review_import
from operis_api.admin.prices import IMPORT_BYTES_MAX, read_begin
from operis_api.admin.schemas import ImportFormat, ImportPricesBody, PriceChange, PriceImport
from operis_api.bootstrap import open_sessions
from operis_api.kit.errors import InvalidField
from operis_api.kit.ids import new_id
from operis_api.kit.origin import Origin
from operis_api.settings import Settings


def guess_format(name: str, text: str) -> ImportFormat:
    """Tell our own formats by their ending or first sign; anything else is LiteLLM's."""
    if name.endswith(".csv") or text.startswith("model_id"):
        return "csv"
    return "json" if text.lstrip()[:1] == "[" else "litellm"


async def import_prices(
    settings: Settings, body: ImportPricesBody, *, echo: Callable[[str], None], confirm: Callable[[str], bool] | None
) -> int:
    """Return how many versions were added; without `confirm` the diff is only shown."""
    if len(body.file.encode()) > IMPORT_BYTES_MAX:
        raise InvalidField("file", f"use at most {IMPORT_BYTES_MAX} bytes.")
    listed = read_price_file(body.format, body.file)
    async with open_sessions(settings) as sessions:
        async with sessions() as session:
            review = await review_import(session, body, listed, read_begin(body.effective_from, datetime.now(UTC)))
        for line in _write(review):
            echo(line)
        if confirm is None or not any(change.status in {"new", "changed"} for change in review.changes):
            return 0
        if not confirm("Apply this?"):
            return 0
        origin = Origin(actor_id=None, address=None, agent="operis", request_id=str(new_id()))
        reviewed = msgspec.structs.replace(body, plan=review.plan)
        async with sessions.begin() as session:
            now = datetime.now(UTC)
            begin = read_begin(body.effective_from, now)
            applied = await apply_import(session, origin, reviewed, listed, begin=begin, now=now)
    echo(f"{applied.added} prices were added.")
    return applied.added


def _write(review: PriceImport) -> list[str]:
    lines = [line for change in review.changes for line in _write_change(change)]
    return [*lines, f"{review.unused} further models of the file are not ours."]


def _write_change(change: PriceChange) -> list[str]:
    named = f" ({change.source})" if change.source not in {None, change.model_id} else ""
    return [
        f"{change.status:9} {change.model_id}{named}{': ' + change.why if change.why else ''}",
        *(
            f"            {field.field}: {field.before or '-'} -> {field.after or '-'}"
            f"{' (' + field.percent + ' %)' if field.percent else ''}"
            for field in change.fields
        ),
        *(f"          ! {flag}: name it with --model to apply it" for flag in change.flags),
        *(f"            not imported: {key}" for key in change.ignored),
    ]
