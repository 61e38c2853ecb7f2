"""Upstreams that speak OpenAI's protocol: OpenAI itself, vLLM, Ollama, DeepSeek, OpenRouter and many more.

Their base URL includes /v1.
"""

from typing import ClassVar

from operis_api.gateway.upstreams.http import HttpProtocol


class OpenAiProtocol(HttpProtocol):
    models_path: ClassVar[str] = "/models"

    def credential_headers(self, api_key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {api_key}"}
