"""Code and secrets, to be copied."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components.controls import copy_button, segments
from operis_dashboard.snippets import Snippets
from operis_dashboard.wording import t


def code_block(code: rx.Var[str]) -> rx.Component:
    return rx.el.div(
        rx.el.pre(
            rx.el.code(code),
            tab_index=0,
            class_name="min-w-0 flex-1 overflow-x-auto rounded px-4 py-3 font-mono text-[13px] leading-relaxed "
            + theme.FOCUS,
        ),
        rx.el.button(
            rx.icon("copy", size=14),
            type="button",
            aria_label=t("action.copy"),
            title=t("action.copy"),
            on_click=[rx.set_clipboard(code), rx.toast.success(t("toast.copied"))],
            class_name=theme.BUTTON_ICON + " m-1.5 size-8 shrink-0 hover:bg-card",
        ),
        class_name="flex min-w-0 items-start rounded border border-border bg-muted",
    )


def snippet_tabs(snippets: rx.Var[Snippets], *, chosen: rx.Var[str], on_choose: Any) -> rx.Component:
    """Show one of the languages' snippets, with a switch."""
    return rx.el.div(
        segments(
            [("curl", "curl"), ("python", "Python"), ("javascript", "JavaScript"), ("anthropic", "Anthropic")],
            chosen=chosen,
            on_choose=on_choose,
            label=t("snippets.label"),
        ),
        rx.match(
            chosen,
            ("python", code_block(snippets.python)),
            ("javascript", code_block(snippets.javascript)),
            ("anthropic", code_block(snippets.anthropic)),
            code_block(snippets.curl),
        ),
        class_name="flex min-w-0 flex-col gap-3",
    )


def secret_box(secret: rx.Var[str], *, label: rx.Var[str]) -> rx.Component:
    """Show a secret in full, the one time that it can be seen."""
    return rx.el.div(
        rx.el.input(
            id="secret",
            value=secret,
            read_only=True,
            aria_label=label,
            class_name=theme.INPUT + " font-mono text-[13px]",
        ),
        copy_button(secret, look=theme.BUTTON + " shrink-0"),
        class_name="flex gap-2",
    )
