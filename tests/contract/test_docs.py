"""The texts against the repository: links, commands, paths and settings exist, and computed examples are right."""

import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click
import msgspec
import pytest

from operis_api.catalog.pricing import Meters, Price, Tier, charge
from operis_api.cli import cli

ROOT = Path(__file__).resolve().parents[2]
SLICES = ROOT / "apps/api/src/operis_api"
GENERATED = {".venv", ".tools", ".operis", ".web", ".states", "node_modules", ".pytest_cache"}
PAGES = sorted(page for page in ROOT.rglob("*.md") if not GENERATED & set(page.relative_to(ROOT).parts))
README = (ROOT / "README.md").read_text()


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code_of(text: str) -> list[str]:
    """Return what a page shows as code: its blocks, and its words between backticks."""
    blocks: list[str] = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    words: list[str] = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))
    return blocks + words


def headings_of(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    titles: list[str] = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links: list[str] = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} is not there"
        assert not anchor or anchor in headings_of(target), f"{link} names no heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_is_named_can_be_run(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for code in code_of(page.read_text()):
        for command, word in re.findall(r"(?:^|(?<=[\s/]))(make|operis) ([a-z][a-z-]*)", code):
            if command == "make":
                assert word in targets, f"make {word}"
            else:
                assert isinstance(cli, click.Group)
                assert word in cli.commands, f"operis {word}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    slices = "|".join(found.name for found in SLICES.iterdir() if (found / "__init__.py").exists())
    named = rf"(?:apps|packages|docs|migrations|scripts|tests|bench|{slices})/[\w./-]+"
    for code in code_of(page.read_text()):
        if re.fullmatch(named, code):
            assert any((above / code).exists() for above in (ROOT, SLICES, page.parent)), code


def test_the_readme_lists_each_setting_that_is_read_and_no_other() -> None:
    settings = (SLICES / "settings.py").read_text()
    read = set(re.findall(r'"(OPERIS_[A-Z_]+|DATABASE_URL)"', settings))
    listed: list[str] = re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE)
    assert sorted(listed) == sorted(read)


def test_each_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    for page in (ROOT / "docs/adr").glob("0*.md"):
        assert f"({page.name})" in index, f"add {page.name} to docs/adr/README.md"


def test_the_examples_of_the_page_on_money_are_what_the_code_computes() -> None:
    page = (ROOT / "docs/money.md").read_text()
    dear = Meters(input=2_500_000, cached_input=250_000, output=10_000_000, reasoning=10_000_000)
    cheap = Meters(input=37_500, output=150_000)
    price = Price(
        id=UUID(int=0),
        model_id="acme/large",
        effective_from=datetime.now(UTC),
        tiers=(Tier(from_prompt_tokens=0, sale=dear, cost=None),),
    )
    low = msgspec.structs.replace(price, tiers=(Tier(from_prompt_tokens=0, sale=cheap, cost=None),))
    for rates, usage in (
        (price, Meters(input=11, output=7)),
        (price, Meters(input=200, cached_input=1000, output=300, reasoning=50)),
        (low, Meters(input=1)),
        (low, Meters(input=3, output=1)),
    ):
        assert f"| {charge(rates, usage):,} nano" in page

    assert '"required": "0.000385"' in page  # a line of the table of quotes, which has tests of its own
