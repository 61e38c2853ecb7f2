"""What is shown to those alone who may use it. A hidden button is comfort; the API judges every call."""

import reflex as rx

from operis_dashboard.viewer import Viewer


def permitted(permission: str, *children: rx.Component) -> rx.Component:
    """Show `children` to a viewer with this permission, a row of docs/roles.md."""
    return rx.cond(Viewer.permissions.contains(permission), rx.fragment(*children), rx.fragment())
