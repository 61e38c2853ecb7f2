"""Code that calls the gateway, ready to paste."""

import json
from dataclasses import dataclass
from typing import Any

_MAX_TOKENS = 1024
"""Anthropic's clients have to name a limit."""


@dataclass(frozen=True)
class Snippets:
    curl: str = ""
    python: str = ""
    javascript: str = ""
    anthropic: str = ""


def write_snippets(api_url: str, secret: str, model: str, prompt: str = "Say hello.") -> Snippets:
    """Write one call in each language. `secret` may be a key or a placeholder for one."""
    return write_calls(api_url, secret, {"model": model, "messages": [{"role": "user", "content": prompt}]})


def write_calls(api_url: str, secret: str, body: dict[str, Any]) -> Snippets:
    """Write a chat completion with this body in each language, and the same as a message of Anthropic's."""
    key = json.dumps(secret)
    payload = _json(body).replace("'", "'\\''")
    return Snippets(
        curl=(
            f"curl {api_url}/v1/chat/completions \\\n"
            f'  -H "Authorization: Bearer {secret}" \\\n'
            f'  -H "Content-Type: application/json" \\\n'
            f"  -d '{payload}'"
        ),
        python=(
            "from openai import OpenAI\n\n"
            f'client = OpenAI(base_url="{api_url}/v1", api_key={key})\n'
            f"answer = client.chat.completions.create(\n{_keywords(body)})\n"
            "print(answer.choices[0].message.content)"
        ),
        javascript=(
            'import OpenAI from "openai";\n\n'
            f'const client = new OpenAI({{ baseURL: "{api_url}/v1", apiKey: {key} }});\n'
            f"const answer = await client.chat.completions.create({{\n{_members(body)}}});\n"
            "console.log(answer.choices[0].message.content);"
        ),
        anthropic=(
            "from anthropic import Anthropic\n\n"
            f'client = Anthropic(base_url="{api_url}", api_key={key})\n'
            f"answer = client.messages.create(\n{_keywords(_as_message(body))})\n"
            'print("".join(block.text for block in answer.content if block.type == "text"))'
        ),
    )


def _as_message(body: dict[str, Any]) -> dict[str, Any]:
    """Return the same call as Anthropic's clients write it: the system prompt beside the messages, a limit always."""
    system = "\n\n".join(line["content"] for line in body["messages"] if line["role"] == "system")
    rest = {name: value for name, value in body.items() if name not in {"messages", "max_tokens"}}
    return {
        **rest,
        "max_tokens": body.get("max_tokens", _MAX_TOKENS),
        **({"system": system} if system else {}),
        "messages": [line for line in body["messages"] if line["role"] != "system"],
    }


def _keywords(body: dict[str, Any]) -> str:
    """Write Python's keyword arguments. What a call holds is text, numbers, lists and objects: JSON reads the same."""
    return "".join(f"    {name}={_json(value)},\n" for name, value in body.items())


def _members(body: dict[str, Any]) -> str:
    return "".join(f"  {name}: {_json(value)},\n" for name, value in body.items())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
