"""Words for the codes that the API uses."""

import reflex as rx

from operis_dashboard.wording import t

_SOURCES = ("free", "bonus", "paid", "refund", "manual", "voucher")
_METERS = (
    "input",
    "cached_input",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "audio_input",
    "audio_output",
    "image",
    "per_request",
)
_ACCOUNTS = ("wallet", "revenue", "platform_loss", "promotions", "adjustments", "expiry", "refunds")
_LIMITS = ("budget", "budget_daily", "budget_weekly", "budget_monthly", "rpm", "tpm", "concurrency")
_LIMIT_SCOPES = ("key", "member", "organization", "plan")
_ALERTS = ("invariant_broken", "platform_loss")
ENTRY_KINDS = ("welcome", "charge", "adjustment", "expiry", "free_window", "reversal", "refund")


ROLES = ("admin", "billing", "developer", "viewer")
"""Roles that somebody can be given in an organization."""


def role_name(role: rx.Var[str]) -> rx.Var[str]:
    return rx.match(role, *((code, t(f"role.{code}")) for code in ("owner", *ROLES)), role)


def source_name(source: rx.Var[str]) -> rx.Var[str]:
    return rx.match(source, *((code, t(f"grant.{code}")) for code in _SOURCES), source)


def meter_name(meter: rx.Var[str]) -> rx.Var[str]:
    return rx.match(meter, *((code, t(f"meter.{code}")) for code in _METERS), meter)


def account_name(account: rx.Var[str]) -> rx.Var[str]:
    return rx.match(account, *((code, t(f"account.{code}")) for code in _ACCOUNTS), account)


def entry_kind(kind: rx.Var[str]) -> rx.Var[str]:
    return rx.match(kind, *((code, t(f"entry.{code}")) for code in ENTRY_KINDS), kind)


def alert_kind(kind: rx.Var[str]) -> rx.Var[str]:
    return rx.match(kind, *((code, t(f"alert.{code}")) for code in _ALERTS), kind)


def limit_name(name: rx.Var[str]) -> rx.Var[str]:
    return rx.match(name, *((code, t(f"limit.{code}")) for code in _LIMITS), name)


def limit_scope(scope: rx.Var[str]) -> rx.Var[str]:
    return rx.match(scope, *((code, t(f"limit.of_{code}")) for code in _LIMIT_SCOPES), scope)
