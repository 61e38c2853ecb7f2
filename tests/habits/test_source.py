"""What must not stand in the source at all: running text as code or as a shell's command, and secrets."""

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
    "yaml.load",
    "yaml.unsafe_load",
    "tempfile.mktemp",
}
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "marshal", "shelve", "dill", "jsonpickle", "pty", "telnetlib"}
RUN_PRODUCT = ("apps/", "packages/", "migrations/", "scripts/")
_SECRET = re.compile(
    r"sk-(?:proj-|ant-|live-)?[A-Za-z0-9]{24,}|AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----|ghp_[A-Za-z0-9]{36}"
)


def tracked(*suffixes: str) -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.splitlines() if name.endswith(suffixes) and (ROOT / name).exists()]


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func)


def findings_in(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Call):
            if name_of(node) in FORBIDDEN_CALLS:
                found.append(f"{path.name}:{line} calls {name_of(node)}")
            if any(keyword.arg == "shell" and ast.unparse(keyword.value) != "False" for keyword in node.keywords):
                found.append(f"{path.name}:{line} passes shell=")
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"{path.name}:{line} imports {name}" for name in names if name.partition(".")[0] in FORBIDDEN_IMPORTS]
    return found


def test_no_text_is_run_as_code_or_as_a_shells_command() -> None:
    files = [path for path in tracked(".py") if str(path.relative_to(ROOT)).startswith(RUN_PRODUCT)]
    assert len(files) > 100
    assert [finding for path in files for finding in findings_in(path)] == []


def test_the_walk_finds_what_it_looks_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import pickle\nimport os, subprocess\neval('1')\nos.system('ls')\nsubprocess.run('ls', shell=True)\n"
    )
    assert findings_in(bad) == [
        "bad.py:1 imports pickle",
        "bad.py:3 calls eval",
        "bad.py:4 calls os.system",
        "bad.py:5 passes shell=",
    ]


def test_no_file_holds_a_credential() -> None:
    texts = {
        path: path.read_text(errors="replace")
        for path in tracked(".py", ".md", ".toml", ".yml", ".yaml", ".ini", ".json", ".example", ".js", ".css")
    }
    found = {str(path.relative_to(ROOT)): _SECRET.findall(text) for path, text in texts.items()}
    assert {name: secrets for name, secrets in found.items() if secrets} == {}
