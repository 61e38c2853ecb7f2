"""`operis keys scan`: finds our keys in files and prints none of them."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from operis_api.keys.leaks.scanning import FILE_BYTES_MAX, Scan
from operis_api.keys.secret import new_secret


def scan(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "operis_api.cli", "keys", "scan", str(path), *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=path.parent)


def test_keys_are_found_where_they_are_and_not_printed(tmp_path: Path) -> None:
    first, second = new_secret(), new_secret()
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / ".git").mkdir()
    (tree / "a.py").write_text(f"# nothing\nKEY = '{first}'\n")
    (tree / "deep" / ".env").write_text(f"X=1\r\n\r\nKEY={second} and {first}\n")
    (tree / ".git" / "config").write_text(first)
    (tree / "binary").write_bytes(b"\x00\x01" + first.encode())
    (tree / "typo").write_text(first[:-1] + ("0" if first[-1] != "0" else "1"))
    (tree / "longer").write_text("x" + first + " " + first + "y")
    (tree / "link").symlink_to(tree / "a.py")
    found = scan(tree)
    assert found.returncode == 1
    assert found.stdout.splitlines() == [
        f"{tree}/a.py:2: {first[:12]}…",
        f"{tree}/deep/.env:3: {second[:12]}…",
        f"{tree}/deep/.env:3: {first[:12]}…",
    ]
    for secret in (first, second):
        assert secret not in found.stdout + found.stderr
    report = json.loads(scan(tree, "--json").stdout)
    assert report["findings"][0] == {"file": f"{tree}/a.py", "line": 2, "prefix": first[:12]}
    assert len(report["findings"]) == 3
    assert scan(tree / "a.py").returncode == 1


def test_a_tree_without_keys_is_clean(tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    clean.mkdir()
    (clean / "a.txt").write_text("sk-op-" + "a" * 38)
    found = scan(clean)
    assert (found.returncode, found.stdout) == (0, "")
    assert scan(tmp_path / "missing").returncode == 2


def test_what_is_too_large_is_named_and_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(FILE_BYTES_MAX + 1)
    looked = Scan()
    assert list(looked.find(tmp_path)) == []
    assert looked.unread == [f"{large}: larger than {FILE_BYTES_MAX} bytes"]


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_key_is_found_in_any_text(before: str, after: str) -> None:
    secret = new_secret()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        before, after = before.replace("\x00", ""), after.replace("\x00", "")
        path.write_bytes(f"{before} {secret} {after}".encode(errors="replace"))
        assert [finding.prefix for finding in Scan().find(path)] == [secret[:12]]
