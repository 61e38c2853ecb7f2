"""An OpenAI responses request as a chat request."""

from typing import cast

from operis_api.gateway.dialects.translation.reading import Json, Members, as_content
from operis_api.gateway.errors import InvalidBody

_HINTS = (
    "context_management",
    "max_tool_calls",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "truncation",
)
_INCLUDED = ("reasoning.encrypted_content",)
"""What a response may be asked to include and a chat never has."""


def responses_to_chat(request: object) -> Json:
    """Return the request as a chat; its model and output limit are set when it is forwarded.

    Raises `NotTranslatable` naming what a chat cannot say, `InvalidBody` where the request has another shape.
    """
    members = Members(request)
    members.drop("model", "max_output_tokens", *_HINTS)
    for name, default in (("background", False), ("top_logprobs", 0)):
        members.take_unless(name, default)
    for nth, included in enumerate(members.take_list("include")):
        if included not in _INCLUDED:
            raise members.refusal(f"include[{nth}]")
    instructions = members.take_text("instructions")
    messages: list[Json] = [{"role": "system", "content": instructions}] if instructions else []
    messages.extend(_translate_input(members))
    said: Json = {"messages": messages}
    for name in ("stream", "temperature", "top_p", "user", "parallel_tool_calls"):
        if (value := members.take(name)) is not None:
            said[name] = value
    if tools := members.take_objects("tools"):
        said["tools"] = [_translate_tool(tool) for tool in tools]
    if (choice := members.take("tool_choice")) is not None:
        said["tool_choice"] = choice if isinstance(choice, str) else _translate_choice(Members(choice, "tool_choice"))
    said.update(_translate_text(members))
    members.end()
    return said


def _translate_input(members: Members) -> list[Json]:
    if members.peek("input") is None:
        return []
    given = as_content(members.take("input"), "input")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    messages: list[Json] = []
    for item in given:
        kind = item.take_text("type") or "message"
        item.drop("id", "status", "phase", "caller", "namespace")
        match kind:
            case "message":
                messages.append(_translate_message(item))
            case "function_call":
                _calls_of(messages).append(_translate_call(item))
            case "function_call_output":
                found = as_content(item.take("output"), item.where("output"))
                content = found if isinstance(found, str) else [_translate_part(part) for part in found]
                messages.append({"role": "tool", "tool_call_id": item.need_text("call_id"), "content": content})
            case "reasoning":
                item.rest()  # a chat has no place for it
            case _:
                raise item.refusal(f"type ({kind})")
        item.end()
    return messages


def _translate_message(item: Members) -> Json:
    role = item.need_text("role")
    content = as_content(item.take("content"), item.where("content"))
    said: object = content if isinstance(content, str) else [_translate_part(part) for part in content]
    return {"role": role, "content": said}


def _translate_part(part: Members) -> Json:
    part.drop("annotations", "logprobs", "prompt_cache_breakpoint")
    match kind := part.need_text("type"):
        case "input_text" | "output_text":
            said: Json = {"type": "text", "text": part.need_text("text")}
        case "refusal":
            said = {"type": "refusal", "refusal": part.need_text("refusal")}
        case "input_image":
            said = {"type": "image_url", "image_url": _take(part, url="image_url", detail="detail")}
        case "input_file":
            part.drop("detail")
            said = {"type": "file", "file": _take(part, filename="filename", file_data="file_data")}
        case _:
            raise part.refusal(f"type ({kind})")
    part.end()
    return said


def _take(part: Members, **names: str) -> Json:
    """Return the texts by these names there, of those here; a file's id or address stays, and is refused."""
    found = {there: part.take_text(here) for there, here in names.items()}
    return {name: text for name, text in found.items() if text is not None}


def _calls_of(messages: list[Json]) -> list[Json]:
    """Return the calls of the assistant's message that is the last one; begin one where it is not."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    no_calls: list[Json] = []
    return cast("list[Json]", messages[-1].setdefault("tool_calls", no_calls))


def _translate_call(item: Members) -> Json:
    function: Json = {"name": item.need_text("name"), "arguments": item.need_text("arguments")}
    return {"id": item.need_text("call_id"), "type": "function", "function": function}


def _translate_tool(tool: Members) -> Json:
    kind = tool.need_text("type")
    if kind != "function":
        raise tool.refusal(f"type ({kind})")
    function: Json = {"name": tool.need_text("name")}
    for name in ("description", "parameters", "strict"):
        if (value := tool.take(name)) is not None:
            function[name] = value
    tool.end()
    return {"type": "function", "function": function}


def _translate_choice(choice: Members) -> Json:
    kind = choice.need_text("type")
    if kind != "function":
        raise choice.refusal(f"type ({kind})")
    said: Json = {"type": "function", "function": {"name": choice.need_text("name")}}
    choice.end()
    return said


def _translate_text(members: Members) -> Json:
    """Take `reasoning` and `text`: how hard to think, and in which form to answer."""
    said: Json = {}
    if (reasoning := members.take_object("reasoning")) is not None:
        reasoning.drop("summary", "generate_summary")
        if (effort := reasoning.take_text("effort")) is not None:
            said["reasoning_effort"] = effort
        reasoning.end()
    if (text := members.take_object("text")) is not None:
        if (verbosity := text.take_text("verbosity")) is not None:
            said["verbosity"] = verbosity
        if (output := text.take_object("format")) is not None:
            said["response_format"] = _translate_format(output)
        text.end()
    return said


def _translate_format(output: Members) -> Json:
    match kind := output.need_text("type"):
        case "text" | "json_object":
            output.end()
            return {"type": kind}
        case "json_schema":
            return {"type": "json_schema", "json_schema": output.rest()}
        case _:
            raise InvalidBody(f"text.format.type is {kind}.", param="text.format.type")
