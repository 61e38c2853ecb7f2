"""An upstream from inside: how it is, what a test found, its credentials, the models it serves."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components.cards import facts
from operis_dashboard.components.controls import submit
from operis_dashboard.components.display import badge, moment, quiet_badge
from operis_dashboard.supplying import CredentialRow, ResultRow, ServedRow, UpstreamRow
from operis_dashboard.wording import t


def health_facts(shown: rx.Var[UpstreamRow]) -> rx.Component:
    return rx.fragment(
        rx.el.div(badge(shown.status), quiet_badge(shown.protocol), class_name="flex gap-1"),
        rx.cond(
            shown.builtin,
            rx.el.p(t("upstreams.builtin"), class_name="text-sm text-muted-foreground"),
            facts(
                (t("upstreams.checked"), moment(shown.checked)),
                (t("upstreams.check_latency"), rx.el.span(shown.latency, class_name=theme.NUMBER)),
                (t("upstreams.resting_until"), moment(shown.resting_until)),
                (t("upstreams.failures"), rx.el.span(shown.failures, class_name=theme.NUMBER)),
            ),
        ),
        _error(t("upstreams.check_error"), shown.check_error),
        _error(t("upstreams.last_error"), shown.last_error, moment(shown.last_error_at)),
    )


def test_result(result: rx.Var[ResultRow]) -> rx.Component:
    return rx.cond(
        result.ok,
        rx.el.div(
            rx.el.p(
                rx.icon("circle-check", size=16, class_name="shrink-0"),
                t("upstreams.result_ok", latency=result.latency, models=result.models.length()),
                class_name="flex items-center gap-2 font-medium",
            ),
            rx.cond(
                result.models.length() > 0,
                rx.el.p(
                    result.models.join(", "),
                    tab_index=0,
                    class_name="max-h-28 overflow-y-auto font-mono text-xs break-words rounded-sm " + theme.FOCUS,
                ),
                rx.fragment(),
            ),
            role="status",
            class_name="flex flex-col gap-1.5 rounded bg-success-soft px-3 py-2 text-sm text-success",
        ),
        rx.el.div(
            rx.icon("circle-alert", size=16, class_name="mt-0.5 shrink-0"),
            rx.el.span(t("upstreams.result_failed", latency=result.latency, error=result.error), class_name="min-w-0"),
            role="alert",
            class_name="flex items-start gap-2 rounded bg-destructive-soft px-3 py-2 text-sm break-words "
            "text-destructive",
        ),
    )


def credentials(
    rows: rx.Var[list[CredentialRow]],
    *,
    removing: rx.Var[str],
    on_ask: Any,
    on_remove: Any,
    on_add: Any,
    busy: rx.Var[bool],
    forms: rx.Var[int],
) -> rx.Component:
    """List the credentials by their last four, take away the further ones, and add one more."""

    def line(row: rx.Var[CredentialRow]) -> rx.Component:
        return rx.el.li(
            rx.el.div(
                rx.el.span(row.last_four, class_name="font-mono text-[13px]"),
                moment(row.since),
                class_name="flex items-baseline gap-4",
            ),
            rx.cond(
                row.id == "",
                quiet_badge(t("upstreams.first_key")),
                rx.cond(
                    removing == row.id,
                    rx.el.div(
                        rx.el.span(
                            t("upstreams.remove_key_title", last_four=row.last_four), class_name="text-sm font-medium"
                        ),
                        rx.el.button(
                            t("action.cancel"), type="button", on_click=on_ask(""), class_name=theme.BUTTON_SMALL
                        ),
                        rx.el.button(
                            t("upstreams.remove_key"),
                            type="button",
                            disabled=busy,
                            on_click=on_remove,
                            class_name=theme.BUTTON_SMALL_DANGER,
                        ),
                        class_name="flex flex-wrap items-center justify-end gap-2",
                    ),
                    rx.el.button(
                        t("upstreams.remove_key"),
                        rx.el.span(row.last_four, class_name="sr-only"),
                        type="button",
                        on_click=on_ask(row.id),
                        class_name=theme.BUTTON_SMALL,
                    ),
                ),
            ),
            class_name="flex min-h-12 flex-wrap items-center justify-between gap-x-4 gap-y-2 border-b border-border "
            "py-2 text-sm",
        )

    return _section(
        t("upstreams.keys"),
        t("upstreams.keys_text"),
        rx.el.ul(rx.foreach(rows, line)),
        rx.el.form(
            rx.el.input(
                id="further_key",
                name="further_key",
                type="password",
                required=True,
                auto_complete="off",
                placeholder=t("upstreams.further_key"),
                aria_label=t("upstreams.further_key"),
                class_name=theme.INPUT,
            ),
            submit(t("upstreams.add_key"), busy=busy, look=theme.BUTTON_OUTLINE + " shrink-0"),
            key=forms.to_string(),
            on_submit=on_add,
            method="post",
            action="/_auth/nojs",
            class_name="flex gap-2 pt-1",
        ),
    )


def served_models(rows: rx.Var[list[ServedRow]], *, on_share: Any, fixed: rx.Var[bool]) -> rx.Component:
    """List the models that it serves, with its weight and priority in each."""

    def line(row: rx.Var[ServedRow]) -> rx.Component:
        return rx.el.li(
            rx.el.div(
                rx.el.p(row.model, class_name="text-sm font-medium break-all"),
                rx.el.p(row.upstream_model, class_name="text-xs text-muted-foreground break-all"),
                class_name="min-w-0 flex-1 basis-40",
            ),
            rx.cond(
                fixed,
                rx.fragment(),
                rx.el.form(
                    rx.el.input(type="hidden", name="link_id", value=row.link_id),
                    _number("weight", t("upstreams.weight"), row.model, row.weight),
                    _number("priority", t("upstreams.priority"), row.model, row.priority),
                    rx.el.button(t("action.save"), type="submit", class_name=theme.BUTTON_OUTLINE),
                    on_submit=on_share,
                    class_name="flex items-end gap-2",
                ),
            ),
            key=row.link_id,
            class_name="flex flex-wrap items-center justify-between gap-3 border-b border-border py-2.5 last:border-0",
        )

    return _section(
        t("upstreams.served"),
        t("upstreams.served_text"),
        rx.cond(
            rows.length() > 0,
            rx.el.ul(rx.foreach(rows, line)),
            rx.el.p(t("upstreams.serves_none"), class_name="text-sm text-muted-foreground"),
        ),
    )


def _number(name: str, label: rx.Var[str], model: rx.Var[str], value: rx.Var[str]) -> rx.Component:
    return rx.el.label(
        rx.el.span(label, rx.el.span(" ", model, class_name="sr-only"), class_name="text-xs text-muted-foreground"),
        rx.el.input(
            name=name,
            type="number",
            min=1 if name == "weight" else 0,
            max=1000,
            step=1,
            required=True,
            default_value=value,
            class_name=theme.INPUT + " w-20 tabular-nums",
        ),
        class_name="flex flex-col gap-1",
    )


def _error(name: rx.Var[str], error: rx.Var[str], at: rx.Component | None = None) -> rx.Component:
    return rx.cond(
        error != "",
        rx.el.div(
            rx.el.p(name, " ", at if at is not None else rx.fragment(), class_name="text-xs text-muted-foreground"),
            rx.el.p(error, class_name="font-mono text-xs break-words"),
            class_name="flex flex-col gap-1 rounded border border-border bg-muted px-3 py-2",
        ),
        rx.fragment(),
    )


def _section(title: rx.Var[str], text: rx.Var[str], *children: rx.Component) -> rx.Component:
    return rx.el.section(
        rx.el.h3(title, class_name="text-sm font-medium"),
        rx.el.p(text, class_name=theme.HINT),
        *children,
        class_name="flex min-w-0 flex-col gap-1.5",
    )
