"""The policies: how many tries are free, and how the pauses after them grow. Pure arithmetic.

A try fills a bucket that drains with time. While the bucket is full, each further try is followed by a pause twice as
long as the one before; once it is empty all is forgotten.
"""

from datetime import datetime, timedelta

import msgspec


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    free: int
    """Tries without a pause, from an empty bucket."""
    drain_seconds: float
    """How long until one of them is free again."""
    pause_seconds: float
    pause_seconds_max: float


MINUTE, HOUR = 60, 3600
SIGN_IN_DEVICE = Policy(
    name="sign-in/device", free=10, drain_seconds=5 * MINUTE, pause_seconds=5, pause_seconds_max=15 * MINUTE
)
"""A device that signed in to the account before: its own budget, whatever strangers do."""
SIGN_IN_PAIR = Policy(name="sign-in/pair", free=10, drain_seconds=30 * MINUTE, pause_seconds=10, pause_seconds_max=HOUR)
"""One account from one network: what a single stranger can try."""
SIGN_IN_ACCOUNT = Policy(
    name="sign-in/account", free=60, drain_seconds=10 * MINUTE, pause_seconds=5, pause_seconds_max=5 * MINUTE
)
"""One account from all unknown devices together: what many networks can try. It slows, and never shuts out."""
SIGN_IN_NETWORK = Policy(
    name="sign-in/network", free=50, drain_seconds=MINUTE, pause_seconds=5, pause_seconds_max=15 * MINUTE
)
SIGN_UP = Policy(name="sign-up", free=10, drain_seconds=5 * MINUTE, pause_seconds=30, pause_seconds_max=HOUR)
MAIL_ADDRESS = Policy(
    name="mail/address", free=3, drain_seconds=20 * MINUTE, pause_seconds=5 * MINUTE, pause_seconds_max=6 * HOUR
)
MAIL_NETWORK = Policy(name="mail/network", free=20, drain_seconds=2 * MINUTE, pause_seconds=30, pause_seconds_max=HOUR)
LINK = Policy(name="link", free=30, drain_seconds=20, pause_seconds=5, pause_seconds_max=5 * MINUTE)
PROOF = Policy(name="proof", free=5, drain_seconds=10 * MINUTE, pause_seconds=10, pause_seconds_max=HOUR)
"""Codes and passwords of somebody who is signed in, or has shown the password already."""
DEVELOPMENT = Policy(name="development", free=200, drain_seconds=0.3, pause_seconds=1, pause_seconds_max=5)
"""From loopback, in development: 200 a minute."""


class Bucket(msgspec.Struct, frozen=True):
    level: float
    pauses: int
    tried_at: datetime
    blocked_until: datetime


def fill(policy: Policy, found: Bucket | None, now: datetime) -> Bucket:
    """Return the bucket after one more try, which was allowed."""
    level, pauses = 0.0, 0
    if found is not None:
        level = found.level - (now - found.tried_at).total_seconds() / policy.drain_seconds
        level, pauses = (level, found.pauses) if level > 0 else (0.0, 0)
    level += 1
    if level <= policy.free - 1 and not pauses:
        return Bucket(level, 0, now, now)
    pause = min(policy.pause_seconds_max, policy.pause_seconds * 2 ** min(pauses, 32))
    return Bucket(min(level, policy.free), pauses + 1, now, now + timedelta(seconds=pause))
