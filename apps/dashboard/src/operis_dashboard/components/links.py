"""Links between our own pages, followed without a page load."""

from typing import Any

import reflex as rx
from reflex_components_core.react_router.dom import ReactRouterLink


def page_link(*children: Any, href: Any, class_name: Any, **props: Any) -> rx.Component:
    return ReactRouterLink.create(*children, to=href, class_name=class_name, **props)
