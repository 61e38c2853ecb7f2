"""Code that calls the gateway, ready to paste."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Snippets:
    curl: str = ""
    python: str = ""
    javascript: str = ""


def write_snippets(api_url: str, secret: str, model: str, prompt: str = "Say hello.") -> Snippets:
    """Write one call in each language. `secret` may be a key or a placeholder for one."""
    messages = json.dumps([{"role": "user", "content": prompt}], ensure_ascii=False)
    return write_calls(api_url, secret, model, messages)


def write_calls(api_url: str, secret: str, model: str, messages: str) -> Snippets:
    """Write a call with given messages, a JSON array."""
    key, name = json.dumps(secret), json.dumps(model)
    body = json.dumps({"model": model, "messages": json.loads(messages)}, ensure_ascii=False)
    payload = body.replace("'", "'\\''")
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
            "answer = client.chat.completions.create(\n"
            f"    model={name},\n"
            f"    messages={messages},\n"
            ")\n"
            "print(answer.choices[0].message.content)"
        ),
        javascript=(
            'import OpenAI from "openai";\n\n'
            f'const client = new OpenAI({{ baseURL: "{api_url}/v1", apiKey: {key} }});\n'
            "const answer = await client.chat.completions.create({\n"
            f"  model: {name},\n"
            f"  messages: {messages},\n"
            "});\n"
            "console.log(answer.choices[0].message.content);"
        ),
    )
