"""The form of an API key: its name and expiry in sight, every narrowing behind its name."""

from typing import Any

import reflex as rx
from reflex_base.vars.object import ObjectVar

from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, choice, disclosure, field, select, submit, text_input
from operis_dashboard.components.limits import limit_fields
from operis_dashboard.keyring import KEEP_EXPIRY, LIFETIMES_DAYS, SCOPES
from operis_dashboard.wording import t


def key_form(
    *,
    draft: ObjectVar[dict[str, str]],
    editing: rx.Var[bool],
    expiry: rx.Var[str],
    failure: rx.Var[str],
    busy: rx.Var[bool],
    models: rx.Var[list[str]],
    chosen_models: rx.Var[list[str]],
    on_model: Any,
    chosen_scopes: rx.Var[list[str]],
    on_scope: Any,
    service: rx.Var[bool],
    on_service: Any,
    forms: rx.Var[int],
    on_submit: Any,
) -> rx.Component:
    """Mint a key or change one; `draft` holds the first values, `chosen_...` what is ticked."""
    return rx.el.form(
        field(
            t("keys.name"),
            text_input(
                "key_name",
                required=True,
                max_length=80,
                placeholder=t("keys.name_example"),
                auto_complete="off",
                default_value=draft["name"],
            ),
            name="key_name",
        ),
        field(
            t("keys.expires"),
            rx.cond(
                editing,
                select("lifetime", [(KEEP_EXPIRY, t("keys.lifetime_keep", at=expiry)), *_lifetimes()]),
                select("lifetime", _lifetimes()),
            ),
            name="lifetime",
        ),
        disclosure(
            t("keys.limits"),
            limit_fields(draft),
            rx.el.p(t("keys.limits_hint"), class_name=theme.HINT + " mt-3"),
        ),
        disclosure(
            t("keys.models"),
            rx.el.div(
                rx.foreach(
                    models,
                    lambda model: choice(
                        model,
                        model,
                        checked=chosen_models.contains(model),
                        on_change=lambda _checked: on_model(model),
                    ),
                ),
                class_name="mb-3 grid max-h-40 grid-cols-1 gap-2 overflow-y-auto rounded border border-input p-3 "
                "sm:grid-cols-2",
            ),
            field(
                t("keys.patterns"),
                text_input(
                    "patterns",
                    auto_complete="off",
                    placeholder="openai/*",
                    default_value=draft["patterns"],
                    aria_describedby="patterns-hint",
                ),
                name="patterns",
                hint=t("keys.models_hint"),
            ),
        ),
        disclosure(
            t("keys.access"),
            rx.el.fieldset(
                rx.el.legend(t("keys.scopes"), class_name=theme.LABEL + " mb-1.5"),
                rx.el.div(
                    *(
                        choice(
                            scope,
                            rx.el.span(scope, class_name="font-mono text-[13px]"),
                            checked=chosen_scopes.contains(scope),
                            on_change=lambda _checked, scope=scope: on_scope(scope),
                        )
                        for scope in SCOPES
                    ),
                    class_name="grid grid-cols-1 gap-2 sm:grid-cols-2",
                ),
                rx.el.p(t("keys.scopes_hint"), class_name=theme.HINT + " mt-1.5"),
                class_name="mb-4",
            ),
            field(
                t("keys.cidrs"),
                rx.el.textarea(
                    id="cidrs",
                    name="cidrs",
                    rows="2",
                    placeholder="203.0.113.0/24",
                    default_value=draft["cidrs"],
                    aria_describedby="cidrs-hint",
                    class_name=theme.TEXTAREA + " resize-y font-mono",
                ),
                name="cidrs",
                hint=t("keys.cidrs_hint"),
            ),
            rx.cond(
                editing,
                rx.fragment(),
                rx.el.div(
                    choice("service", t("keys.service_wish"), checked=service, on_change=on_service),
                    rx.el.p(t("keys.service_hint"), class_name=theme.HINT),
                    class_name="mt-4 flex flex-col gap-1",
                ),
            ),
        ),
        alert(failure),
        dialogs.buttons(dialogs.cancel(), submit(rx.cond(editing, t("action.save"), t("keys.create")), busy=busy)),
        key=forms.to_string(),
        on_submit=on_submit,
        class_name="flex flex-col gap-4",
    )


def _lifetimes() -> list[tuple[str, Any]]:
    return [
        ("", t("keys.lifetime_never")),
        *((value, t("keys.lifetime_days", days=days)) for value, days in LIFETIMES_DAYS.items()),
    ]
