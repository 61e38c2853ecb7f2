"""`operis up` as a process of its own, with the embedded PostgreSQL and fake programs."""

import asyncio
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from operis_api.supervisor import STOP_SECONDS_MAX
from operis_db.embedded import EmbeddedPostgres
from operis_db.embedded.host import process_state

SCRIPT = Path(__file__).with_name("fake_up.py")
RUNNING = "Press Ctrl-C to stop."


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def environment() -> Generator[dict[str, str]]:
    directory = Path(tempfile.mkdtemp(prefix="operis-"))
    directory.chmod(0o755)
    hidden = ("DATABASE_URL", "MAKELEVEL", "OPERIS_")  # what a developer or another test has set is not this run's
    yield {
        **{name: value for name, value in os.environ.items() if not name.startswith(hidden)},
        "OPERIS_HOME": str(directory / "home"),
        "OPERIS_API_PORT": str(free_port()),
        "OPERIS_DASHBOARD_PORT": str(free_port()),
    }
    with EmbeddedPostgres(directory / "home"):
        pass  # adopts and stops whatever a test left running
    shutil.rmtree(directory)


class Run:
    """One `operis up`: its lines, and waiting for one of them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""

    async def until(self, words: str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while words not in self.text:
                chunk = await self.process.stdout.read(4096)
                assert chunk, f"it ended before it said {words!r}:\n{self.text}"
                self.text += chunk.decode()

    async def end(self) -> int:
        async with asyncio.timeout(STOP_SECONDS_MAX + 20):
            rest, _ = await self.process.communicate()
        self.text += rest.decode()
        assert self.process.returncode is not None
        return self.process.returncode


async def start(environment: dict[str, str], wrong: str = "") -> Run:
    return Run(
        await asyncio.create_subprocess_exec(
            sys.executable, SCRIPT, wrong, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    )


@pytest.fixture
async def up(environment: dict[str, str]) -> AsyncGenerator[Run]:
    """A product that runs."""
    run = await start(environment)
    await run.until(RUNNING)
    yield run
    if run.process.returncode is None:
        run.process.terminate()
        await run.end()


def database_pid(environment: dict[str, str]) -> int:
    pid_file = EmbeddedPostgres(Path(environment["OPERIS_HOME"])).ground / "data" / "postmaster.pid"
    return int(pid_file.read_text().split()[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_stop_ends_everything_with_zero(up: Run, environment: dict[str, str], number: signal.Signals) -> None:
    postmaster = database_pid(environment)
    up.process.send_signal(number)
    assert await up.end() == 0
    assert "operis    | stopped" in up.text
    assert process_state(postmaster) != "running"


async def test_under_nohup_it_outlives_its_terminal(environment: dict[str, str]) -> None:
    up = await start(environment, "nohup")
    await up.until(RUNNING)
    up.process.send_signal(signal.SIGHUP)
    await asyncio.sleep(1)  # it would have stopped its programs by then
    with socket.create_connection(("127.0.0.1", int(environment["OPERIS_API_PORT"])), timeout=5):
        up.process.terminate()
    assert await up.end() == 0


async def test_it_prints_addresses_and_the_first_sign_in_once(up: Run, environment: dict[str, str]) -> None:
    assert f"Dashboard  http://127.0.0.1:{environment['OPERIS_DASHBOARD_PORT']}" in up.text
    assert f"API        http://127.0.0.1:{environment['OPERIS_API_PORT']}" in up.text
    assert "Sign in    admin@example.com" in up.text
    assert "made up once" in up.text
    up.process.terminate()
    await up.end()
    again = await start(environment)
    await again.until(RUNNING)
    assert "made up once" not in again.text
    again.process.terminate()
    assert await again.end() == 0


async def test_only_the_api_learns_the_database_and_nobody_the_administrators_password(up: Run) -> None:
    for line in (
        "api       | app role: True",
        "api       | owner role: True",
        "dashboard | app role: False",
        "dashboard | owner role: False",
        "api       | admin password: False",
    ):
        assert line in up.text


async def test_no_secret_is_on_a_command_line(up: Run, environment: dict[str, str]) -> None:
    secret = (Path(environment["OPERIS_HOME"]) / "secret_key").read_text()
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_text(errors="replace")
        except OSError:
            continue
        assert secret not in words
        assert "not for the children" not in words


async def test_a_second_run_of_the_same_home_is_refused_and_harms_nothing(up: Run, environment: dict[str, str]) -> None:
    second = await start({**environment, "OPERIS_API_PORT": str(free_port())})
    assert await second.end() == 1
    assert f"already runs from {environment['OPERIS_HOME']} (process {up.process.pid})" in second.text
    assert up.process.returncode is None


async def test_a_taken_port_is_named_with_its_setting_before_anything_starts(environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", int(environment["OPERIS_DASHBOARD_PORT"])))
        taken.listen()
        run = await start(environment)
        assert await run.end() == 1
    assert f"port {environment['OPERIS_DASHBOARD_PORT']} is in use" in run.text
    assert "OPERIS_DASHBOARD_PORT" in run.text
    assert len(run.text.strip().splitlines()) == 1
    assert not (Path(environment["OPERIS_HOME"]) / "pg").exists()


async def test_a_program_that_ends_takes_everything_down_with_its_own_status(environment: dict[str, str]) -> None:
    run = await start(environment, "crash")
    assert await run.end() == 9
    assert "dashboard ended by itself with status 9" in run.text


async def test_a_failed_build_stops_before_the_database(environment: dict[str, str]) -> None:
    run = await start(environment, "build")
    assert await run.end() == 5
    assert "build     | compiling" in run.text
    assert not (Path(environment["OPERIS_HOME"]) / "pg").exists()


async def test_ctrl_c_during_the_build_is_a_clean_stop(environment: dict[str, str]) -> None:
    run = await start(environment, "slow build")
    await run.until("compiling")
    run.process.send_signal(signal.SIGINT)
    assert await run.end() == 0


async def test_after_a_kill_the_next_run_takes_over_the_same_database(up: Run, environment: dict[str, str]) -> None:
    before = database_pid(environment)
    up.process.kill()
    await up.end()
    for _ in range(50):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(environment["OPERIS_API_PORT"]))) != 0:
                break
        await asyncio.sleep(0.1)
    again = await start(environment)
    await again.until(RUNNING)
    assert database_pid(environment) == before
    again.process.terminate()
    assert await again.end() == 0


async def test_a_home_that_cannot_be_used_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = await start({**environment, "OPERIS_HOME": str(tmp_path / "file"), "OPERIS_SECRET_KEY": "k" * 40})
    assert await run.end() == 1
    assert "OPERIS_HOME" in run.text
    assert len(run.text.strip().splitlines()) == 1


async def test_an_unreachable_database_is_one_line(environment: dict[str, str]) -> None:
    url = "postgresql://nobody@127.0.0.1:9/none"
    run = await start({**environment, "DATABASE_URL": url, "OPERIS_MIGRATE_DATABASE_URL": url})
    assert await run.end() == 1
    assert "the database cannot be prepared" in run.text
    assert "Traceback" not in run.text


def make(environment: dict[str, str], tmp_path: Path) -> list[str]:
    (tmp_path / "Makefile").write_text(f"up:\n\t@exec {sys.executable} {SCRIPT}\n")
    environment.pop("MAKEFLAGS", None)
    return ["make", "--no-print-directory", "-C", str(tmp_path), "up"]


async def test_ctrl_c_in_a_terminal_ends_make_with_zero(environment: dict[str, str], tmp_path: Path) -> None:
    command = make(environment, tmp_path)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, environment)
    text = ""
    while RUNNING not in text:
        text += (await asyncio.to_thread(os.read, terminal, 4096)).decode()
    os.write(terminal, b"\x03")
    while "stopped" not in text:
        text += (await asyncio.to_thread(os.read, terminal, 4096)).decode()
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows which signals a process catches")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_a_signal_to_make_alone_stops_everything(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    process = await asyncio.create_subprocess_exec(
        *make(environment, tmp_path), env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    run = Run(process)
    await run.until(RUNNING)
    postmaster = database_pid(environment)
    process.send_signal(number)
    await run.end()  # the pipe closes when the last of them has ended
    assert process_state(postmaster) != "running"
