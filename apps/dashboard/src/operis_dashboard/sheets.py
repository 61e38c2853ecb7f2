"""Rows of lists as CSV: exact values, times in UTC, and no cell that a spreadsheet would compute."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime

from operis_client.models import ApiKey, Request

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
REQUEST_COLUMNS = (
    "time",
    "request",
    "model",
    "key",
    "outcome",
    "status",
    "finish_reason",
    "streamed",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "estimated",
    "charge",
    "latency_ms",
    "first_token_ms",
)
KEY_COLUMNS = (
    "name",
    "key",
    "status",
    "owner",
    "service",
    "created",
    "expires",
    "last_used",
    "requests",
    "errors",
    "spent",
    "budget",
    "models",
)


def request_cells(request: Request) -> tuple[object, ...]:
    return (
        request.created_at,
        request.id,
        request.model,
        request.key_name,
        request.outcome,
        request.http_status,
        request.finish_reason,
        request.streamed,
        request.input_tokens,
        request.cached_input_tokens,
        request.output_tokens,
        request.reasoning_tokens,
        request.estimated,
        request.charge,
        request.latency_ms,
        request.first_token_ms,
    )


def key_cells(key: ApiKey) -> tuple[object, ...]:
    return (
        key.name,
        f"{key.prefix}…{key.last_four}",
        key.status,
        key.owner_email,
        key.service,
        key.created_at,
        key.expires_at,
        key.last_used_at,
        key.requests,
        key.errors,
        key.spent,
        key.budget,
        " ".join(key.models),
    )


def row(cells: Sequence[object]) -> str:
    """Return a line of CSV; words that somebody wrote begin with an apostrophe where they would be a formula."""
    line = io.StringIO()
    csv.writer(line).writerow([_write(cell) for cell in cells])
    return line.getvalue()


def _write(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, datetime):
        return cell.isoformat()
    text = str(cell)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
