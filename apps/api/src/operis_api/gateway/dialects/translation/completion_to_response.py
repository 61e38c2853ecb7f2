"""A chat completion as an OpenAI response, whole or as its events."""

from operis_api.gateway.dialects.translation.answers import reasoning_in
from operis_api.gateway.dialects.translation.reading import Json, object_in, objects_in, text_in
from operis_api.gateway.dialects.translation.streams import StreamTranslation, encode_event

_ECHOED = ("instructions", "max_output_tokens", "temperature", "top_p", "user")
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_PARTS = {"output_text": "text", "refusal": "refusal"}
"""The kinds of parts of a message, and where each has its text."""


def frame_response(request: Json, created: int) -> Json:
    """Return what a response says of its request, before there is an answer."""
    nothing: list[Json] = []
    return {
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        **{name: request.get(name) for name in _ECHOED},
        "metadata": request.get("metadata") or {},
        "output": nothing,
        "parallel_tool_calls": request.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None, **object_in(request.get("reasoning"))},
        "store": False,
        "text": {"format": {"type": "text"}, **object_in(request.get("text"))},
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": request.get("tools") or nothing,
        "truncation": request.get("truncation") or "disabled",
        "usage": None,
    }


def completion_to_response(completion: Json, frame: Json) -> Json:
    """Return the first choice of a chat completion as a response."""
    nothing: Json = {}
    choice = next(iter(objects_in(completion.get("choices"))), nothing)
    said = object_in(choice.get("message"))
    identifier = text_in(completion.get("id"))
    output: list[Json] = []
    if thought := reasoning_in(said):
        output.append(_reasoning(f"rs_{identifier}_0", thought))
    for kind, member in (("output_text", "content"), ("refusal", "refusal")):
        if text := text_in(said.get(member)):
            output.append(_message(f"msg_{identifier}_{len(output)}", kind, text))
    for call in objects_in(said.get("tool_calls")):
        function = object_in(call.get("function"))
        output.append(
            _function_call(text_in(call.get("id")), text_in(function.get("name")), text_in(function.get("arguments")))
        )
    return {**_named(frame, completion), **_end(text_in(choice.get("finish_reason"))), "output": output}


