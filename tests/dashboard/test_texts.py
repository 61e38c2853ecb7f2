"""The two catalogues say the same things."""

import re
from pathlib import Path
from string import Formatter

import operis_dashboard
from operis_dashboard.texts import LANGUAGES
from operis_dashboard.texts.en import ENGLISH
from operis_dashboard.texts.vi import VIETNAMESE

SOURCES = [
    path.read_text() for path in Path(operis_dashboard.__file__).parent.rglob("*.py") if path.parent.name != "texts"
]


def test_every_text_exists_in_both_languages_with_the_same_facts() -> None:
    assert ENGLISH.keys() == VIETNAMESE.keys()
    for key, text in ENGLISH.items():
        assert _facts(text) == _facts(VIETNAMESE[key]), key


def test_every_text_that_a_page_asks_for_exists() -> None:
    asked = {key for source in SOURCES for key in re.findall(r'(?:\bt|_say)\(\s*"([a-z_]+\.[a-z_]+)"', source)}
    assert len(asked) > 150
    assert asked <= ENGLISH.keys()


def test_no_text_is_left_over() -> None:
    families = {
        "role",
        "grant",
        "meter",
        "entry",
        "account",
        "alert",
        "status",
        "nav",
        "limit",
        "overlap",
    }  # asked for by a code from the API, or a route
    everything = "".join(SOURCES)
    unused = [key for key in ENGLISH if key.split(".")[0] not in families and f'"{key}"' not in everything]
    assert unused == []


def test_languages_are_named_by_their_tags() -> None:
    assert list(LANGUAGES) == ["en", "vi"]


def _facts(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}
