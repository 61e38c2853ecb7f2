"""Background jobs. Each is idempotent and safe in any number of processes at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import msgspec
import structlog
from sqlalchemy import delete, func, text

from operis_api.books.checking import ASKED_EVERY_SECONDS, EVERY_SECONDS, check_new_rows, run_asked_check
from operis_api.books.measuring import MEASURED_EVERY_SECONDS, measure_books
from operis_api.catalog.offers import Catalog
from operis_api.credentials.links import forget_links
from operis_api.credentials.passkeys import forget_challenges
from operis_api.gateway.idempotency import forget_old_calls
from operis_api.gateway.sweeping import sweep_lapsed_holds
from operis_api.gateway.upstreams.checking import CHECK_SECONDS, RECORD_SECONDS, check_upstreams, record_health
from operis_api.gateway.upstreams.health import Health
from operis_api.gateway.upstreams.http import HttpProtocol
from operis_api.keys.uses import WRITE_SECONDS, KeyUses
from operis_api.kit.crashing import crash_here
from operis_api.kit.encryption import Vault
from operis_api.kit.errors import Unavailable
from operis_api.kit.sessions import Sessions
from operis_api.leaving.erasing import erase_due
from operis_api.ledger.holds import Holds, forget_rate_counts
from operis_api.ledger.postings import EXPIRED_AT_ONCE_MAX, expire_grants, expire_overdue, list_overdue
from operis_api.ledger.proof.chain import CUT_EVERY_SECONDS, cut_blocks
from operis_api.mail.delivering import Delivery
from operis_api.mail.sending import forget_mails, send_mails
from operis_api.oidc.attempts import forget_attempts
from operis_api.signing_in.impersonating import note_ended_impersonations
from operis_api.throttling.throttles import Throttles
from operis_db.records import IdempotentAnswer

PARTITION_MONTHS_AHEAD = 12
ANSWERS_KEPT = timedelta(hours=24)
log = structlog.get_logger()


class Job(msgspec.Struct, frozen=True):
    name: str
    every_seconds: float
    run: Callable[[], Awaitable[object]]
    first_after_seconds: float = 0


def list_jobs(
    sessions: Sessions,
    holds: Holds,
    uses: KeyUses,
    upstream_health: Health,
    catalog: Catalog,
    protocols: Mapping[str, HttpProtocol],
) -> list[Job]:
    async def make_partitions() -> None:
        async with sessions.begin() as session:
            await session.execute(text("SELECT make_usage_partitions(:months)"), {"months": PARTITION_MONTHS_AHEAD})

    async def forget_answers() -> None:
        async with sessions.begin() as session:
            await session.execute(
                delete(IdempotentAnswer).where(IdempotentAnswer.created_at < func.now() - ANSWERS_KEPT)
            )
            await forget_old_calls(session)

    async def forget_rates() -> None:
        async with sessions.begin() as session:
            await forget_rate_counts(session)

    async def expire_ended_grants() -> None:
        expired = EXPIRED_AT_ONCE_MAX
        while expired == EXPIRED_AT_ONCE_MAX:
            async with sessions.begin() as session:
                expired = await expire_grants(session)
                if expired:
                    crash_here("in_expiry")
            if expired:
                crash_here("after_expiry")
        async with sessions() as session:
            overdue = await list_overdue(session)
        for organization_id in overdue:
            async with sessions.begin() as session:
                await expire_overdue(session, organization_id)

    return [
        Job("expire_grants", 60, expire_ended_grants),
        Job("sweep_lapsed_holds", 10, lambda: sweep_lapsed_holds(holds, sessions)),
        Job("cut_blocks", CUT_EVERY_SECONDS, lambda: cut_blocks(sessions)),
        # After the sweeper has had its turn: holds of a process that died yesterday are no finding.
        Job("check_new_rows", EVERY_SECONDS, lambda: check_new_rows(sessions), first_after_seconds=EVERY_SECONDS),
        Job("run_asked_check", ASKED_EVERY_SECONDS, lambda: run_asked_check(sessions)),
        Job("measure_books", MEASURED_EVERY_SECONDS, lambda: measure_books(sessions)),
        Job("forget_rate_counts", 60, forget_rates),
        Job("record_upstream_health", RECORD_SECONDS, lambda: record_health(sessions, upstream_health)),
        Job("check_upstreams", CHECK_SECONDS / 4, lambda: check_upstreams(sessions, catalog, protocols)),
        Job("make_usage_partitions", 6 * 3600, make_partitions),
        Job("write_key_uses", WRITE_SECONDS, uses.write),
        Job("forget_idempotent_answers", 3600, forget_answers),
    ]


def list_people_jobs(
    sessions: Sessions, throttles: Throttles, vault: Vault, delivery: Delivery | None, *, mail_from: str
) -> list[Job]:
    async def send_outbox() -> None:
        if delivery is not None:
            await send_mails(sessions, vault, delivery, sender=mail_from)

    async def forget_what_is_over() -> None:
        await forget_mails(sessions)
        await throttles.forget()
        async with sessions.begin() as session:
            await forget_links(session)
            await forget_challenges(session)
            await forget_attempts(session)

    return [
        Job("send_mails", 1, send_outbox),
        Job("erase_people", 10, lambda: erase_due(sessions)),
        Job("note_ended_impersonations", 10, lambda: note_ended_impersonations(sessions)),
        Job("forget_what_is_over", 3600, forget_what_is_over),
    ]


async def run_job(job: Job) -> None:
    """Run a job again and again until cancelled; a failure is logged, and the next turn tries again."""
    await asyncio.sleep(job.first_after_seconds)
    while True:
        try:
            await job.run()
        except Unavailable:
            log.warning("job_waits_for_database", job=job.name)
        except Exception:
            log.exception("job_failed", job=job.name)
        await asyncio.sleep(job.every_seconds)
