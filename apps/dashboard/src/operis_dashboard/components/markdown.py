"""Text from a model, formatted. Raw HTML in it stays text; images from elsewhere are stopped by the CSP."""

from typing import Any

import reflex as rx

from operis_dashboard import theme

_ELEMENTS: dict[str, Any] = {
    "h1": lambda value: rx.el.h3(value, class_name="mt-4 mb-2 text-base font-semibold first:mt-0"),
    "h2": lambda value: rx.el.h3(value, class_name="mt-4 mb-2 text-base font-semibold first:mt-0"),
    "h3": lambda value: rx.el.h4(value, class_name="mt-3 mb-1 text-sm font-semibold first:mt-0"),
    "h4": lambda value: rx.el.h4(value, class_name="mt-3 mb-1 text-sm font-semibold first:mt-0"),
    "h5": lambda value: rx.el.h4(value, class_name="mt-3 mb-1 text-sm font-semibold first:mt-0"),
    "h6": lambda value: rx.el.h4(value, class_name="mt-3 mb-1 text-sm font-semibold first:mt-0"),
    "p": lambda value: rx.el.p(value, class_name="my-2 leading-relaxed first:mt-0 last:mb-0"),
    "ul": lambda value: rx.el.ul(value, class_name="my-2 list-disc pl-5"),
    "ol": lambda value: rx.el.ol(value, class_name="my-2 list-decimal pl-5"),
    "li": lambda value: rx.el.li(value, class_name="my-1 leading-relaxed"),
    "a": lambda value: rx.el.a(value, rel="noopener noreferrer nofollow", target="_blank", class_name=theme.LINK),
    "code": lambda value: rx.el.code(value, class_name="rounded bg-muted px-1 py-0.5 font-mono text-[13px]"),
    "pre": lambda value, **_props: rx.el.pre(
        rx.el.code(value),
        tab_index=0,
        class_name="my-2 overflow-x-auto rounded border border-border bg-muted px-4 py-3 font-mono text-[13px] "
        + theme.FOCUS,
    ),
}


def markdown(text: rx.Var[str]) -> rx.Component:
    return rx.markdown(
        text, use_raw=False, use_math=False, use_katex=False, use_unwrap_images=False, component_map=_ELEMENTS
    )
