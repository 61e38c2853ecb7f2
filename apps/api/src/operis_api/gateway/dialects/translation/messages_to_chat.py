"""An Anthropic messages request as an OpenAI chat request."""

from operis_api.gateway.dialects.translation.chat_to_messages import EFFORTS
from operis_api.gateway.dialects.translation.parts import block_to_part
from operis_api.gateway.dialects.translation.reading import Json, Members, as_content
from operis_api.gateway.dialects.translation.tools import choice_to_chat, input_to_arguments, tool_to_chat

_HINTS = ("cache_control", "service_tier")
FORMAT_NAME = "answer"
"""OpenAI wants a name for a JSON schema; Anthropic's dialect has none."""
_BUDGETS = ((4_096, "low"), (16_384, "medium"))
"""A budget of thinking below so many tokens is about this effort; at and above the last, high."""


def messages_to_chat(request: object) -> Json:
    """Return the request in OpenAI's dialect; its model and output limit are set when it is forwarded.

    Raises `NotTranslatable` naming what cannot be said there, `InvalidBody` where the request has another shape.
    """
    members = Members(request)
    members.drop("model", "max_tokens", *_HINTS)
    members.take_unless("speed", "standard")
    messages = _translate_system(members)
    for message in members.take_objects("messages"):
        messages.extend(_translate_message(message))
    said: Json = {"messages": messages}
    for name, there in (("stream", "stream"), ("temperature",) * 2, ("top_p",) * 2, ("stop_sequences", "stop")):
        if (value := members.take(name)) is not None:
            said[there] = value
    if (metadata := members.take_object("metadata")) is not None:
        if (user := metadata.take_text("user_id")) is not None:
            said["user"] = user
        metadata.end()
    if tools := members.take_objects("tools"):
        said["tools"] = [tool_to_chat(tool) for tool in tools]
    if (choice := members.take_object("tool_choice")) is not None:
        said.update(choice_to_chat(choice))
    said.update(_translate_output(members))
    members.end()
    return said


def _translate_system(members: Members) -> list[Json]:
    given = members.take("system")
    if given is None:
        return []
    content = as_content(given, "system")
    if isinstance(content, str):
        return [{"role": "system", "content": content}]
    return [{"role": "system", "content": _text_of(block)} for block in content]


def _text_of(block: Members) -> str:
    kind = block.peek("type")
    if kind != "text":
        raise block.refusal(f"type ({kind})")
    return str(block_to_part(block)["text"])


def _translate_message(message: Members) -> list[Json]:
    role = message.need_text("role")
    content = as_content(message.take("content"), message.where("content"))
    message.end()
    match role:
        case "system":
            texts = [content] if isinstance(content, str) else [_text_of(block) for block in content]
            return [{"role": "system", "content": text} for text in texts]
        case "user":
            return [{"role": "user", "content": content}] if isinstance(content, str) else _translate_user(content)
        case "assistant":
            return [_translate_assistant(content)]
        case _:
            raise message.refusal(f"role ({role})")


def _translate_user(blocks: list[Members]) -> list[Json]:
    """Return the results of tools, each a message of its own, and what the user said, in their order."""
    said: list[Json] = []
    parts: list[Json] | None = None
    if not blocks:  # the provider says what it thinks of that
        return [{"role": "user", "content": blocks}]
    for block in blocks:
        if block.peek("type") == "tool_result":
            parts = None
            said.append(_translate_result(block))
            continue
        if parts is None:
            parts = []
            said.append({"role": "user", "content": parts})
        parts.append(block_to_part(block))
    return said


def _translate_result(block: Members) -> Json:
    block.drop("type", "cache_control", "is_error")  # that it failed is in its words
    content = as_content(block.take("content") or "", block.where("content"))
    identifier = block.need_text("tool_use_id")
    block.end()
    texts: object = content
    if not isinstance(content, str):
        texts = [{"type": "text", "text": _text_of(part)} for part in content]
    return {"role": "tool", "tool_call_id": identifier, "content": texts}


def _translate_assistant(content: str | list[Members]) -> Json:
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    texts: list[str] = []
    calls: list[Json] = []
    for block in content:
        match block.peek("type"):
            case "thinking" | "redacted_thinking":
                continue  # signed for its own provider; a chat has no place for it
            case "tool_use":
                calls.append(_translate_call(block))
            case _:
                texts.append(_text_of(block))
    said: object = [{"type": "text", "text": text} for text in texts]
    if len(texts) < 2:
        said = texts[0] if texts else None if calls else ""
    return {"role": "assistant", "content": said, **({"tool_calls": calls} if calls else {})}


def _translate_call(block: Members) -> Json:
    block.drop("type", "cache_control")
    block.take_unless("caller", {"type": "direct"})
    function: Json = {
        "name": block.need_text("name"),
        "arguments": input_to_arguments(block.need_object("input").rest()),
    }
    call: Json = {"id": block.need_text("id"), "type": "function", "function": function}
    block.end()
    return call


def _translate_output(members: Members) -> Json:
    """Take `thinking` and `output_config`: how hard to think, and in which form to answer."""
    said: Json = {}
    output = members.take_object("output_config") or Members({})
    output_format, effort = output.take_object("format"), output.take_text("effort")
    if effort is not None and effort not in EFFORTS:
        raise output.refusal(f"effort ({effort})")
    if (thinking := members.take_object("thinking")) is not None:
        thinking.drop("display")
        match kind := thinking.need_text("type"):
            case "disabled":
                if effort is not None:
                    raise output.refusal("effort (without thinking)")
                effort = "none"
            case "adaptive":
                pass
            case "enabled":
                effort = effort or _effort_of(thinking.take("budget_tokens"))
            case _:
                raise thinking.refusal(f"type ({kind})")
        thinking.end()
    if effort is not None:
        said["reasoning_effort"] = effort
    if output_format is not None:
        output_format.take_unless("type", "json_schema")
        schema: Json = {"name": FORMAT_NAME, "strict": True, "schema": output_format.need_object("schema").rest()}
        said["response_format"] = {"type": "json_schema", "json_schema": schema}
        output_format.end()
    output.end()
    return said


def _effort_of(budget: object) -> str:
    tokens = budget if isinstance(budget, int) else 0
    return next((effort for below, effort in _BUDGETS if tokens < below), "high")
