"""How buckets fill and drain, and how pauses grow."""

from datetime import UTC, datetime, timedelta

import pytest

from operis_api.throttling.policies import Bucket, Policy, fill
from operis_api.throttling.throttles import is_loopback, network_of

POLICY = Policy(name="test", free=3, drain_seconds=60, pause_seconds=10, pause_seconds_max=100)
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


def pauses(count: int) -> list[float]:
    """Return the pauses after so many tries, each as soon as it is allowed."""
    bucket: Bucket | None = None
    now, found = NOON, list[float]()
    for _ in range(count):
        bucket = fill(POLICY, bucket, now)
        found.append((bucket.blocked_until - now).total_seconds())
        now = bucket.blocked_until
    return found


def test_some_tries_are_free_and_then_each_pause_is_twice_as_long_up_to_a_limit() -> None:
    assert pauses(8) == [0, 0, 10, 20, 40, 80, 100, 100]


def test_tries_that_are_spread_out_never_wait() -> None:
    bucket: Bucket | None = None
    for nth in range(100):
        bucket = fill(POLICY, bucket, NOON + timedelta(seconds=61 * nth))
        assert bucket.blocked_until == bucket.tried_at


def test_only_an_empty_bucket_forgets_the_pauses() -> None:
    bucket: Bucket | None = None
    for _ in range(3):
        bucket = fill(POLICY, bucket, NOON)
    soon = fill(POLICY, bucket, NOON + timedelta(seconds=120))
    assert (soon.pauses, soon.blocked_until - soon.tried_at) == (2, timedelta(seconds=20))
    late = fill(POLICY, bucket, NOON + timedelta(seconds=181))
    assert (late.pauses, late.level) == (0, 1)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
        ("unix", "unix"),
    ],
)
def test_an_ipv6_network_counts_as_one_client(address: str | None, network: str) -> None:
    assert network_of(address) == network


def test_loopback_is_known_in_all_its_forms() -> None:
    assert all(is_loopback(address) for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"))
    assert not any(is_loopback(address) for address in ("203.0.113.7", "2001:db8::1", "::2", None, "unix"))
