"""Upstreams that speak Anthropic's protocol. Their base URL does not include /v1."""

from typing import ClassVar

from operis_api.gateway.dialects.anthropic.request import VERSION
from operis_api.gateway.upstreams.http import HttpProtocol


class AnthropicProtocol(HttpProtocol):
    models_path: ClassVar[str] = "/v1/models"

    def credential_headers(self, api_key: str) -> dict[str, str]:
        return {"x-api-key": api_key, "anthropic-version": VERSION}
