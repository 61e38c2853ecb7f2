"""What an answer used: OpenAI's usage object as disjoint meters, found in whole answers and in streams."""

import re

import msgspec

from operis_api.catalog.pricing import COUNT_MAX, Meters
from operis_api.gateway.chat_request import estimate_tokens

EVENT_BYTES_MAX = 8 * 1024 * 1024
_ABSENT = msgspec.Raw()
_EVENT_END = re.compile(rb"\r?\n\r?\n")


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    audio_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class _UsageObject(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = _ABSENT


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    """A whole answer or one chunk of a stream."""

    choices: list[_Choice] = []
    usage: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT


_answers = msgspec.json.Decoder(_Answer)
_usages = msgspec.json.Decoder(_UsageObject | None)


def read_usage(raw: msgspec.Raw | bytes) -> Meters | None:
    """Return an OpenAI usage object as meters; None where it is absent or cannot be believed.

    `cached_tokens` and audio are parts of `prompt_tokens`, reasoning and audio are parts of `completion_tokens`
    (https://platform.openai.com/docs/api-reference/chat/object).
    """
    try:
        usage = _usages.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if usage is None:
        return None
    prompt = usage.prompt_tokens_details or _PromptDetails()
    completion = usage.completion_tokens_details or _CompletionDetails()
    cached, audio_input = prompt.cached_tokens or 0, prompt.audio_tokens or 0
    reasoning, audio_output = completion.reasoning_tokens or 0, completion.audio_tokens or 0
    meters = Meters(
        input=usage.prompt_tokens - cached - audio_input,
        cached_input=cached,
        audio_input=audio_input,
        output=usage.completion_tokens - reasoning - audio_output,
        reasoning=reasoning,
        audio_output=audio_output,
        per_request=1,
    )
    counts = (usage.prompt_tokens, usage.completion_tokens, *msgspec.structs.astuple(meters))
    return meters if all(0 <= count <= COUNT_MAX for count in counts) else None


def is_given(member: msgspec.Raw) -> bool:
    """Tell whether a member is there and not null."""
    return bool(member) and bytes(member) != b"null"


class AnswerMeter:
    """Collects what an answer used and how it ended, from its bytes."""

    def __init__(self, prompt_tokens_estimate: int) -> None:
        self._prompt_tokens_estimate = prompt_tokens_estimate
        self._text_bytes = 0
        self.reported: Meters | None = None
        self.finish_reason: str | None = None
        self.failed = False
        self.answered = False
        """Whether anything of an answer was seen."""

    @property
    def output_tokens(self) -> int:
        """Estimated tokens seen so far."""
        return estimate_tokens(self._text_bytes)

    @property
    def usage(self) -> Meters:
        return self.reported or Meters(input=self._prompt_tokens_estimate, output=self.output_tokens, per_request=1)

    def read(self, payload: bytes) -> _Answer | None:
        """Take note of a whole answer or one chunk; None where it is not one."""
        try:
            answer = _answers.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
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
            found += len(text) if text.isascii() else len(text.encode())
    return found


class StreamMeter(AnswerMeter):
    """Relays a server-sent event stream as bytes, holding back its end: the usage chunk and [DONE]."""

    def __init__(self, prompt_tokens_estimate: int) -> None:
        super().__init__(prompt_tokens_estimate)
        self._buffer = b""
        self.usage_event: bytes | None = None
        self.first_chunk: bytes | None = None
        self.done = False

    @property
    def complete(self) -> bool:
        return not self.failed and (self.done or self.finish_reason is not None) and self.answered

    def feed(self, received: bytes) -> bytes:
        """Take bytes from the upstream and return those to pass on now: whole events, unchanged."""
        buffer = self._buffer + received if self._buffer else received
        whole, self._buffer = _cut_events(buffer)
        if len(self._buffer) > EVENT_BYTES_MAX:
            self.failed = True
            self._buffer = b""
        events = _split_events(whole)
        kept = [event for event in events if self._keep(event)]
        return whole if len(kept) == len(events) else b"".join(kept)

    def _keep(self, event: bytes) -> bool:
        """Read one event; False where it is not to be passed on: our own [DONE] and usage follow the settlement."""
        payload = _payload_of(event)
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
            self.usage_event = payload
            return False
        if self.first_chunk is None:
            self.first_chunk = payload
        return not self.done


def _cut_events(buffer: bytes) -> tuple[bytes, bytes]:
    """Return what of the buffer is whole events, and the rest."""
    end = buffer.rfind(b"\n\n") + 2
    if b"\r" in buffer:
        end = max([1, *(found.end() for found in _EVENT_END.finditer(buffer))])
    return (buffer[:end], buffer[end:]) if end > 1 else (b"", buffer)


def _split_events(whole: bytes) -> list[bytes]:
    """Return the events of whole events, each with its blank line."""
    if b"\r" not in whole:
        return [event + b"\n\n" for event in whole.split(b"\n\n")[:-1]]
    ends = [found.end() for found in _EVENT_END.finditer(whole)]
    return [whole[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def _payload_of(event: bytes) -> bytes | None:
    """Return the data of an event, its lines joined; None for comments and events without data."""
    if event.startswith(b"data: ") and event.count(b"\n") <= 2:
        return event[6:].strip()
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
