"""`operis up` with a real database and fake programs, a script of the tests. Its argument says what goes wrong."""

import asyncio
import os
import signal
import sys

import asyncpg

from operis_api.bootstrap import Credentials
from operis_api.preparing import DATABASE_ERRORS, PreparingError
from operis_api.settings import SettingError, Settings, read_settings
from operis_api.supervisor import Program
from operis_api.up import Plan, build_program, child_environment, list_programs, run_up

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
print("app role:", "operis_app" in os.environ.get("DATABASE_URL", ""), flush=True)
print("owner role:", "operis_owner" in os.environ.get("OPERIS_MIGRATE_DATABASE_URL", ""), flush=True)
print("admin password:", "OPERIS_ADMIN_PASSWORD" in os.environ, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
WRONG = sys.argv[1] if len(sys.argv) > 1 else ""
signal.signal(signal.SIGHUP, signal.SIG_IGN if WRONG == "nohup" else signal.SIG_DFL)  # the tests may run under nohup


async def prepare(settings: Settings) -> Credentials | None:
    try:
        connection = await asyncpg.connect(settings.migrate_database_url)
    except DATABASE_ERRORS as error:
        raise PreparingError(f"the database cannot be prepared: {error}") from error
    await connection.execute("create table if not exists runs (n int)")
    runs = await connection.fetchval("insert into runs values (1) returning (select count(*) from runs)")
    await connection.close()
    return None if runs else Credentials("admin@example.com", "made up once")


def programs(settings: Settings) -> list[Program]:
    ports = (settings.api_port, settings.dashboard_port)
    commands = [[sys.executable, "-c", SERVER, str(port)] for port in ports]
    if WRONG == "crash":
        commands[1] = [sys.executable, "-c", "raise SystemExit(9)"]
    return [real._replace(command=command) for real, command in zip(list_programs(settings), commands, strict=True)]


def build(settings: Settings) -> Program:
    status = 5 if WRONG == "build" else 0
    script = f"print('compiling'); raise SystemExit({status})"
    if WRONG == "slow build":
        script = "import time; print('compiling', flush=True); time.sleep(60)"
    environment = child_environment(settings, database=False)
    return build_program(settings)._replace(command=[sys.executable, "-c", script], environment=environment)


if __name__ == "__main__":
    os.environ.setdefault("OPERIS_ADMIN_PASSWORD", "not for the children")
    try:
        sys.exit(asyncio.run(run_up(read_settings(), Plan(build, prepare, programs))))
    except SettingError as error:
        sys.exit(str(error))
