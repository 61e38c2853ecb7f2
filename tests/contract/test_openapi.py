"""docs/openapi.json is what the app does, and says of each operation what it may refuse."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operis_api.openapi import PUBLIC
from tests.contract.test_errors import codes_in_the_code

OF_HTTP_ITSELF = {"unsupported_media_type"}
"""Codes that no operation has: they are decided before it is known which."""
ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "openapi.json").read_text()
DOCUMENT: dict[str, Any] = json.loads(TEXT)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_the_document_is_what_the_app_does(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "operis_api.cli", "openapi", "--check"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "OPERIS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_operation_has_a_name_of_its_own_a_description_and_one_success() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names)) > 40
    for method, path, operation in operations():
        assert operation.get("description"), f"{method} {path} says nothing"
        assert len([status for status in operation["responses"] if status.startswith("2")]) == 1
        assert operation["tags"], f"{method} {path}"


def test_each_operation_says_who_may_call_it() -> None:
    for _, path, operation in operations():
        schemes = [name for scheme in operation["security"] for name in scheme]
        if operation["operationId"] in PUBLIC:
            assert schemes == []
        elif path.startswith("/v1/") or "x-scope" in operation:
            assert schemes == ["apiKey", "accessToken"]
        else:
            assert schemes == ["accessToken"]


def test_each_operation_lists_codes_that_exist_under_their_status() -> None:
    known = codes_in_the_code()
    for method, path, operation in operations():
        errors: dict[str, list[str]] = operation["x-errors"]
        assert {"500", "503"} <= set(errors), f"{method} {path}"
        for status, codes in errors.items():
            assert codes == sorted(set(codes))
            for code in codes:
                assert (int(status), code) in known, f"{method} {path}: {status} {code}"


def test_every_code_is_some_operations() -> None:
    listed = {code for _, _, operation in operations() for codes in operation["x-errors"].values() for code in codes}
    assert {code for _, code in codes_in_the_code()} - listed == OF_HTTP_ITSELF


@pytest.mark.parametrize("status", ["401", "403"])
def test_every_operation_of_the_back_office_lists_who_is_refused(status: str) -> None:
    found = [operation for _, path, operation in operations() if path.startswith("/api/v1/admin/")]
    assert len(found) > 15
    assert all(status in operation["x-errors"] for operation in found)
