"""Links: between our own pages without a page load, and within a page as the browser follows them."""

from typing import Any

import reflex as rx
from reflex_base.vars.base import Var
from reflex_components_core.el.elements.base import BaseHTML
from reflex_components_core.react_router.dom import ReactRouterLink


def page_link(*children: Any, href: Any, class_name: Any, **props: Any) -> rx.Component:
    return ReactRouterLink.create(*children, to=href, class_name=class_name, **props)


class PlainLink(BaseHTML):
    """An HTML link. Reflex's own one scrolls to a place of the page but leaves the focus where it was."""

    tag = "a"

    href: Var[str]


def file_link(*children: Any, href: Any, class_name: Any, **props: Any) -> PlainLink:
    """Lead to a file that the browser saves."""
    return PlainLink.create(*children, href=href, class_name=class_name, custom_attrs={"download": ""}, **props)


def place_link(*children: Any, href: str, class_name: str) -> PlainLink:
    return PlainLink.create(*children, href=href, class_name=class_name)
