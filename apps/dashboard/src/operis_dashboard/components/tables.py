"""Tables: dense rows in a bordered card, numbers to the right, less on phones."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.wording import t


@dataclass(frozen=True)
class Column:
    """A heading, and whether its cells are numbers or wait for a wider screen."""

    title: Any
    number: bool = False
    from_width: str = ""
    """Tailwind's name of the narrowest screen that shows the column: sm, md, lg, xl; empty: all."""


_WIDTHS = {
    "": "",
    "sm": " hidden sm:table-cell",
    "md": " hidden md:table-cell",
    "lg": " hidden lg:table-cell",
    "xl": " hidden xl:table-cell",
}


def _cell_class(column: Column) -> str:
    return ("px-3 py-3 text-right sm:px-4 " if column.number else "px-3 py-3 text-left sm:px-4 ") + _WIDTHS[
        column.from_width
    ]


def table(columns: list[Column], rows: Any, cells: Any, *, label: rx.Var[str], on_open: Any = None) -> rx.Component:
    """Show `rows`, each through `cells(row)`: one component per column.

    With `on_open(row)` the whole row answers to a click; for the keyboard, the first cell has to hold a button.
    """

    def row_of(row: rx.Var[Any]) -> rx.Component:
        props = {"on_click": on_open(row)} if on_open is not None else {}
        return rx.el.tr(
            *(rx.el.td(cell, class_name=_cell_class(column)) for column, cell in zip(columns, cells(row), strict=True)),
            class_name="border-b border-border last:border-0 hover:bg-muted/60 transition-colors"
            + (" cursor-pointer" if on_open is not None else ""),
            **props,
        )

    return rx.el.div(
        rx.el.table(
            rx.el.thead(
                rx.el.tr(
                    *(
                        rx.el.th(
                            column.title,
                            scope="col",
                            class_name=_cell_class(column)
                            + " text-xs font-medium text-muted-foreground whitespace-nowrap",
                        )
                        for column in columns
                    ),
                    class_name="border-b border-border",
                )
            ),
            rx.el.tbody(rx.foreach(rows, row_of)),
            class_name="w-full text-sm",
        ),
        role="region",
        aria_label=label,
        tab_index=0,
        class_name=theme.CARD + " overflow-x-auto " + theme.FOCUS,
    )


def actions(*children: rx.Component) -> rx.Component:
    """Buttons at a row's end; pressing one does not open the row."""
    return rx.el.div(*children, class_name="flex flex-col items-end justify-end gap-2 sm:flex-row")


def pager(
    *, first: rx.Var[bool], last: rx.Var[bool], on_first: Any, on_next: Any, names: tuple[Any, Any] | None = None
) -> rx.Component:
    """Walk through pages by cursor: on to older rows, or back to the newest; `names` where the order is another."""
    first_name, next_name = names or (t("pager.first"), t("pager.next"))
    return rx.cond(
        first & last,
        rx.fragment(),
        rx.el.nav(
            rx.el.button(
                rx.icon("chevrons-left", size=14),
                first_name,
                type="button",
                on_click=on_first,
                disabled=first,
                class_name=theme.BUTTON_SMALL,
            ),
            rx.el.button(
                next_name,
                rx.icon("chevron-right", size=14),
                type="button",
                on_click=on_next,
                disabled=last,
                class_name=theme.BUTTON_SMALL,
            ),
            aria_label=t("pager.label"),
            class_name="flex items-center justify-end gap-2",
        ),
    )
