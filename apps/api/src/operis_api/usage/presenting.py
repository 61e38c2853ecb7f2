"""Usage records as they are shown, to customers and operators alike."""

from typing import cast

from operis_api.kit.money import format_nano
from operis_api.usage.records import RecordRow, Sums, completion_tokens, prompt_tokens
from operis_api.usage.schemas import Outcome, Request, UsageBucket


def show_request(row: RecordRow) -> Request:
    record = row.record
    return Request(
        id=record.id,
        created_at=record.created_at,
        model=record.model_id,
        key_id=record.key_id,
        key_name=row.key_name,
        streamed=record.streamed,
        outcome=cast("Outcome", record.outcome),
        finish_reason=record.finish_reason,
        http_status=record.http_status,
        input_tokens=prompt_tokens(record),
        cached_input_tokens=record.cached_input,
        output_tokens=completion_tokens(record),
        reasoning_tokens=record.reasoning,
        estimated=record.estimated,
        charge=format_nano(record.charge_nano),
        latency_ms=record.latency_ms,
        first_token_ms=record.first_token_ms,
    )


def show_bucket(sums: Sums, label: str) -> UsageBucket:
    return UsageBucket(
        bucket=sums.bucket,
        label=label,
        requests=sums.requests,
        failed_requests=sums.failed,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        charge=format_nano(sums.charge_nano),
    )


def add_up(bucket: str, parts: list[Sums]) -> Sums:
    """Return the sum of buckets."""
    return Sums(
        bucket,
        sum(part.requests for part in parts),
        sum(part.failed for part in parts),
        sum(part.estimated for part in parts),
        sum(part.input_tokens for part in parts),
        sum(part.output_tokens for part in parts),
        sum(part.charge_nano for part in parts),
        sum(part.cost_nano for part in parts),
        sum(part.loss_nano for part in parts),
    )
