"""What a provider would ask more for than the model's price is refused before anything is held or forwarded."""

from typing import Any

import pytest

from tests.factories import Account, mint
from tests.fakes.anthropic_upstream import AnthropicUpstream
from tests.fakes.anthropic_upstream import Script as ClaudeScript
from tests.fakes.openai_upstream import OpenAIUpstream, Script
from tests.running import Api

QUESTION: Any = [{"role": "user", "content": "What is the answer?"}]
CHAT: dict[str, Any] = {"messages": QUESTION, "max_tokens": 50}
RESPONSE: dict[str, Any] = {"input": "What is the answer?", "max_output_tokens": 50}


@pytest.mark.parametrize(
    ("path", "asked", "param"),
    [
        ("chat/completions", {**CHAT, "web_search_options": {}}, "web_search_options"),
        ("chat/completions", {**CHAT, "web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ("chat/completions", {**CHAT, "search_parameters": {"mode": "auto"}}, "search_parameters"),
        ("chat/completions", {**CHAT, "plugins": [{"id": "web"}]}, "plugins"),
        ("chat/completions", {**CHAT, "enable_search": True}, "enable_search"),
        ("chat/completions", {**CHAT, "service_tier": "priority"}, "service_tier"),
        ("chat/completions", {**CHAT, "tools": [{"type": "web_search"}]}, "tools[0].type"),
        ("responses", {**RESPONSE, "tools": [{"type": "code_interpreter"}]}, "tools[0].type"),
        ("responses", {**RESPONSE, "service_tier": "priority"}, "service_tier"),
        ("messages", {**CHAT, "tools": [{"type": "web_search_20260101", "name": "web_search"}]}, "tools[0].type"),
        ("messages", {**CHAT, "tools": [{"name": "mine"}, {"type": "code_execution_20260101"}]}, "tools[1].type"),
        ("messages", {**CHAT, "mcp_servers": [{"type": "url", "url": "https://example.com"}]}, "mcp_servers"),
        ("messages", {**CHAT, "container": "container_1"}, "container"),
        ("messages", {**CHAT, "speed": "fast"}, "speed"),
        ("messages", {**CHAT, "inference_geo": "us"}, "inference_geo"),
        ("messages", {**CHAT, "w\u0065b_search_options": {}}, "web_search_options"),
    ],
)
async def test_what_costs_more_than_tokens_is_refused_by_its_name(
    api: Api,
    ada: Account,
    provider: OpenAIUpstream,
    script: Script,
    real_model: str,
    claude_provider: AnthropicUpstream,
    claude_script: ClaudeScript,
    claude: str,
    path: str,
    asked: dict[str, Any],
    param: str,
) -> None:
    model = claude if path == "messages" else real_model
    answer = await api.http.post(
        f"{api.base_url}/v1/{path}",
        json={"model": model, **asked},
        headers={"Authorization": f"Bearer {await mint(ada)}"},
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "not_offered", param)
    assert provider.calls == claude_provider.calls == []
    assert await ada.available() == "1"


@pytest.mark.parametrize(
    "members",
    [
        {"web_search_options": None, "enable_search": False, "service_tier": "auto"},
        {"service_tier": "flex", "tools": [{"type": "function", "function": {"name": "look"}}]},
        {"x_something_new": {"deep": [1]}},
    ],
)
async def test_what_costs_nothing_more_passes(
    api: Api, ada: Account, provider: OpenAIUpstream, script: Script, real_model: str, members: dict[str, Any]
) -> None:
    answer = await api.http.post(
        f"{api.base_url}/v1/chat/completions",
        json={"model": real_model, **CHAT, **members},
        headers={"Authorization": f"Bearer {await mint(ada)}"},
    )
    assert answer.status_code == 200
    assert {**provider.calls[-1], **members} == provider.calls[-1]
    assert script.status == 200


async def test_tools_that_the_caller_runs_pass_by_whichever_name(
    api: Api, ada: Account, claude_provider: AnthropicUpstream, claude_script: ClaudeScript, claude: str
) -> None:
    kinds = ["bash_20250124", "text_editor_20250728", "computer_20251124", "memory_20250818", "custom"]
    tools = [{"type": kind, "name": f"tool_{nth}"} for nth, kind in enumerate(kinds)] + [{"name": "untyped"}]
    answer = await api.http.post(
        f"{api.base_url}/v1/messages",
        json={"model": claude, **CHAT, "tools": tools},
        headers={"x-api-key": await mint(ada)},
    )
    assert answer.status_code == 200
    assert claude_provider.calls[-1]["tools"] == tools
    assert claude_script.stop_reason == "end_turn"
