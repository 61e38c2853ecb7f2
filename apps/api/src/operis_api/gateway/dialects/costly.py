"""What a provider asks more for than the price of its model: refused, since it could neither be quoted nor metered."""

import msgspec

from operis_api.gateway.dialects import ABSENT, UNREADABLE, is_given
from operis_api.gateway.errors import InvalidBody, NotOffered

_BY_THE_CALL = "what providers run themselves they charge by the call, and it adds to the prompt beyond any quote"
_DEARER = "it is dearer than the model's price"
_PLAIN_TIERS = {None, "auto", "default", "flex", "standard", "standard_only", "scale"}
_PLAIN_SPEEDS = {None, "standard"}
_PLAIN_PLACES = {None, "global", "not_available"}
CALLERS_TOOLS = ("function", "custom", "bash_", "text_editor_", "computer_", "memory_")
"""Kinds of tools, or how they begin, that the caller runs. A provider's own add to the prompt what nobody quoted."""


class CostlyFields(msgspec.Struct, kw_only=True):
    """The members of a request, in whichever dialect, that can make it dearer."""

    tools: msgspec.Raw = ABSENT
    web_search_options: msgspec.Raw = ABSENT
    search_parameters: msgspec.Raw = ABSENT
    enable_search: msgspec.Raw = ABSENT
    plugins: msgspec.Raw = ABSENT
    mcp_servers: msgspec.Raw = ABSENT
    container: msgspec.Raw = ABSENT
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None


class _Tool(msgspec.Struct):
    type: str | None = None


def refuse_costly(fields: CostlyFields) -> None:
    """Raise `NotOffered` where the request asks for what costs more than tokens."""
    for name in ("web_search_options", "search_parameters", "enable_search", "plugins", "mcp_servers", "container"):
        member = getattr(fields, name)
        if is_given(member) and bytes(member) != b"false":
            raise NotOffered(name, _BY_THE_CALL)
    for name, plain in (
        ("service_tier", _PLAIN_TIERS),
        ("speed", _PLAIN_SPEEDS),
        ("inference_geo", _PLAIN_PLACES),
    ):
        if getattr(fields, name) not in plain:
            raise NotOffered(name, _DEARER)
    if is_given(fields.tools):
        _refuse_providers_tools(fields.tools)


def _refuse_providers_tools(tools: msgspec.Raw) -> None:
    try:
        found = msgspec.json.decode(tools, type=list[_Tool])
    except UNREADABLE as error:
        raise InvalidBody(f"tools does not fit: {error}.", param="tools") from None
    for nth, tool in enumerate(found):
        if not (tool.type or "custom").startswith(CALLERS_TOOLS):
            raise NotOffered(f"tools[{nth}].type", "tools that the provider runs are not offered")
