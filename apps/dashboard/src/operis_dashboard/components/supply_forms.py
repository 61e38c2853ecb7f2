"""The forms of an upstream: adding one, and changing its name, address or first credential."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components import dialogs
from operis_dashboard.components.controls import alert, field, select, submit, text_input
from operis_dashboard.supplying import UpstreamRow
from operis_dashboard.wording import t


def adding_form(
    *, protocol: rx.Var[str], failure: rx.Var[str], busy: rx.Var[bool], on_protocol: Any, on_add: Any
) -> rx.Component:
    anthropic = protocol == "anthropic"
    return rx.el.form(
        alert(failure),
        field(
            t("upstreams.name"),
            text_input("name", required=True, max_length=80, auto_complete="off", placeholder="OpenAI"),
            name="name",
        ),
        field(
            t("upstreams.protocol"),
            select(
                "protocol",
                [("openai", "OpenAI"), ("anthropic", "Anthropic")],
                on_change=on_protocol,
                aria_describedby="protocol-hint",
            ),
            name="protocol",
            hint=rx.cond(anthropic, t("upstreams.anthropic_hint"), t("upstreams.openai_hint")),
        ),
        field(
            t("upstreams.base_url"),
            text_input(
                "base_url",
                type="url",
                required=True,
                auto_complete="off",
                placeholder=rx.cond(anthropic, "https://api.anthropic.com", "https://api.openai.com/v1"),
                aria_describedby="base_url-hint",
            ),
            name="base_url",
            hint=rx.cond(anthropic, t("upstreams.base_url_bare"), t("upstreams.base_url_hint")),
        ),
        field(
            t("upstreams.api_key"),
            text_input("api_key", type="password", required=True, auto_complete="off"),
            name="api_key",
        ),
        dialogs.buttons(dialogs.cancel(), submit(t("upstreams.add"), busy=busy)),
        on_submit=on_add,
        method="post",
        action="/_auth/nojs",
        class_name="flex flex-col gap-4",
    )


def changing_form(
    shown: rx.Var[UpstreamRow], *, busy: rx.Var[bool], forms: rx.Var[int], on_change: Any
) -> rx.Component:
    """Change what an upstream is; `forms` counts what was sent, so that what was taken is drawn anew."""
    return rx.el.form(
        field(
            t("upstreams.name"),
            text_input("new_name", required=True, max_length=80, auto_complete="off", default_value=shown.name),
            name="new_name",
        ),
        field(
            t("upstreams.base_url"),
            text_input(
                "new_base_url",
                type="url",
                required=True,
                auto_complete="off",
                default_value=shown.base_url,
                aria_describedby="new_base_url-hint",
            ),
            name="new_base_url",
            hint=t("upstreams.new_address_hint"),
        ),
        field(
            t("upstreams.api_key"),
            text_input("new_api_key", type="password", auto_complete="off", aria_describedby="new_api_key-hint"),
            name="new_api_key",
            hint=t("upstreams.kept_key_hint"),
        ),
        dialogs.buttons(submit(t("action.save"), busy=busy, look=theme.BUTTON_OUTLINE)),
        key=forms.to_string(),
        on_submit=on_change,
        method="post",
        action="/_auth/nojs",
        class_name="flex flex-col gap-4",
    )
