"""What a chat completion used: OpenAI's usage object as disjoint meters, and where its cost is written."""

import msgspec

from operis_api.catalog.pricing import COUNT_MAX, Meters
from operis_api.gateway.dialects import (
    ABSENT,
    UNREADABLE,
    AnswerMeter,
    Meter,
    StreamMeter,
    count_bytes,
    encode_raw,
    is_given,
    is_object,
)
from operis_api.gateway.dialects.events import payload_of, split_events

_DONE = b"data: [DONE]\n\n"


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class _AnswerDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _UsageObject(msgspec.Struct):
    """Of chat completions and embeddings; of the Responses API, which counts the same under other names."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _AnswerDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name for cached tokens."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _PromptDetails | None = None
    output_tokens_details: _AnswerDetails | None = None

    @property
    def prompt(self) -> int:
        return self.prompt_tokens if self.prompt_tokens is not None else self.input_tokens or 0

    @property
    def completion(self) -> int:
        return (self.output_tokens if self.completion_tokens is None else self.completion_tokens) or 0

    def as_meters(self) -> Meters:
        """Return the counts as meters, which add up to the prompt, and to the rest of the total."""
        prompt = self.prompt_tokens_details or self.input_tokens_details or _PromptDetails()
        answer = self.completion_tokens_details or self.output_tokens_details or _AnswerDetails()
        cached = prompt.cached_tokens if prompt.cached_tokens is not None else self.prompt_cache_hit_tokens or 0
        written = prompt.cache_write_tokens or 0
        audio_input = min(prompt.audio_tokens or 0, self.prompt - cached - written)  # cached audio counts as cached
        reasoning, audio_output, image = (
            answer.reasoning_tokens or 0,
            answer.audio_tokens or 0,
            answer.image_tokens or 0,
        )
        # Gemini and xAI count what was thought beside `completion_tokens`, and in the total alone.
        beside = max((self.total_tokens or 0) - self.prompt - self.completion, 0)
        reasoning = max(reasoning, beside)
        return Meters(
            input=self.prompt - cached - written - audio_input,
            cached_input=cached,
            cache_write_5m=written,
            audio_input=audio_input,
            output=self.completion + beside - reasoning - audio_output - image,
            reasoning=reasoning,
            audio_output=audio_output,
            image=image,
            per_request=1,
        )


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = ABSENT


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct, gc=False):
    """A whole answer or one chunk of a stream."""

    choices: list[_Choice] = []
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_answers = msgspec.json.Decoder(_Answer)
_usages = msgspec.json.Decoder(_UsageObject | None)


def read_usage(raw: msgspec.Raw | bytes) -> Meters | None:
    """Return an OpenAI usage object as meters; None where it is absent or cannot be believed.

    Cached tokens, cache writes and audio are parts of the prompt; reasoning, audio and images are parts of the answer
    (https://platform.openai.com/docs/api-reference/chat/object).
    """
    try:
        usage = _usages.decode(raw)
    except UNREADABLE:
        return None
    if usage is None or (usage.prompt_tokens is None and usage.input_tokens is None):
        return None
    meters = usage.as_meters()
    counts = (usage.prompt, usage.completion, *msgspec.structs.astuple(meters))
    return meters if all(0 <= count <= COUNT_MAX for count in counts) else None


class _ChatMeter(Meter):
    def read(self, payload: bytes) -> _Answer | None:
        """Take note of a whole answer or one chunk; None where it is not one."""
        try:
            answer = _answers.decode(payload)
        except UNREADABLE:
            return None
        if is_given(answer.error):
            self.failed = True
        for choice in answer.choices:
            self.answered = True
            self.finish_reason = choice.finish_reason or self.finish_reason
            part = choice.delta or choice.message
            if part is not None:
                self._text_bytes += _text_bytes(part)
        if is_given(answer.usage):
            self.reported = read_usage(answer.usage) or self.reported
        return answer


def _text_bytes(part: _Delta) -> int:
    found = len(part.tool_calls) if is_given(part.tool_calls) else 0
    for text in (part.content, part.reasoning_content, part.refusal):
        if text:
            found += count_bytes(text)
    return found


class ChatAnswerMeter(_ChatMeter, AnswerMeter):
    def read_answer(self, body: bytes) -> bool:
        return self.read(body) is not None and not self.failed and self.answered

    def add_cost(self, body: bytes, cost: str) -> bytes:
        return add_cost(body, self.usage, cost)


class ChatStreamMeter(_ChatMeter, StreamMeter):
    """Holds back the usage chunk, which is passed on only where it was asked for, and [DONE]."""

    def __init__(self, prompt_tokens_estimate: int, *, wants_usage: bool) -> None:
        super().__init__(prompt_tokens_estimate)
        self._wants_usage = wants_usage
        self._usage_chunk: bytes | None = None
        self._first_chunk: bytes | None = None

    def feed(self, received: bytes) -> bytes:
        whole = self._take_whole(received)
        events = split_events(whole)
        kept = [event for event in events if self._keep(event)]
        return whole if len(kept) == len(events) else b"".join(kept)

    def end(self, cost: str | None) -> bytes:
        if cost is None or not self._wants_usage:
            return _DONE
        chunk = self._usage_chunk
        if chunk is None:
            frame = msgspec.json.decode(self._first_chunk or b"{}", type=dict[str, msgspec.Raw])
            no_choices: list[object] = []
            chunk = msgspec.json.encode({**frame, "choices": no_choices, "usage": None})
        return b"data: " + add_cost(chunk, self.usage, cost) + b"\n\n" + _DONE

    def _keep(self, event: bytes) -> bool:
        """Read one event; False where it is not to be passed on."""
        payload = payload_of(event)
        if payload is None:
            return not self.done
        if payload == b"[DONE]":
            self.done = True
            return False
        answer = self.read(payload)
        if answer is None or self.failed:
            self.failed = True
            return False
        if not answer.choices and is_given(answer.usage):
            self._usage_chunk = payload
            return False
        if self._first_chunk is None:
            self._first_chunk = payload
        return not self.done


def add_cost(answer: bytes, usage: Meters, cost: str) -> bytes:
    """Return a whole answer or a chunk with `cost` in its usage object, everything else as it was.

    Where the upstream sent no usage object, it is made from ours. Never fails: the charge is durable by now.
    """
    members = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
    given = members.get("usage", ABSENT)
    if is_object(given):
        reported = msgspec.json.decode(given, type=dict[str, msgspec.Raw])
        reported["cost"] = encode_raw(cost)
        members["usage"] = encode_raw(reported)
    else:
        members["usage"] = encode_raw(usage_object(usage, cost))
    return msgspec.json.encode(members)


def usage_object(usage: Meters, cost: str | None) -> dict[str, object]:
    """Return a usage object made from meters."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    made: dict[str, object] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    written = usage.cache_write_5m + usage.cache_write_1h
    if usage.cached_input or written:
        made["prompt_tokens_details"] = {"cached_tokens": usage.cached_input, "cache_write_tokens": written}
    if usage.reasoning:
        made["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return made if cost is None else {**made, "cost": cost}
