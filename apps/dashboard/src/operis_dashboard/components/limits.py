"""The form fields of every limit that a key, a member or an organization may have."""

import reflex as rx
from reflex_base.vars.object import ObjectVar

from operis_dashboard.components.controls import field, text_input
from operis_dashboard.keyring import BUDGETS, COUNTS
from operis_dashboard.wording import t


def limit_fields(draft: ObjectVar[dict[str, str]]) -> rx.Component:
    """Offer each limit by its name; `draft` holds the first values, empty for none."""
    return rx.el.div(
        *(_limit(name, "decimal", draft) for name in BUDGETS),
        *(_limit(name, "numeric", draft) for name in COUNTS),
        class_name="grid grid-cols-1 gap-3 sm:grid-cols-2",
    )


def _limit(name: str, mode: str, draft: ObjectVar[dict[str, str]]) -> rx.Component:
    return field(
        t(f"limit.{name}"),
        text_input(
            name, input_mode=mode, auto_complete="off", placeholder=t("keys.unlimited"), default_value=draft[name]
        ),
        name=name,
    )