class ChunksToResponse(StreamTranslation):
    """Chat chunks as a response's events."""

    def __init__(self, frame: Json) -> None:
        self._frame = frame
        self._sequence = 0
        self._identifier = ""
        self._begun = False
        self._output: list[Json] = []
        self._kind: str | None = None
        """What is open: reasoning, or a kind of part of a message."""
        self._text = ""
        self._calls: dict[int, int] = {}
        """Where each tool's call stands in the output, by its index in the chat."""
        self._finish_reason = "stop"

    def feed(self, payload: Json) -> bytes:
        events = b"" if self._begun else self._begin(payload)
        for choice in objects_in(payload.get("choices"))[:1]:
            delta = object_in(choice.get("delta"))
            for kind, text in (
                ("reasoning", reasoning_in(delta)),
                ("output_text", text_in(delta.get("content"))),
                ("refusal", text_in(delta.get("refusal"))),
            ):
                if text:
                    events += self._turn_to(kind) + self._add(text)
            for call in objects_in(delta.get("tool_calls")):
                events += self._call(call)
            self._finish_reason = text_in(choice.get("finish_reason")) or self._finish_reason
        return events

    def end(self, usage: Json) -> bytes:
        events = b"" if self._begun else self._begin({})
        events += self._close()
        for at in self._calls.values():
            item = self._output[at]
            item["status"] = "completed"
            events += self._tell(
                "response.function_call_arguments.done",
                item_id=item["id"],
                name=item["name"],
                output_index=at,
                arguments=item["arguments"],
            )
            events += self._tell("response.output_item.done", output_index=at, item=item)
        response = {**self._frame, **_end(self._finish_reason), "output": self._output, "usage": usage}
        return events + self._tell(f"response.{response['status']}", response=response)

    def _begin(self, chunk: Json) -> bytes:
        self._begun = True
        self._identifier = text_in(chunk.get("id"))
        self._frame = _named(self._frame, chunk)
        return self._tell("response.created", response=self._frame) + self._tell(
            "response.in_progress", response=self._frame
        )

    def _turn_to(self, kind: str) -> bytes:
        """Return what opens an item of this kind, unless it is open."""
        if self._kind == kind:
            return b""
        events = self._close()
        self._kind, self._text = kind, ""
        suffix = f"{self._identifier}_{len(self._output)}"
        item = _reasoning(f"rs_{suffix}", "") if kind == "reasoning" else _message(f"msg_{suffix}", kind, "")
        self._output.append(item)
        nothing: list[Json] = []
        events += self._tell(
            "response.output_item.added",
            output_index=len(self._output) - 1,
            item={**item, "status": "in_progress", "content": nothing},
        )
        return events + self._tell_part("response.content_part.added", part=objects_in(item["content"])[0])

    def _add(self, text: str) -> bytes:
        self._text += text
        more: Json = {"logprobs": []} if self._kind == "output_text" else {}
        return self._tell_part(f"response.{self._name}.delta", delta=text, **more)

    def _close(self) -> bytes:
        if self._kind is None:
            return b""
        item = self._output[-1]
        part = objects_in(item["content"])[0]
        member = _PARTS.get(self._kind, "text")
        part[member] = self._text
        more: Json = {"logprobs": []} if self._kind == "output_text" else {}
        events = self._tell_part(f"response.{self._name}.done", **{member: self._text}, **more)
        events += self._tell_part("response.content_part.done", part=part)
        self._kind = None
        return events + self._tell("response.output_item.done", output_index=len(self._output) - 1, item=item)

    def _call(self, call: Json) -> bytes:
        function, given = object_in(call.get("function")), call.get("index")
        index = given if isinstance(given, int) else len(self._calls)
        events = b""
        if index not in self._calls:
            events = self._close()
            self._calls[index] = len(self._output)
            item = _function_call(text_in(call.get("id")), text_in(function.get("name")), "")
            item["status"] = "in_progress"
            self._output.append(item)
            events += self._tell("response.output_item.added", output_index=len(self._output) - 1, item=item)
        if arguments := text_in(function.get("arguments")):
            at = self._calls[index]
            item = self._output[at]
            item["arguments"] = text_in(item["arguments"]) + arguments
            events += self._tell(
                "response.function_call_arguments.delta", item_id=item["id"], output_index=at, delta=arguments
            )
        return events

    @property
    def _name(self) -> str:
        return "reasoning_text" if self._kind == "reasoning" else str(self._kind)

    def _tell_part(self, kind: str, **members: object) -> bytes:
        """Return an event of the part that is open."""
        at = len(self._output) - 1
        return self._tell(kind, item_id=self._output[at]["id"], output_index=at, content_index=0, **members)

    def _tell(self, kind: str, **members: object) -> bytes:
        self._sequence += 1
        return encode_event(kind, sequence_number=self._sequence - 1, **members)


def _named(frame: Json, completion: Json) -> Json:
    return {"id": f"resp_{text_in(completion.get('id'))}", **frame, "model": completion.get("model")}


def _end(finish_reason: str) -> Json:
    reason = _INCOMPLETE.get(finish_reason)
    if reason is None:
        return {"status": "completed"}
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def _reasoning(identifier: str, text: str) -> Json:
    content = [{"type": "reasoning_text", "text": text}]
    summary: list[Json] = []
    return {"id": identifier, "type": "reasoning", "summary": summary, "content": content}


def _message(identifier: str, kind: str, text: str) -> Json:
    more: Json = {"annotations": [], "logprobs": []} if kind == "output_text" else {}
    content = [{"type": kind, _PARTS[kind]: text, **more}]
    return {
        "id": identifier,
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }


def _function_call(identifier: str, name: str, arguments: str) -> Json:
    return {
        "id": f"fc_{identifier}",
        "type": "function_call",
        "call_id": identifier,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }
