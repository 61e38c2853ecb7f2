"""The built dashboard as its own process, as a deployment runs it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.running import free_port

START_SECONDS = 60


class Served:
    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    def stop(self) -> int:
        """End the process as an operator would; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def build_dashboard() -> None:
    done = subprocess.run([sys.executable, "-m", "operis_dashboard.build"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def serve_dashboard(api_url: str, directory: Path, **settings: str) -> Generator[Served]:
    """Run the dashboard on a free port until the block ends; `directory` is its working directory and home."""
    build_dashboard()
    port = free_port()
    log = directory / "dashboard.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "operis_dashboard.serve"],
            cwd=directory,
            env={
                "PATH": "/nonexistent",  # neither node nor anything else is needed
                "HOME": os.environ.get("HOME", "/"),
                "OPERIS_HOME": str(directory / "home"),
                "OPERIS_API_URL": api_url,
                "OPERIS_DASHBOARD_PORT": str(port),
                **settings,
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    served = Served(process, f"http://127.0.0.1:{port}", log)
    try:
        _wait_until_healthy(served)
        yield served
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the server and its worker
        process.wait()


def _wait_until_healthy(served: Served) -> None:
    for _ in range(START_SECONDS * 20):
        assert served.process.poll() is None, f"the dashboard ended: {served.log.read_text()}"
        try:
            if httpx.get(f"{served.url}/healthz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the dashboard is not ready after {START_SECONDS} seconds: {served.log.read_text()}")
