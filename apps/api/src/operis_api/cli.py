"""The command `operis`: every way in which operators start and tend the product."""

import asyncio
import difflib
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal, TextIO, TypeVar, cast

import click
import msgspec

from operis_api.settings import SettingError, Settings, read_settings
from operis_api.version import VERSION
from operis_db.embedded import EmbeddedPostgres, EmbeddedPostgresError

Answer = TypeVar("Answer")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="operis")
def cli() -> None:
    """Sell LLM chat: users, API keys, exact token billing and an admin dashboard."""


@cli.command()
def up() -> None:
    """Run everything: database, migrations, first administrator, API and dashboard."""
    from operis_api.up import run_up  # noqa: PLC0415  # each command loads what it needs, so that --help is quick

    sys.exit(asyncio.run(run_up(read_settings())))


@cli.command()
@click.option("--host", default=lambda: os.environ.get("OPERIS_API_HOST", "127.0.0.1"), help="Address to listen on.")
def api(host: str) -> None:
    """Run the API alone, on OPERIS_API_PORT; DATABASE_URL must be set."""
    import uvicorn  # noqa: PLC0415

    from operis_api.kit.connections import Connection  # noqa: PLC0415

    settings = read_settings()
    if settings.database_url is None:
        raise SettingError("DATABASE_URL is not set; set it, or use `operis up`, which starts an embedded PostgreSQL.")
    _raise_file_limit()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note_stop)
    uvicorn.run(
        "operis_api.app:create_app",
        factory=True,
        host=host,
        port=settings.api_port,
        workers=settings.api_workers,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.graceful_seconds,
        http=cast("type[asyncio.Protocol]", partial(Connection, patience_seconds=settings.client_seconds)),
    )


def _raise_file_limit() -> None:
    """Take as many open files as the system allows: each stream needs two."""
    import resource  # noqa: PLC0415  # not there on every system

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _note_stop(_number: int, _frame: object) -> None:
    """Do nothing: uvicorn raises the signal again when it has stopped by it, and a stop is no failure."""


@cli.command()
def dashboard() -> None:
    """Run the dashboard alone, on OPERIS_DASHBOARD_PORT."""
    os.execv(sys.executable, [sys.executable, "-m", "operis_dashboard.serve"])  # noqa: S606  # ourselves, no shell


@cli.command()
@click.option("--check", is_flag=True, help="Only check: migrations build from empty, and equal the models.")
def migrate(*, check: bool) -> None:
    """Bring the database to this version's schema, with OPERIS_MIGRATE_DATABASE_URL's role."""
    from operis_api.migrating import check_migrations, upgrade  # noqa: PLC0415

    _with_database(check_migrations if check else upgrade)
    click.echo("migrations: up to date")


@cli.command("create-admin")
@click.option("--email", required=True)
@click.password_option(help="Asked for when it is not given.")
def create_admin_command(email: str, password: str) -> None:
    """Make a further administrator."""
    from operis_api.bootstrap import create_admin  # noqa: PLC0415

    _with_database(lambda settings: create_admin(settings, email=email, password=password))
    click.echo(f"{email} may sign in now.")


@cli.command("remove-second-factor")
@click.option("--email", required=True)
@click.confirmation_option(prompt="Turn this user's second factor off and end all their sessions?")
def remove_second_factor(email: str) -> None:
    """Help somebody in who lost their second factor; make sure who asks."""
    from operis_api.bootstrap import take_second_factor  # noqa: PLC0415

    _with_database(lambda settings: take_second_factor(settings, email=email))
    click.echo(f"{email} signs in with the password alone.")


@cli.command()
@click.option(
    "--full/--incremental", default=True, help="All of the books (the default), or what is new since a check."
)
@click.option("--head", metavar="HASH", help="A block's hash that was kept elsewhere: it must be in the chain.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for programs.")
def verify(*, full: bool, head: str | None, as_json: bool) -> None:
    """Check the ledger's invariants; exit 1 and the findings where one does not hold. Progress goes to stderr."""
    from operis_api.books.reporting import show_progress, show_report  # noqa: PLC0415
    from operis_api.books.verifying import Report, verify_all, verify_new  # noqa: PLC0415
    from operis_api.bootstrap import open_sessions  # noqa: PLC0415
    from operis_api.ledger.proof.keeping import read_mark  # noqa: PLC0415

    if head and not full:
        raise click.UsageError("--head is looked for in the whole chain: use it with --full.")

    async def work(settings: Settings) -> Report:
        async with open_sessions(settings) as sessions:
            if full:
                return await verify_all(sessions, kept_head=head and head.lower(), watcher=show_progress)
            async with sessions() as session:
                mark = await read_mark(session)
            return (await verify_new(sessions, mark))[0]

    report = _with_database(work)
    click.echo(msgspec.json.encode(report) if as_json else show_report(report))
    sys.exit(0 if report.holds else 1)


