"""Whole answers: an Anthropic message as a chat completion, and back. Usage is not theirs to say."""

from operis_api.gateway.dialects.translation.reading import Json, object_in, objects_in, text_in
from operis_api.gateway.dialects.translation.tools import arguments_to_input, input_to_arguments

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_THINKING = ("thinking", "redacted_thinking")


def message_to_completion(message: Json, created: int) -> Json:
    """Return a message as a chat completion; `created` is Unix time, which messages do not tell.

    Thinking is told as a text in `reasoning_content`, and whole in `thinking_blocks`, which an assistant message of
    the next request may bring back.
    """
    blocks = objects_in(message.get("content"))
    texts = [text_in(block.get("text")) for block in blocks if block.get("type") == "text"]
    calls = [_block_to_call(block) for block in blocks if block.get("type") == "tool_use"]
    thinking = [block for block in blocks if block.get("type") in _THINKING]
    said: Json = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
    if thinking:
        said["reasoning_content"] = "".join(text_in(block.get("thinking")) for block in thinking)
        said["thinking_blocks"] = thinking
    if calls:
        said["tool_calls"] = calls
    reason = FINISH_REASONS.get(text_in(message.get("stop_reason")), "stop")
    return {
        "id": message.get("id"),
        "object": "chat.completion",
        "created": created,
        "model": message.get("model"),
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": reason}],
    }


def completion_to_message(completion: Json) -> Json:
    """Return the first choice of a chat completion as a message."""
    nothing: Json = {}
    choice = next(iter(objects_in(completion.get("choices"))), nothing)
    said = object_in(choice.get("message"))
    content: list[Json] = []
    if reasoning := reasoning_in(said):
        content.append({"type": "thinking", "thinking": reasoning, "signature": ""})
    if text := text_in(said.get("content")) or text_in(said.get("refusal")):
        content.append({"type": "text", "text": text})
    content.extend(_call_to_block(call) for call in objects_in(said.get("tool_calls")))
    return {
        "id": completion.get("id"),
        "type": "message",
        "role": "assistant",
        "model": completion.get("model"),
        "content": content,
        "stop_reason": STOP_REASONS.get(text_in(choice.get("finish_reason")), "end_turn"),
        "stop_sequence": None,
    }


def reasoning_in(said: Json) -> str:
    """Return the reasoning of a message or a delta, by either of the names that providers use."""
    return text_in(said.get("reasoning_content")) or text_in(said.get("reasoning"))


def _block_to_call(block: Json) -> Json:
    function: Json = {"name": block.get("name"), "arguments": input_to_arguments(block.get("input") or {})}
    return {"id": block.get("id"), "type": "function", "function": function}


def _call_to_block(call: Json) -> Json:
    function = object_in(call.get("function"))
    arguments = text_in(function.get("arguments"))
    given = arguments_to_input(arguments or "{}")
    if given is None:  # as Anthropic tells its own clients to hand on what is no JSON
        given = {"INVALID_JSON": arguments}
    return {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": given}
