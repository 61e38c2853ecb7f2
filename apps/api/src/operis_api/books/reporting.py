"""What `operis verify` says: how far it is, on stderr, and the result."""

import sys

from operis_api.books.verifying import Progress, Report


async def show_progress(progress: Progress) -> None:
    """Write over the line before on a terminal; a log gets the last line alone."""
    last = progress.done == progress.total
    if not (last or sys.stderr.isatty()):
        return
    percent = 100 * progress.done // max(progress.total, 1)
    line = f"{percent} %: {progress.done} of {progress.total} blocks and pages, {progress.rows} rows"
    sys.stderr.write(f"\r{line}" + ("\n" if last else ""))
    sys.stderr.flush()


def show_report(report: Report) -> str:
    lines: list[str] = []
    for check in report.checks:
        lines.append(f"{'BROKEN ' if check.findings else 'ok     '} {check.name}")
        lines += [f"        {finding}" for finding in check.findings]
    return "\n".join([*lines, f"newest block: {report.block_number} {report.block_hash}"])
