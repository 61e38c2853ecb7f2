"""docs/errors.md lists every code there is, with its status, and no other."""

import importlib
import pkgutil
import re
from pathlib import Path

import operis_api
from operis_api.kit.errors import DomainError
from operis_api.kit.problems import FRAMEWORK_CODES, OTHER_CODE, FrameworkRefusal

ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| `(\w+)` \| (\d{3}|4xx) \| (.+) \| (.+) \|$", re.MULTILINE)


def subclasses_of(kind: type[DomainError]) -> set[type[DomainError]]:
    return {kind} | {found for child in kind.__subclasses__() for found in subclasses_of(child)}


def codes_in_the_code() -> set[tuple[int, str]]:
    """Return status and code of every refusal in the tree."""
    for module in pkgutil.walk_packages(operis_api.__path__, "operis_api."):
        importlib.import_module(module.name)
    named = subclasses_of(DomainError) - {DomainError, FrameworkRefusal}
    own = {(kind.status, kind.code) for kind in named if kind.__module__.startswith("operis_api.")}
    return own | {(status, code) for status, code in FRAMEWORK_CODES.items()}


def test_each_code_is_documented_with_its_status_and_none_beside() -> None:
    text = (ROOT / "docs" / "errors.md").read_text()
    rows = [(status, code) for code, status, _, _ in _ROW.findall(text)]
    assert len(rows) == len(set(rows))
    assert set(rows) == {(str(status), code) for status, code in codes_in_the_code()} | {("4xx", OTHER_CODE)}
    assert [code for _, code in rows] == sorted(code for _, code in rows)


def test_a_code_has_one_status() -> None:
    codes = [code for _, code in codes_in_the_code()]
    assert len(codes) == len(set(codes))


def test_each_refusal_has_words_of_its_own() -> None:
    for kind in subclasses_of(DomainError) - {DomainError, FrameworkRefusal}:
        if kind.__module__.startswith("operis_api."):
            assert {"status", "code", "title"} <= set(vars(kind)), kind
            assert re.fullmatch(r"[a-z][a-z0-9_]*", kind.code), kind
            assert re.fullmatch(r"[A-Z].*\.", kind.title), kind
            assert 400 <= kind.status <= 599, kind
