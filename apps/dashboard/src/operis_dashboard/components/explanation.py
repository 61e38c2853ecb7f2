"""How a charge came about, from hold to ledger."""

from typing import Any

import reflex as rx

from operis_dashboard import theme
from operis_dashboard.components.cards import facts
from operis_dashboard.components.display import badge, moment, money
from operis_dashboard.components.words import account_name, meter_name, source_name
from operis_dashboard.explaining import AttemptRow, Explanation, LedgerRow
from operis_dashboard.wording import t

_CELL = "py-1.5 pr-3 text-left align-top last:pr-0"
_NUMBER_CELL = "py-1.5 pl-3 text-right align-top tabular-nums whitespace-nowrap"


def explanation(shown: rx.Var[Explanation]) -> rx.Component:
    return rx.el.div(
        rx.cond(
            shown.request.estimated,
            rx.el.p(t("explain.estimated"), class_name="rounded bg-warning-soft px-3 py-2 text-sm text-warning"),
            rx.fragment(),
        ),
        facts(
            (t("explain.charge"), money(shown.request.charge, theme.NUMBER + " font-semibold")),
            (t("explain.hold"), money(shown.hold)),
            (t("explain.released"), money(shown.released)),
            (
                t("requests.outcome"),
                rx.el.span(
                    badge(shown.request.outcome),
                    rx.cond(shown.reversed, badge("reversed"), rx.fragment()),
                    class_name="inline-flex gap-1",
                ),
            ),
        ),
        _section(
            t("explain.meters"),
            _table(
                [t("explain.meter"), t("explain.quantity"), t("explain.price"), t("explain.amount")],
                shown.meters,
                lambda line: [meter_name(line.meter), line.quantity, money(line.price), money(line.amount)],
            ),
            rx.el.p(
                t("explain.price_version"),
                " ",
                rx.el.span(shown.price_id, class_name="font-mono break-all"),
                ", ",
                t("explain.price_from"),
                " ",
                rx.el.span(shown.price_from.text, title=shown.price_from.exact),
                class_name=theme.HINT,
            ),
            rx.cond(
                shown.tier_from != "",
                rx.el.p(t("explain.tier", tokens=shown.tier_from), class_name=theme.HINT),
                rx.fragment(),
            ),
            rx.cond(
                shown.multiplier != "",
                rx.el.p(t("explain.multiplier", multiplier=shown.multiplier), class_name=theme.HINT),
                rx.fragment(),
            ),
            rx.el.p(t("explain.rounding"), class_name=theme.HINT),
        ),
        rx.cond(
            shown.burnt.length() > 0,
            _section(
                t("explain.burnt"),
                _table(
                    [t("wallet.grants"), t("explain.amount")],
                    shown.burnt,
                    lambda grant: [source_name(grant.source), money(grant.amount)],
                ),
            ),
            rx.fragment(),
        ),
        rx.cond(
            shown.ledger.length() > 0,
            _section(
                t("explain.entries"),
                ledger_table(shown.ledger),
            ),
            rx.fragment(),
        ),
        rx.cond(
            shown.attempts.length() > 0,
            _section(
                t("explain.attempts"),
                rx.el.ol(rx.foreach(shown.attempts, _attempt), class_name="flex flex-col gap-2"),
            ),
            rx.fragment(),
        ),
        rx.cond(
            shown.reversed,
            _section(
                t("explain.reversal"),
                rx.el.p(moment(shown.reversal.at), " · ", shown.reversal.reason, class_name="text-sm break-words"),
                ledger_table(shown.reversal.ledger),
            ),
            rx.fragment(),
        ),
        facts(
            (t("requests.time"), rx.el.span(shown.request.at.text, title=shown.request.at.exact)),
            (t("requests.latency"), shown.request.latency),
            (t("explain.first_token"), shown.first_token),
            (t("explain.streamed"), rx.cond(shown.streamed, t("explain.yes"), t("explain.no"))),
            (t("explain.finish"), shown.finish),
            (t("explain.client"), rx.el.span(shown.client, class_name="break-all")),
            (t("explain.request_id"), rx.el.span(shown.id, class_name="font-mono text-xs break-all")),
        ),
        class_name="flex flex-col gap-6",
    )


def ledger_table(lines: rx.Var[list[LedgerRow]]) -> rx.Component:
    """Show the entries of a posting."""
    return _table(
        [t("explain.account"), t("explain.amount"), t("explain.balance")],
        lines,
        lambda line: [account_name(line.account), money(line.amount), money(line.balance)],
    )


def _attempt(attempt: rx.Var[AttemptRow]) -> rx.Component:
    """One upstream that was asked: what it said, how long it took, what it counted and what it costs us."""
    return rx.el.li(
        rx.el.div(
            rx.el.span(attempt.upstream, class_name="min-w-0 truncate font-medium"),
            rx.el.span(
                t("explain.answered", status=attempt.status),
                class_name=rx.cond(attempt.failed, "text-xs text-destructive", "text-xs text-muted-foreground"),
            ),
            class_name="flex items-baseline justify-between gap-3",
        ),
        rx.cond(
            attempt.model != "",
            rx.el.p(attempt.model, class_name="text-xs text-muted-foreground break-all"),
            rx.fragment(),
        ),
        rx.el.dl(
            _measure(t("explain.latency"), attempt.latency),
            rx.foreach(attempt.usage, lambda part: _measure(meter_name(part.meter), part.quantity)),
            rx.cond(attempt.cost.exact != "", _measure(t("explain.cost"), money(attempt.cost)), rx.fragment()),
            class_name="flex flex-wrap gap-x-4 gap-y-1 text-xs tabular-nums",
        ),
        rx.cond(
            attempt.error != "",
            rx.el.p(attempt.error, class_name="font-mono text-xs break-words text-destructive"),
            rx.fragment(),
        ),
        class_name="flex flex-col gap-1.5 rounded border border-border px-3 py-2 text-sm",
    )


def _measure(name: Any, value: Any) -> rx.Component:
    return rx.el.div(
        rx.el.dt(name, class_name="text-muted-foreground"), rx.el.dd(value), class_name="flex items-baseline gap-1.5"
    )


def _section(title: Any, *children: rx.Component) -> rx.Component:
    return rx.el.section(
        rx.el.h3(title, class_name="text-sm font-medium"), *children, class_name="flex flex-col gap-2 min-w-0"
    )


def _table(headings: list[Any], rows: Any, cells: Any) -> rx.Component:
    looks = [_CELL, *([_NUMBER_CELL] * (len(headings) - 1))]
    return rx.el.div(
        rx.el.table(
            rx.el.thead(
                rx.el.tr(
                    *(
                        rx.el.th(heading, scope="col", class_name=look + " text-xs font-medium text-muted-foreground")
                        for heading, look in zip(headings, looks, strict=True)
                    ),
                    class_name="border-b border-border",
                )
            ),
            rx.el.tbody(
                rx.foreach(
                    rows,
                    lambda row: rx.el.tr(
                        *(rx.el.td(cell, class_name=look) for cell, look in zip(cells(row), looks, strict=True)),
                        class_name="border-b border-border last:border-0",
                    ),
                )
            ),
            class_name="w-full text-sm",
        ),
        class_name="overflow-x-auto",
    )
