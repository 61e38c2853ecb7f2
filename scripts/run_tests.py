"""`make test`: a browser, a built dashboard, then pytest twice, because browser journeys cannot share a process with
asynchronous tests. The last line sums both up in the form of pytest's own summary.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
NOTHING_COLLECTED = 5


class Outcome(NamedTuple):
    passed: int
    failed: int
    errors: int
    skipped: int
    status: int


def main(arguments: list[str]) -> int:
    began = time.monotonic()
    os.environ["OPERIS_TEST_BROWSER"] = find_browser() or install_browser()
    say(f"browser: {os.environ['OPERIS_TEST_BROWSER']}")
    say("building the dashboard")
    if subprocess.run([sys.executable, "-m", "operis_dashboard.build"], cwd=ROOT, check=False).returncode != 0:
        sys.exit("tests: the dashboard could not be built; its error is above.")
    # With a choice of tests, one of the two halves may well be empty.
    halves = ("not browser", "browser")
    outcomes = [run_pytest(["-m", mark, *arguments], may_be_empty=bool(arguments)) for mark in halves]
    print(sum_up(outcomes, time.monotonic() - began), flush=True)
    return max(outcome.status for outcome in outcomes)


def find_browser() -> str | None:
    """Return a Chromium that is here already: the chosen one, one on the PATH, or Playwright's own."""
    chosen = os.environ.get("OPERIS_TEST_BROWSER")
    if chosen:
        return (
            chosen
            if os.access(chosen, os.X_OK)
            else sys.exit(f"tests: OPERIS_TEST_BROWSER is {chosen}, which does not run.")
        )
    for name in BROWSERS:
        path = shutil.which(name)
        if path is not None:
            return path
    script = "from playwright.sync_api import sync_playwright as p\nwith p() as x: print(x.chromium.executable_path)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    path = done.stdout.strip()
    return path if path and os.access(path, os.X_OK) else None


def install_browser() -> str:
    """Install a browser, or stop with one line that says how."""
    apt = shutil.which("apt-get")
    if apt is not None and os.geteuid() == 0:
        say("installing Debian's chromium")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
            patient = [apt, "-o", "DPkg::Lock::Timeout=300", *command]
            subprocess.run(patient, env=quiet, stdout=subprocess.DEVNULL, check=False)
    else:
        say("installing Playwright's chromium")
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    found = find_browser()
    if found is None:
        sys.exit(
            "tests: no browser was found and none could be installed; install one (Debian: apt-get install chromium) "
            "or name one: OPERIS_TEST_BROWSER=/path/to/chrome make test"
        )
    return found


def run_pytest(arguments: list[str], *, may_be_empty: bool) -> Outcome:
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "report.xml")
        command = [sys.executable, "-m", "pytest", *arguments, f"--junitxml={report}", "-o", "junit_family=xunit2"]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if status == NOTHING_COLLECTED:
            say(f"nothing is marked so that `pytest {' '.join(arguments[:2])}` would run it")
            status = 0 if may_be_empty else 1
        if not report.exists():  # pytest itself could not run
            return Outcome(0, 0, 1, 0, status or 1)
        counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
        for suite in ET.parse(report).getroot().iter("testsuite"):  # noqa: S314 - pytest wrote it just now
            for name in counts:
                counts[name] += int(suite.get(name, "0"))
    failed, errors, skipped = counts["failures"], counts["errors"], counts["skipped"]
    return Outcome(max(0, counts["tests"] - failed - errors - skipped), failed, errors, skipped, status)


def sum_up(outcomes: list[Outcome], seconds: float) -> str:
    passed, failed, errors, skipped = (sum(outcome[part] for outcome in outcomes) for part in range(4))
    parts = [f"{passed} passed", f"{failed} failed"]
    parts += [f"{skipped} skipped"] if skipped else []
    parts += [f"{errors} error{'s' if errors != 1 else ''}"] if errors else []
    return f"==== {', '.join(parts)} in {seconds:.2f}s ===="


def say(line: str) -> None:
    print("tests: " + line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
