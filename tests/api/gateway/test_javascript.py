"""OpenAI's and Anthropic's SDKs for JavaScript, as customers install them, against a running API."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.factories import Account, mint
from tests.fakes.anthropic_upstream import Script as ClaudeScript
from tests.fakes.openai_upstream import Script
from tests.running import Api

HERE = Path(__file__).resolve().parents[2] / "node"
INSTALL_SECONDS = 300
RUN_SECONDS = 120
LOOK = {"where": "Hà Nội"}


async def run(*command: str, where: Path, seconds: float) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=where, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), seconds)
    assert process.returncode == 0, output.decode()
    return output.decode()


def find(tool: str) -> str:
    """Return the machine's own node or npm; where there is none, that of the environment."""
    found = shutil.which(tool) or shutil.which(tool, path=str(Path(sys.executable).parent))
    assert found is not None, f"{tool} is missing: run `make setup`"
    return found


@pytest.fixture(scope="session")
async def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts and the SDKs that package-lock.json names."""
    where = tmp_path_factory.mktemp("node") / "sdks"
    shutil.copytree(HERE, where, ignore=shutil.ignore_patterns("node_modules"))
    await run(find("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", where=where, seconds=INSTALL_SECONDS)
    return where


def test_the_lock_names_no_registry_but_the_public_one() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    named = [package["resolved"] for package in lock["packages"].values() if "resolved" in package]
    assert all(address.startswith("https://registry.npmjs.org/") for address in named)
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


async def test_the_javascript_sdks_chat_stream_and_are_refused_as_by_the_originals(
    api: Api,
    ada: Account,
    scripts: Path,
    script: Script,
    real_model: str,
    claude_script: ClaudeScript,
    claude: str,
) -> None:
    key = await mint(ada)
    told = await run(
        find("node"), "sdks.mjs", api.base_url, key, real_model, claude, where=scripts, seconds=RUN_SECONDS
    )
    assert told.endswith("sdks: ok\n")
    assert (await ada.client.get_wallet()).held == "0"
    assert script.status == claude_script.status == 200


async def test_the_javascript_sdks_go_through_a_loop_of_tools(
    api: Api,
    ada: Account,
    scripts: Path,
    script: Script,
    real_model: str,
    claude_script: ClaudeScript,
    claude: str,
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"where": "Hà Nội"}'}}
    script.words, script.tool_calls, script.finish_reason = [], [call], "tool_calls"
    claude_script.blocks = [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": LOOK}]
    claude_script.stop_reason = "tool_use"
    key = await mint(ada)
    told = await run(
        find("node"), "tools.mjs", api.base_url, key, real_model, claude, where=scripts, seconds=RUN_SECONDS
    )
    assert told.endswith("tools: ok\n")