@cli.command()
@click.option("--check", is_flag=True, help="Only check that docs/openapi.json says what the app does.")
def openapi(*, check: bool) -> None:
    """Write docs/openapi.json from the application."""
    from operis_api.app import create_litestar  # noqa: PLC0415
    from operis_api.openapi import describe  # noqa: PLC0415

    document = json.dumps(describe(create_litestar(read_settings())), indent=2, sort_keys=False) + "\n"
    path = Path("docs/openapi.json")
    if not check:
        path.write_text(document)
        return
    kept = path.read_text() if path.exists() else ""
    if kept != document:
        difference = difflib.unified_diff(kept.splitlines(), document.splitlines(), "docs/openapi.json", "app", n=1)
        click.echo("\n".join(list(difference)[:40]))
        raise click.ClickException("docs/openapi.json is not what the app does; run `operis openapi`.")


@cli.group()
def keys() -> None:
    """Tend API keys."""


@keys.command("scan")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the findings for programs.")
def scan_for_keys(path: Path, *, as_json: bool) -> None:
    """Find API keys of Operis in files; exit 1 and where they are, if there are any. Secrets are not printed."""
    from operis_api.keys.leaks.scanning import Scan  # noqa: PLC0415

    scan = Scan()
    findings = list(scan.find(path))
    if as_json:
        report = {"findings": findings, "files": scan.files, "unread": scan.unread}
        click.echo(msgspec.json.encode(report))
    else:
        for finding in findings:
            click.echo(f"{finding.file}:{finding.line}: {finding.prefix}…")
        for unread in scan.unread:
            click.echo(f"not read: {unread}", err=True)
        click.echo(f"{len(findings)} keys in {scan.files} files", err=True)
    sys.exit(1 if findings else 0)


@cli.group()
def db() -> None:
    """Tend the embedded database of a local run."""


@db.command()
@click.confirmation_option(prompt="Delete all data of this local run?")
def reset() -> None:
    """Delete all data of the embedded database; nothing may be using it."""
    settings = read_settings()
    if settings.database_url is not None:
        raise SettingError("DATABASE_URL is set; `operis db reset` is for the embedded database alone.")
    EmbeddedPostgres(settings.home).reset()
    click.echo("The embedded database is empty; the next `make up` starts anew.")


@cli.group()
def price() -> None:
    """Tend the prices of models."""


@price.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--format", "file_format", type=click.Choice(["litellm", "json", "csv"]), help="Guessed by the file.")
@click.option("--markup", default="1", show_default=True, help="Sale price over cost, like 1.25 or 5/4.")
@click.option("--effective-from", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="Like 2027-01-31T12:00:00Z.")
@click.option("--model", "models", multiple=True, help="Apply only this; repeatable. Flagged ones have to be named.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--yes", is_flag=True, help="Apply without asking.")
def price_import(  # click tells of the options
    file: TextIO,
    file_format: Literal["litellm", "json", "csv"] | None,
    markup: str,
    effective_from: datetime | None,
    models: tuple[str, ...],
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Compare a price FILE (- for standard input) with the catalog, show the difference, and apply it."""
    from operis_api.admin.schemas import ImportPricesBody  # noqa: PLC0415
    from operis_api.importing import guess_format, import_prices  # noqa: PLC0415
    from operis_api.kit.errors import DomainError  # noqa: PLC0415

    try:
        text = file.read()
        body = ImportPricesBody(
            format=file_format or guess_format(file.name, text),
            file=text,
            markup=markup,
            effective_from=effective_from,
            models=list(models) or None,
        )
        confirm: Callable[[str], bool] | None = click.confirm
        if dry_run or yes:
            confirm = None if dry_run else _agree
        _with_database(lambda settings: import_prices(settings, body, echo=click.echo, confirm=confirm))
    except (DomainError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from None


def _agree(_question: str) -> bool:
    return True


def _with_database(work: Callable[[Settings], Coroutine[object, object, Answer]]) -> Answer:
    """Run `work` with the configured database, or with the embedded one for as long as it takes."""
    settings = read_settings()
    if settings.database_url is not None:
        return asyncio.run(work(settings))
    with EmbeddedPostgres(settings.home) as postgres:
        found = msgspec.structs.replace(
            settings, database_url=postgres.app_url(), migrate_database_url=postgres.owner_url()
        )
        return asyncio.run(work(found))


def main() -> None:
    """Run the command; what an operator can mend is one line, never a traceback."""
    try:
        cli(standalone_mode=True)
    except (SettingError, EmbeddedPostgresError) as error:
        click.echo(f"operis: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
