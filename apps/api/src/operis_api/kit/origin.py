"""Where a request comes from, and how its handlers learn it."""

from typing import cast
from uuid import UUID

import msgspec
from litestar import Request
from litestar.datastructures import State

AnyRequest = Request[object, object, State]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks (None: nobody signed in), from where."""

    actor_id: UUID | None
    address: str | None
    agent: str | None
    request_id: str
    key_id: UUID | None = None
    """The API key it is asked with."""
    as_user_id: UUID | None = None
    """Whom an operator acts as."""


def origin_of(request: AnyRequest, actor_id: UUID | None = None, key_id: UUID | None = None) -> Origin:
    """Return the request's origin, as the outermost middleware noted it."""
    state = cast("dict[str, str | None]", request.scope["state"])
    agent = request.headers.get("user-agent")
    return Origin(
        actor_id=actor_id,
        address=state.get("client_address"),
        agent=agent[:256] if agent else None,
        request_id=str(state["request_id"]),
        key_id=key_id,
    )
