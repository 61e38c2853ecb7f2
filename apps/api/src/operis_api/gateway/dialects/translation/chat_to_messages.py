"""An OpenAI chat request as an Anthropic messages request."""

from operis_api.gateway.dialects.translation.parts import part_to_block
from operis_api.gateway.dialects.translation.reading import Json, Members, as_content, object_in
from operis_api.gateway.dialects.translation.tools import arguments_to_input, choice_to_messages, tool_to_messages
from operis_api.gateway.errors import InvalidBody

_HINTS = (
    "metadata",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
)
"""What is about storing, caching and speed; the answer is the same without."""
_DEFAULTS: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0, 0.0),
    "presence_penalty": (0, 0.0),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "verbosity": ("medium",),
}
EFFORTS = ("low", "medium", "high", "xhigh", "max")


def chat_to_messages(request: object) -> Json:
    """Return the request in Anthropic's dialect; its model and output limit are set when it is forwarded.

    Raises `NotTranslatable` naming what cannot be said there, `InvalidBody` where the request has another shape.
    """
    members = Members(request)
    members.drop("model", "max_tokens", "max_completion_tokens", *_HINTS)
    system, messages = _translate_messages(members.take_objects("messages"))
    said: Json = {"messages": messages, **({"system": system} if system else {})}
    said.update(_translate_sampling(members))
    if (user := members.take_text("user")) is not None:
        said["metadata"] = {"user_id": user}
    if tools := members.take_objects("tools"):
        said["tools"] = [tool_to_messages(tool) for tool in tools]
    choice = choice_to_messages(members, has_tools=bool(tools))
    if choice is not None:
        said["tool_choice"] = choice
    said.update(_translate_effort(members))
    if (output := members.take_object("response_format")) is not None:
        said.update(_translate_format(output, said))
    for name, defaults in _DEFAULTS.items():
        members.take_unless(name, *defaults)
    members.end()
    return said


def _translate_sampling(members: Members) -> Json:
    said: Json = {}
    for name in ("stream", "top_p", "temperature"):
        if (value := members.take(name)) is not None:
            said[name] = value
    temperature = said.get("temperature")
    if isinstance(temperature, int | float) and temperature > 1:
        raise members.refusal("temperature (above 1)")
    if (stop := members.take("stop")) is not None:
        said["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    return said


def _translate_messages(given: list[Members]) -> tuple[list[Json], list[Json]]:
    """Return the system prompt, which is what stands before all else, and the messages."""
    system: list[Json] = []
    messages: list[Json] = []
    results: list[Json] | None = None
    for message in given:
        role = message.need_text("role")
        if role == "tool":
            if results is None:  # all results of one turn go back in one message
                results = []
                messages.append({"role": "user", "content": results})
            results.append(_translate_result(message))
        else:
            results = None
            match role:
                case "system" | "developer":
                    texts = _translate_system(message)
                    if messages:
                        messages.append({"role": "system", "content": texts})
                    else:
                        system.extend(texts)
                case "user":
                    messages.append({"role": "user", "content": _translate_content(message)})
                case "assistant":
                    messages.append({"role": "assistant", "content": _translate_assistant(message)})
                case _:
                    raise message.refusal(f"role ({role})")
        message.end()
    return system, messages


def _translate_system(message: Members) -> list[Json]:
    content = as_content(message.take("content"), message.where("content"))
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [part_to_block(part) for part in content]


def _translate_content(message: Members) -> str | list[Json]:
    content = as_content(message.take("content"), message.where("content"))
    return content if isinstance(content, str) else [part_to_block(part) for part in content]


def _translate_assistant(message: Members) -> str | list[Json]:
    message.drop("annotations", "reasoning_content", "reasoning", "reasoning_details")  # unsigned: nobody takes it back
    message.take_unless("function_call")
    message.take_unless("audio")
    refusal = message.take_text("refusal")
    given = message.take("content")
    thinking = [_signed(block) for block in message.take_objects("thinking_blocks")]
    calls = [_translate_call(call) for call in message.take_objects("tool_calls")]
    content = as_content("" if given is None else given, message.where("content"))
    if isinstance(content, str):
        if not (thinking or calls or refusal):
            return content
        texts: list[Json] = [{"type": "text", "text": content}] if content else []
    else:
        texts = [_translate_said(part) for part in content]
    if refusal:
        texts.append({"type": "text", "text": refusal})
    return [*thinking, *texts, *calls]


def _signed(block: Members) -> Json:
    """Return a block of thinking as its provider signed it."""
    block.drop("index")
    return block.rest()


def _translate_said(part: Members) -> Json:
    """Return a part of what the assistant said; a refusal is a text there."""
    if part.peek("type") != "refusal":
        return part_to_block(part)
    part.drop("type")
    text = part.need_text("refusal")
    part.end()
    return {"type": "text", "text": text}


def _translate_call(call: Members) -> Json:
    call.take_unless("type", "function")
    call.drop("index")
    identifier, function = call.need_text("id"), call.need_object("function")
    name, arguments = function.need_text("name"), function.take_text("arguments") or "{}"
    function.end()
    call.end()
    given = arguments_to_input(arguments)
    if given is None:
        where = function.where("arguments")
        raise InvalidBody(f"{where} is not a JSON object.", param=where)
    return {"type": "tool_use", "id": identifier, "name": name, "input": given}


def _translate_result(message: Members) -> Json:
    content = _translate_content(message)
    return {"type": "tool_result", "tool_use_id": message.need_text("tool_call_id"), "content": content}


def _translate_effort(members: Members) -> Json:
    effort = members.take_text("reasoning_effort")
    if effort is None:
        return {}
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if effort not in EFFORTS:
        raise members.refusal(f"reasoning_effort ({effort})")
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}


def _translate_format(output: Members, said: Json) -> Json:
    match kind := output.need_text("type"):
        case "text":
            output.end()
            return {}
        case "json_schema":
            schema = output.need_object("json_schema")
            output.end()
            schema.drop("name", "description", "strict")  # it is always named so, and strict
            asked = schema.need_object("schema").rest()
            schema.end()
            return {
                "output_config": {
                    **object_in(said.get("output_config")),
                    "format": {"type": "json_schema", "schema": asked},
                }
            }
        case _:
            raise output.refusal(f"type ({kind})")
