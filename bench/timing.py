"""Do answers tell by their time whether an address has an account? Known and unknown addresses, in random order.

For sign-in, sign-up, forgotten passwords and links sent again a rank test (Mann-Whitney) compares the two.
Usage: python -m bench.timing [COUNT]. Ends with exit code 1 where a difference is significant (p < 0.001).
"""

import asyncio
import math
import random
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
from tests.factories import PASSWORD
from tests.running import Api, make_database, run_api

from operis_db.embedded import EmbeddedPostgres

COUNT = 1000
SIGNIFICANT = 0.001
FLOWS = {  # path, whether the known ones are verified, how many at once
    "sign-in": ("login", True, 2),
    "sign-up": ("register", True, 2),
    "forgotten password": ("password/forgot", True, 4),
    "link sent again": ("verify-email/resend", False, 4),
}
SETTINGS = {
    "OPERIS_ENV": "production",
    "OPERIS_PUBLIC_API_URL": "https://api.operis.test",
    "OPERIS_PUBLIC_DASHBOARD_URL": "https://operis.test",
    "OPERIS_TRUSTED_PROXIES": "127.0.0.0/8",
}
_SEED = """
INSERT INTO users (id, email, name, password_hash, email_verified_at)
SELECT gen_random_uuid(), prefix || n || '@example.com', 'Ada', (SELECT password_hash FROM users LIMIT 1), seen
FROM generate_series(1, $1::int) n, (VALUES ('known.', now()), ('waiting.', NULL)) AS kinds(prefix, seen)
"""


async def main(count: int) -> int:
    directory = Path(tempfile.mkdtemp(prefix="operis-timing-"))
    directory.chmod(0o755)
    try:
        with EmbeddedPostgres(directory) as postgres:
            settings = {**SETTINGS, "OPERIS_SECRET_KEY": secrets.token_hex(32)}
            database = await make_database(postgres, OPERIS_SECRET_KEY=settings["OPERIS_SECRET_KEY"])
            await database.fetch(_SEED, count)
            async with run_api(database, **settings) as api:
                verdicts = [await compare(api, flow, count) for flow in FLOWS]
        return 0 if all(verdicts) else 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def compare(api: Api, flow: str, count: int) -> bool:
    """Measure one flow and print what was found; returns whether no difference shows."""
    path, verified, lanes = FLOWS[flow]
    prefix = "known." if verified else "waiting."
    await measure(api, path, [f"warm.{nth}@example.com" for nth in range(20)], lanes)
    known = [f"{prefix}{nth + 1}@example.com" for nth in range(count)]
    unknown = [f"{secrets.token_hex(3)}.{nth + 1}@example.com" for nth in range(count)]
    mixed = random.sample([*known, *unknown], 2 * count)
    seconds = await measure(api, path, mixed, lanes)
    first, second = [seconds[one] for one in known], [seconds[one] for one in unknown]
    p = rank_test(first, second)
    medians = [f"{statistics.median(one) * 1000:.2f} ms" for one in (first, second)]
    print(f"{flow}: known {medians[0]}, unknown {medians[1]}, p = {p:.3f}", flush=True)
    return p >= SIGNIFICANT


async def measure(api: Api, path: str, addresses: list[str], lanes: int) -> dict[str, float]:
    waiting, found = list(addresses), dict[str, float]()

    async def lane(http: httpx.AsyncClient) -> None:
        while waiting:
            address = waiting.pop()
            began = time.perf_counter()
            answer = await http.post(
                f"{api.base_url}/api/v1/auth/{path}", json=body_of(path, address), headers=from_anywhere()
            )
            found[address] = time.perf_counter() - began
            assert answer.status_code in {201, 204, 401}, answer.text

    async with httpx.AsyncClient(timeout=30) as http:
        await asyncio.gather(*(lane(http) for _ in range(lanes)))
    return found


def body_of(path: str, address: str) -> dict[str, str]:
    more = {"login": {"password": "not the password"}, "register": {"password": PASSWORD, "name": "Ada"}}
    return {"email": address, **more.get(path, {})}


def from_anywhere() -> dict[str, str]:
    return {"x-forwarded-for": f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"}


def rank_test(first: list[float], second: list[float]) -> float:
    """Return how likely ranks at least as uneven as these are, if both samples are of one kind (two-sided)."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    total = sum(rank for rank, (_, sample) in enumerate(ranked, start=1) if sample == 0)
    n, m = len(first), len(second)
    expected, deviation = n * (n + m + 1) / 2, math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(total - expected) / deviation / math.sqrt(2))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)))
