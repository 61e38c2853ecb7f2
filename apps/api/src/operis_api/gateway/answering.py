"""The ends of answers, where the customer's cost is written: whole answers, the usage chunk, errors inside streams."""

import msgspec

from operis_api.catalog.pricing import Meters
from operis_api.gateway.metering import StreamMeter, is_given
from operis_api.kit.errors import DomainError

DONE = b"data: [DONE]\n\n"


def add_cost(answer: bytes, usage: Meters, cost: str) -> bytes:
    """Return a whole answer or a chunk with `cost` in its usage object, everything else as it was.

    Where the upstream sent no usage, the object is made from ours.
    """
    members = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
    given = members.get("usage", msgspec.Raw())
    if is_given(given):
        reported = msgspec.json.decode(given, type=dict[str, msgspec.Raw])
        reported["cost"] = msgspec.Raw(msgspec.json.encode(cost))
        members["usage"] = msgspec.Raw(msgspec.json.encode(reported))
    else:
        members["usage"] = msgspec.Raw(msgspec.json.encode(_usage_object(usage, cost)))
    return msgspec.json.encode(members)


def usage_event(meter: StreamMeter, cost: str) -> bytes:
    """Return the chunk that tells a stream's usage and cost, in the frame of the upstream's own chunks."""
    chunk = meter.usage_event
    if chunk is None:
        frame = msgspec.json.decode(meter.first_chunk or b"{}", type=dict[str, msgspec.Raw])
        no_choices: list[object] = []
        chunk = msgspec.json.encode({**frame, "choices": no_choices, "usage": None})
    return b"data: " + add_cost(chunk, meter.usage, cost) + b"\n\n"


def error_event(error: DomainError) -> bytes:
    """Return an error inside a stream, as OpenAI's clients read it."""
    members = {"message": error.detail, "type": "upstream_error", "code": error.code, "param": None}
    return b"data: " + msgspec.json.encode({"error": members}) + b"\n\n"


def _usage_object(usage: Meters, cost: str) -> dict[str, object]:
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost": cost,
    }
