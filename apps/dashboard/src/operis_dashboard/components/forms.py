"""A form that the browser sends by itself."""

from typing import Any

from reflex_base.vars.base import Var
from reflex_components_core.el.elements.base import BaseHTML


class PlainForm(BaseHTML):
    """An HTML form. Reflex's own one stops every submission, also where no handler takes its place."""

    tag = "form"

    action: Var[str]
    method: Var[str]


def plain_form(*children: Any, action: str, **props: Any) -> PlainForm:
    return PlainForm.create(*children, action=action, method="post", **props)
