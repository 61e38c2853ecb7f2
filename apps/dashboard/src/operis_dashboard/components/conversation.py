"""A chat as it is read: what was asked to the right, what was answered to the left, with its tokens and cost."""

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.chatting import ChatLine
from operis_dashboard.components.display import money
from operis_dashboard.components.markdown import markdown
from operis_dashboard.wording import t


def conversation(
    lines: rx.Var[list[ChatLine]], *, streaming: rx.Var[bool], answer: rx.Var[str], model: rx.Var[str]
) -> rx.Component:
    return rx.el.div(
        rx.cond(
            (lines.length() == 0) & ~streaming,
            rx.el.div(
                rx.el.div(
                    rx.icon("message-square-text", size=20),
                    class_name="rounded-lg border border-border bg-muted p-2.5 text-muted-foreground",
                ),
                rx.el.p(t("playground.empty"), class_name="text-sm font-medium"),
                rx.el.p(t("playground.empty_text"), class_name="max-w-sm text-sm text-muted-foreground"),
                class_name="m-auto flex flex-col items-center gap-1.5 py-16 text-center",
            ),
            rx.fragment(),
        ),
        rx.foreach(lines, _line),
        rx.cond(
            streaming,
            rx.el.div(
                rx.el.p(model, class_name="text-xs font-medium text-muted-foreground"),
                markdown(answer),
                rx.el.span(class_name="inline-block h-4 w-1.5 animate-pulse rounded-sm bg-foreground/70"),
                class_name="flex flex-col gap-1 text-sm",
            ),
            rx.fragment(),
        ),
        role="log",
        aria_live="polite",
        aria_label=t("nav.playground"),
        class_name=theme.CARD + " flex min-h-[50dvh] flex-col gap-6 p-5",
    )


def _line(line: rx.Var[ChatLine]) -> rx.Component:
    return rx.cond(
        line.role == "user",
        rx.el.div(
            rx.el.p(
                line.text,
                class_name="max-w-[85%] whitespace-pre-wrap break-words rounded-2xl rounded-br-sm bg-muted px-4 "
                "py-2.5 text-sm",
            ),
            class_name="flex justify-end",
        ),
        rx.el.div(
            rx.el.p(line.model, class_name="text-xs font-medium text-muted-foreground"),
            rx.el.div(markdown(line.text), class_name="min-w-0 break-words text-sm"),
            rx.el.p(
                rx.cond(line.note != "", rx.el.span(line.note + " "), rx.fragment()),
                rx.cond(
                    line.tokens_out != "",
                    rx.fragment(
                        t("playground.tokens", input=line.tokens_in, output=line.tokens_out),
                        " · ",
                        money(line.cost),
                        " ",
                        t("playground.credits"),
                    ),
                    rx.fragment(),
                ),
                rx.cond(line.took != "", " · " + line.took, ""),
                rx.cond(line.first != "", rx.fragment(" · ", t("playground.first", seconds=line.first)), rx.fragment()),
                class_name="text-xs tabular-nums text-muted-foreground",
            ),
            class_name="flex min-w-0 flex-col gap-1.5",
        ),
    )
