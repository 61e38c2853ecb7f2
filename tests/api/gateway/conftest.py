"""A provider that speaks Anthropic's protocol, and a model that it serves."""

from collections.abc import AsyncGenerator

import pytest

from operis_client import AsyncOperis
from tests.fakes.anthropic_upstream import API_KEY, AnthropicUpstream, Script, run_anthropic_upstream


@pytest.fixture(scope="session")
async def claude_provider() -> AsyncGenerator[AnthropicUpstream]:
    async with run_anthropic_upstream() as running:
        yield running


@pytest.fixture(scope="session")
async def claude(claude_provider: AnthropicUpstream, admin: AsyncOperis) -> str:
    """A model of that provider alone; 3 and 15 credits per million tokens, cached 0.3, cache writes 3.75 and 6."""
    upstream = await admin.create_upstream(
        name="Fake Anthropic", protocol="anthropic", base_url=claude_provider.base_url, api_key=API_KEY
    )
    await admin.create_model(id="acme/claude", upstream_id=upstream.id, upstream_model="real-claude")
    await admin.create_price(
        model_id="acme/claude",
        input="3",
        output="15",
        cached_input="0.3",
        cache_write_5m="3.75",
        cache_write_1h="6",
    )
    return "acme/claude"


@pytest.fixture
def claude_script(claude_provider: AnthropicUpstream) -> Script:
    """The provider's behaviour in this test, fresh."""
    claude_provider.script = Script()
    claude_provider.calls.clear()
    claude_provider.headers.clear()
    return claude_provider.script
