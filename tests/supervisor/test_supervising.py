"""The supervisor with small programs in place of the API and the dashboard."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from operis_api import supervisor
from operis_api.supervisor import Program, ProgramFailedError, StopRequestedError, StopSignals, run_once, supervise

SERVER = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), sys.exit(0)))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SLEEPER = "import time; print('asleep', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


def python(name: str, script: str, *arguments: object, ready_url: str | None = None) -> Program:
    return Program(name, [sys.executable, "-c", script, *map(str, arguments)], dict(os.environ), ready_url)


def server(name: str) -> Program:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return python(name, SERVER, port, ready_url=f"http://127.0.0.1:{port}/")


class Scene:
    """What was said, and whether everything was ready; `stop_when` requests a stop once a line appears."""

    def __init__(self) -> None:
        self.signals = StopSignals()
        self.lines: list[str] = []
        self.ready = 0
        self.reactions: dict[str, Callable[[], None]] = {}

    def say(self, line: str) -> None:
        self.lines.append(line)
        for words, react in self.reactions.items():
            if words in line:
                react()

    def on_ready(self) -> None:
        self.ready += 1
        self.say("everything is ready")

    async def run(self, *programs: Program) -> None:
        await asyncio.wait_for(
            supervise(
                programs,
                signals=self.signals,
                say=self.say,
                on_ready=self.on_ready,
                on_stop=lambda: self.say("stopping"),
            ),
            timeout=20,
        )


@pytest.fixture
async def scene() -> Scene:
    return Scene()


def is_running(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def test_programs_run_until_a_stop_and_end_politely(scene: Scene) -> None:
    scene.reactions["everything is ready"] = scene.signals.request
    await scene.run(server("api"), server("dashboard"))
    assert scene.ready == 1
    assert "api       | listening" in scene.lines
    assert "dashboard | bye" in scene.lines


async def test_a_program_that_ends_stops_the_others_and_gives_its_status(scene: Scene) -> None:
    scene.reactions["everything is ready"] = lambda: None
    with pytest.raises(ProgramFailedError, match="worker ended by itself with status 7") as failure:
        await scene.run(server("api"), python("worker", "import time; time.sleep(1); raise SystemExit(7)"))
    assert failure.value.status == 7
    assert "api       | bye" in scene.lines


async def test_a_program_that_ends_before_it_was_ready_is_named_at_once(scene: Scene) -> None:
    crash = python("api", "print('no such table'); raise SystemExit(3)", ready_url="http://127.0.0.1:9/")
    with pytest.raises(ProgramFailedError, match="api ended by itself with status 3") as failure:
        await scene.run(crash, server("dashboard"))
    assert failure.value.status == 3
    assert scene.ready == 0
    assert "api       | no such table" in scene.lines


async def test_a_program_that_ends_without_an_error_is_a_failure_too(scene: Scene) -> None:
    with pytest.raises(ProgramFailedError) as failure:
        await scene.run(python("api", "pass"))
    assert failure.value.status == 1


async def test_a_killed_program_gives_the_status_a_shell_would(scene: Scene) -> None:
    with pytest.raises(ProgramFailedError) as failure:
        await scene.run(python("api", "import os; os.kill(os.getpid(), 9)"))
    assert failure.value.status == 137


async def test_a_program_that_never_answers_is_named_with_its_address(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "READY_SECONDS_MAX", 0.5)
    mute = python("api", SLEEPER, ready_url="http://127.0.0.1:9/readyz")
    with pytest.raises(ProgramFailedError, match=r"api \(http://127.0.0.1:9/readyz\) did not answer"):
        await scene.run(mute)


async def test_a_second_request_kills_what_does_not_end(scene: Scene) -> None:
    scene.reactions["deaf"] = scene.signals.request
    scene.reactions["stopping"] = scene.signals.request
    began = asyncio.get_running_loop().time()
    await scene.run(python("api", STUBBORN))
    assert asyncio.get_running_loop().time() - began < 5
    assert scene.signals.repeated.is_set()


async def test_what_does_not_end_in_time_is_killed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS_MAX", 0.3)
    scene.reactions["deaf"] = scene.signals.request
    await scene.run(python("api", STUBBORN))
    assert not scene.signals.repeated.is_set()


async def test_what_a_program_started_itself_is_stopped_with_it(scene: Scene, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = (
        f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);\
 open({str(pid_file)!r}, 'w').write(str(p.pid)); print('started', flush=True); time.sleep(60)"
    )
    scene.reactions["started"] = scene.signals.request
    await scene.run(python("api", script))
    assert not is_running(int(pid_file.read_text()))


async def test_a_line_that_does_not_end_is_cut_and_odd_bytes_are_shown(scene: Scene) -> None:
    script = "import os; os.write(1, b'x' * 200_000); os.write(1, b'\\n\\xff done\\n')"
    await run_once(python("build", script), signals=scene.signals, say=scene.say)
    assert scene.lines[-1] == "build     | \ufffd done"
    assert max(len(line) for line in scene.lines) < 2 * supervisor.LINE_BYTES_MAX + 100


async def test_running_once_tells_a_failure_from_a_stop(scene: Scene) -> None:
    with pytest.raises(ProgramFailedError, match="build ended with status 4"):
        await run_once(python("build", "raise SystemExit(4)"), signals=scene.signals, say=scene.say)
    scene.reactions["asleep"] = scene.signals.request
    with pytest.raises(StopRequestedError):
        await run_once(python("build", SLEEPER), signals=scene.signals, say=scene.say)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_a_killed_supervisor_takes_its_programs_with_it() -> None:
    script = """
import asyncio, os, sys
from operis_api.supervisor import Program, StopSignals, supervise
child = "import os, time; print('up', os.getpid(), flush=True); time.sleep(60)"
async def main():
    await supervise([Program("api", [sys.executable, "-c", child], dict(os.environ))], signals=StopSignals(),
                    say=lambda line: print(line, flush=True), on_ready=lambda: None, on_stop=lambda: None)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), timeout=10)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    child = int(line.split()[-1])
    for _ in range(50):
        if not is_running(child):
            return
        await asyncio.sleep(0.1)
    pytest.fail("the program outlived its supervisor")
