"""Price imports and multipliers as text."""

from dataclasses import dataclass
from dataclasses import field as default

from operis_client.models import PlanMultiplier, PriceChange, PriceField
from operis_dashboard.formatting import MINUS, NOTHING


@dataclass(frozen=True)
class ChangeRow:
    model: str = ""
    source: str = ""
    status: str = ""
    why: str = ""
    lines: list[str] = default(default_factory=list[str])
    flags: list[str] = default(default_factory=list[str])
    addable: bool = False


@dataclass(frozen=True)
class MultiplierRow:
    id: str = ""
    plan: str = ""
    model: str = ""
    multiplier: str = ""
    name: str = ""


def write_change(change: PriceChange) -> ChangeRow:
    return ChangeRow(
        model=change.model_id,
        source="" if change.source == change.model_id else change.source or "",
        status=change.status,
        why=change.why or "",
        lines=[_write_field(field) for field in change.fields],
        flags=change.flags,
        addable=change.status in {"new", "changed"},
    )


def write_multiplier(row: PlanMultiplier) -> MultiplierRow:
    return MultiplierRow(
        id=row.id,
        plan=row.plan_name,
        model=row.model_id or "",
        multiplier=row.multiplier,
        name=f"{row.plan_name}, {row.model_id}" if row.model_id else row.plan_name,
    )


def _write_field(field: PriceField) -> str:
    percent = f" ({field.percent.replace('-', MINUS)} %)" if field.percent else ""
    name = field.field.replace("_", " ")
    return f"{name}: {field.before or NOTHING} \N{RIGHTWARDS ARROW} {field.after or NOTHING}{percent}"
