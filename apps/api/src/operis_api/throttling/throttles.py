"""Taking a try before the work it pays for: many processes that try at once take one after the other."""

import asyncio
import hashlib
import ipaddress
import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from operis_api.kit.sessions import Sessions
from operis_api.throttling.errors import TooManyAttempts
from operis_api.throttling.policies import DEVELOPMENT, Bucket, Policy, fill
from operis_db.records import Throttle

KEPT = timedelta(days=2)
CONNECTIONS_MAX = 3
"""How many connections of a process may wait for buckets, so that a storm on one account leaves some to all others."""
V6_PREFIX = 64
"""One household or server has this many IPv6 addresses: they count as one."""
log = structlog.get_logger()


class Try(msgspec.Struct, frozen=True):
    """One try under a policy, by or at a subject: an address, an account, a device."""

    policy: Policy
    subject: str

    @property
    def key(self) -> bytes:
        return hashlib.sha256(f"{self.policy.name}\n{self.subject}".encode(errors="replace")).digest()


class Throttles:
    """The throttles of one API. `lenient`: development, where loopback may try 200 times a minute."""

    def __init__(self, sessions: Sessions, *, lenient: bool) -> None:
        self._sessions = sessions
        self._lenient = lenient
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)

    async def take(self, address: str | None, *tries: Try) -> None:
        """Count one try in each bucket, or raise `TooManyAttempts` and count it in none.

        Committed before it returns, so that whoever gives up half-way has tried as well.
        """
        policies = {one.key: DEVELOPMENT if self._lenient and is_loopback(address) else one.policy for one in tries}
        keys = sorted(policies)
        async with self._turns, self._sessions.begin() as session:
            # Makes each row or locks it, in one statement: none is deleted in between, so no try is lost.
            fresh = insert(Throttle).values([{"key": key} for key in keys])
            locked = fresh.on_conflict_do_update(index_elements=[Throttle.key], set_={"key": fresh.excluded.key})
            rows = (await session.scalars(locked.returning(Throttle))).all()
            now = await session.scalar(select(func.clock_timestamp()))
            assert now is not None
            self._refuse_blocked(rows, now, policies)
            for row in rows:
                bucket = fill(policies[row.key], _bucket(row), now)
                row.level, row.pauses = bucket.level, bucket.pauses
                row.tried_at, row.blocked_until = bucket.tried_at, bucket.blocked_until

    async def forgive(self, *tries: Try) -> None:
        """Forget all tries of these buckets: whoever tried has shown who they are."""
        async with self._sessions.begin() as session:
            await session.execute(delete(Throttle).where(Throttle.key.in_([one.key for one in tries])))

    async def give_back(self, one: Try) -> None:
        """Take back one try of a bucket that others fill as well, like that of a network."""
        async with self._sessions.begin() as session:
            await session.execute(
                update(Throttle).where(Throttle.key == one.key).values(level=func.greatest(Throttle.level - 1, 0))
            )

    async def forget(self) -> None:
        """Delete what nobody tried for days."""
        async with self._sessions.begin() as session:
            await session.execute(delete(Throttle).where(Throttle.blocked_until < func.now() - KEPT))

    def _refuse_blocked(self, rows: Sequence[Throttle], now: datetime, policies: dict[bytes, Policy]) -> None:
        blocked = max(rows, key=lambda row: row.blocked_until)
        seconds = (blocked.blocked_until - now).total_seconds()
        if seconds > 0:
            log.warning("throttled", policy=policies[blocked.key].name, seconds=math.ceil(seconds))
            raise TooManyAttempts("Try again later.", retry_after_seconds=math.ceil(seconds))


def network_of(address: str | None) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        found = ipaddress.ip_address((address or "").split("%", 1)[0])
    except ValueError:
        return address or "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, V6_PREFIX), strict=False))
    return str(found)


def is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(network_of(address).partition("/")[0]).is_loopback or address == "::1"
    except ValueError:
        return False


def _bucket(row: Throttle) -> Bucket | None:
    return Bucket(row.level, row.pauses, row.tried_at, row.blocked_until) if row.level else None
