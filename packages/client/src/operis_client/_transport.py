"""What both clients share: how a call becomes a request, and an answer a struct or an error."""

from collections.abc import Mapping
from typing import TypeVar

import httpx
import msgspec

from operis_client.errors import ApiError, read_error

Answer = TypeVar("Answer")
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
STREAM_TIMEOUT = httpx.Timeout(600.0, connect=5.0)
JSON = {"content-type": "application/json"}


def query(**parameters: object) -> dict[str, str]:
    """Return the parameters that are set, as the query string writes them."""
    return {name.rstrip("_"): str(value) for name, value in parameters.items() if value is not None}


def body(**members: object) -> bytes:
    """Encode the members that are set (not UNSET) as a JSON object."""
    return msgspec.json.encode({name: value for name, value in members.items() if value is not msgspec.UNSET})


def headers(token: str | None, organization_id: str | None, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    found = dict(extra or {})
    if token:
        found["authorization"] = f"Bearer {token}"
    if organization_id:
        found["x-organization-id"] = organization_id
    return found


def idempotency(key: str | None) -> dict[str, str]:
    return {"idempotency-key": key} if key else {}


def decode_text(response: httpx.Response) -> str:
    """Return the answer's text, or raise the refusal."""
    if not response.is_success:
        raise read_error(response.status_code, response.content, response.headers.get("x-request-id"))
    return response.text


def decode(response: httpx.Response, answer: type[Answer]) -> Answer:
    """Return the answer's struct, or raise the refusal. An answer of another shape is an ApiError too."""
    if not response.is_success:
        raise read_error(response.status_code, response.content, response.headers.get("x-request-id"))
    if answer is type(None):
        return None  # pyright: ignore[reportReturnType]  # answer is NoneType here, so None is an Answer
    try:
        return msgspec.json.decode(response.content, type=answer)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ApiError(
            status=response.status_code,
            code="unexpected_answer",
            title="The API's answer has another shape than this client knows.",
            detail=str(error),
            request_id=response.headers.get("x-request-id"),
            facts={},
        ) from error
