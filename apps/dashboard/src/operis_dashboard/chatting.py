"""A conversation with a model as the playground keeps it, and how the gateway's stream adds to it."""

from dataclasses import dataclass, field

import msgspec

from operis_dashboard.formatting import Shown

PROMPT_CHARACTERS_MAX = 100_000
MESSAGES_MAX = 100


@dataclass(frozen=True)
class ChatLine:
    role: str = "user"
    text: str = ""
    tokens_in: str = ""
    tokens_out: str = ""
    cost: Shown = field(default_factory=Shown)
    model: str = ""
    took: str = ""
    first: str = ""
    """How long the first words took."""
    note: str = ""
    """Why the answer ends where it does, when it was cut."""


class Delta(msgspec.Struct):
    content: str | None = None


class Choice(msgspec.Struct):
    delta: Delta = msgspec.field(default_factory=Delta)
    finish_reason: str | None = None


class Tokens(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: str | None = None


class StreamError(msgspec.Struct):
    message: str = ""


class Chunk(msgspec.Struct):
    """One `data:` line of a streamed chat completion, as far as the playground reads it."""

    choices: list[Choice] = []
    usage: Tokens | None = None
    error: StreamError | None = None

    @property
    def text(self) -> str:
        return "".join(choice.delta.content or "" for choice in self.choices)

    @property
    def cut(self) -> bool:
        """Whether the answer ended because it reached its limit of tokens."""
        return any(choice.finish_reason == "length" for choice in self.choices)


def read_chunk(payload: str) -> Chunk:
    """Decode a chunk; one of a shape we do not know adds nothing."""
    try:
        return msgspec.json.decode(payload, type=Chunk)
    except msgspec.MsgspecError:
        return Chunk()


def write_messages(system: str, lines: list[ChatLine]) -> list[dict[str, str]]:
    """Return the conversation in OpenAI's form."""
    opening = [{"role": "system", "content": system}] if system.strip() else []
    return [*opening, *({"role": line.role, "content": line.text} for line in lines if line.text)]
