"""Tools, how they are chosen, and what they are called with, in both dialects."""

from typing import cast

import msgspec

from operis_api.gateway.dialects import UNREADABLE
from operis_api.gateway.dialects.translation.reading import Json, Members

_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_CHOICES_BACK = {there: here for here, there in _CHOICES.items()}


def tool_to_messages(tool: Members) -> Json:
    kind = tool.need_text("type")
    if kind != "function":
        raise tool.refusal(f"type ({kind})")
    function = tool.need_object("function")
    tool.end()
    schema = function.take_object("parameters")
    said: Json = {
        "name": function.need_text("name"),
        "input_schema": schema.rest() if schema else {"type": "object", "properties": {}},
    }
    for name in ("description", "strict"):
        if (value := function.take(name)) is not None:
            said[name] = value
    function.end()
    return said


def tool_to_chat(tool: Members) -> Json:
    tool.take_unless("type", "custom")  # the provider's own tools are nobody else's
    tool.drop("cache_control", "eager_input_streaming")
    said: Json = {"name": tool.need_text("name"), "parameters": tool.need_object("input_schema").rest()}
    for name in ("description", "strict"):
        if (value := tool.take(name)) is not None:
            said[name] = value
    tool.end()
    return {"type": "function", "function": said}


def choice_to_messages(members: Members, *, has_tools: bool) -> Json | None:
    """Take `tool_choice` and `parallel_tool_calls` of a chat request."""
    given, parallel = members.take("tool_choice"), members.take("parallel_tool_calls")
    choice: Json | None = None
    if isinstance(given, str):
        if given not in _CHOICES:
            raise members.refusal(f"tool_choice ({given})")
        choice = {"type": _CHOICES[given]}
    elif given is not None:
        named = Members(given, members.where("tool_choice"))
        if (kind := named.need_text("type")) != "function":
            raise named.refusal(f"type ({kind})")
        function = named.need_object("function")
        choice = {"type": "tool", "name": function.need_text("name")}
        function.end()
        named.end()
    if parallel is False and has_tools and (choice is None or choice["type"] != "none"):
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice


def choice_to_chat(choice: Members) -> Json:
    """Return the members of a chat request that say the same as Anthropic's `tool_choice`."""
    kind = choice.need_text("type")
    said: Json = {"parallel_tool_calls": False} if choice.take("disable_parallel_tool_use") else {}
    if kind == "tool":
        said["tool_choice"] = {"type": "function", "function": {"name": choice.need_text("name")}}
    elif kind in _CHOICES_BACK:
        said["tool_choice"] = _CHOICES_BACK[kind]
    else:
        raise choice.refusal(f"type ({kind})")
    choice.end()
    return said


def arguments_to_input(arguments: str) -> Json | None:
    """Return what a tool is called with; None where it is not a JSON object."""
    try:
        given = msgspec.json.decode(arguments)
    except UNREADABLE:
        return None
    return cast("Json", given) if isinstance(given, dict) else None


def input_to_arguments(given: object) -> str:
    return msgspec.json.encode(given).decode()
