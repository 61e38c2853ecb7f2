"""Bar charts by day, drawn with plain boxes: nothing to load, exact values on hover."""

import reflex as rx

from operis_dashboard.charts import Chart
from operis_dashboard.components.states import skeleton
from operis_dashboard.wording import t


def bar_chart(chart: rx.Var[Chart], *, loaded: rx.Var[bool], label: rx.Var[str]) -> rx.Component:
    return rx.cond(loaded, _bars(chart, label), skeleton("h-44 w-full"))


def _bars(chart: rx.Var[Chart], label: rx.Var[str]) -> rx.Component:
    return rx.el.div(
        rx.el.div(
            _line(chart.top, "top-0"),
            _line(chart.middle, "top-1/2"),
            rx.el.div(class_name="absolute inset-x-0 bottom-0 border-t border-border"),
            rx.el.div(
                rx.foreach(
                    chart.bars,
                    lambda bar: rx.el.div(
                        rx.el.div(
                            style={"height": bar.height},
                            class_name="w-full rounded-t-[2px] bg-accent/80 transition-colors group-hover:bg-accent",
                        ),
                        rx.el.span(
                            bar.tip,
                            class_name="pointer-events-none absolute -top-8 left-1/2 z-10 hidden -translate-x-1/2 "
                            "rounded-md border border-border bg-card px-2 py-1 text-xs whitespace-nowrap shadow-md "
                            "tabular-nums group-hover:block",
                        ),
                        class_name="group relative flex h-full min-w-0 flex-1 items-end",
                    ),
                ),
                class_name="absolute inset-0 ml-14 flex items-end gap-px sm:gap-[3px]",
            ),
            rx.cond(
                chart.empty,
                rx.el.p(
                    rx.el.span(t("chart.empty"), class_name="bg-card px-3"),
                    class_name="absolute inset-0 flex items-center justify-center text-sm text-muted-foreground",
                ),
                rx.fragment(),
            ),
            role="img",
            aria_label=label + ": " + chart.total,
            class_name="relative h-40",
        ),
        rx.el.div(
            rx.el.span(chart.first),
            rx.el.span(chart.last),
            class_name="ml-14 flex justify-between text-xs tabular-nums text-muted-foreground",
            aria_hidden=True,
        ),
        class_name="flex flex-col gap-2 pt-2",
    )


def _line(value: rx.Var[str], at: str) -> rx.Component:
    return rx.el.div(
        rx.el.span(
            value,
            class_name="w-14 shrink-0 -translate-y-1/2 truncate pr-2 text-right text-xs tabular-nums "
            "text-muted-foreground",
        ),
        rx.el.div(class_name="flex-1 border-t border-dashed border-border"),
        class_name="absolute inset-x-0 flex " + at,
    )
