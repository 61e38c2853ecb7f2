"""The books as figures in /metrics: every process shows the same, read from the database."""

from prometheus_client import Gauge
from sqlalchemy import func, select

from operis_api.alerts.raising import count_open
from operis_api.kit.sessions import Sessions
from operis_api.ledger.proof.chain import read_head
from operis_api.ledger.proof.keeping import find_newest

MEASURED_EVERY_SECONDS = 15
HEAD = Gauge("operis_ledger_head", "Number of the newest block of the ledger's chain, by its hash.", ["hash"])
HEAD_AGE = Gauge("operis_ledger_head_age_seconds", "How long ago the newest block was cut.")
BROKEN = Gauge("operis_ledger_broken_invariants", "Invariants with a finding in the newest check.", ["check"])
ALERTS = Gauge("operis_alerts_open", "Alerts nobody has acknowledged.")


async def measure_books(sessions: Sessions) -> None:
    async with sessions() as session:
        head = await read_head(session)
        now = await session.scalar(select(func.now()))
        HEAD.clear()
        HEAD.labels(head.hash.hex()).set(head.number)
        HEAD_AGE.set((now - head.cut_at).total_seconds() if now and head.cut_at else 0)
        for kind in ("incremental", "full"):
            check = await find_newest(session, kind)
            BROKEN.labels(kind).set(sum(bool(each.findings) for each in check.checks) if check else 0)
        ALERTS.set(await count_open(session))
