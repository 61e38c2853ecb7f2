"""Do answers tell by their time whether an address has an account? Known and unknown addresses, in random order.

For each flow a rank test (Mann-Whitney, two-sided) compares the two samples: z is how many standard deviations the
ranks of the known lie from even. Run it on a machine that does nothing else: what disturbs only widens both.
"""

import asyncio
import math
import random
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable
from itertools import count as count_up

import httpx
import msgspec
from tests.factories import PASSWORD
from tests.running import Api, make_database, run_api

from operis_db.embedded import EmbeddedPostgres

SIGNIFICANT = 0.001
WARMING = 20
INVITED_AT_MOST = 200
"""By one organization, which has room for 500."""
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
Send = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]


class Flow(msgspec.Struct, frozen=True):
    name: str
    prefix: str
    """Of the known addresses."""
    lanes: int
    """How many ask at once."""
    send: Send


async def main(postgres: EmbeddedPostgres, count: int) -> list[str]:
    settings = {**SETTINGS, "OPERIS_SECRET_KEY": secrets.token_hex(32)}
    database = await make_database(postgres, OPERIS_SECRET_KEY=settings["OPERIS_SECRET_KEY"])
    await database.fetch(_SEED, count)
    async with run_api(database, **settings) as api:
        flows = [
            Flow("invitation", "known.", 2, await _inviting(api, count)),  # first: its access token lives ten minutes
            Flow("sign-in", "known.", 2, _public(api, "login", password="not the password")),
            Flow("sign-up", "known.", 2, _public(api, "register", password=PASSWORD, name="Ada")),
            Flow("forgotten password", "known.", 4, _public(api, "password/forgot")),
            Flow("link sent again", "waiting.", 4, _public(api, "verify-email/resend")),
        ]
        return [finding for flow in flows for finding in await _compare(flow, count)]


async def _compare(flow: Flow, count: int) -> list[str]:
    """Measure one flow and print statistic and verdict; returns what tells."""
    await _measure(flow, [f"warm.{nth}@example.com" for nth in range(WARMING)])
    known = [f"{flow.prefix}{nth + 1}@example.com" for nth in range(count)]
    unknown = [f"{secrets.token_hex(3)}.{nth + 1}@example.com" for nth in range(count)]
    seconds = await _measure(flow, random.sample([*known, *unknown], 2 * count))
    first, second = [seconds[one] for one in known], [seconds[one] for one in unknown]
    z = rank_statistic(first, second)
    p = math.erfc(abs(z) / math.sqrt(2))
    medians = ", ".join(
        f"{name} {statistics.median(one) * 1000:.2f} ms" for name, one in (("known", first), ("unknown", second))
    )
    tells = p < SIGNIFICANT
    print(f"{flow.name}: {medians}, z = {z:+.2f}, p = {p:.3f}: {'TELLS' if tells else 'tells nothing'}", flush=True)
    return [f"{flow.name} tells known addresses by its time ({medians}, p = {p:.2g})"] if tells else []


async def _measure(flow: Flow, addresses: list[str]) -> dict[str, float]:
    waiting, found = list(addresses), dict[str, float]()

    async def lane(http: httpx.AsyncClient) -> None:
        while waiting:
            address = waiting.pop()
            began = time.perf_counter()
            answer = await flow.send(http, address)
            found[address] = time.perf_counter() - began
            assert answer.status_code in {201, 204, 401}, answer.text

    async with httpx.AsyncClient(timeout=30) as http:
        await asyncio.gather(*(lane(http) for _ in range(flow.lanes)))
    return found


def _public(api: Api, path: str, **body: str) -> Send:
    """Return how anybody asks this of an address, each time from another network."""

    async def send(http: httpx.AsyncClient, address: str) -> httpx.Response:
        elsewhere = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"
        url = f"{api.base_url}/api/v1/auth/{path}"
        return await http.post(url, json={"email": address, **body}, headers={"x-forwarded-for": elsewhere})

    return send


async def _inviting(api: Api, count: int) -> Send:
    """Return how an owner invites an address, to one of as many organizations as it takes."""
    admin = await api.admin()
    needed = -(-(2 * count + WARMING) // INVITED_AT_MOST)
    made = [(await admin.create_organization(name=f"Drill {nth}")).id for nth in range(needed)]
    turns = count_up()

    async def send(http: httpx.AsyncClient, address: str) -> httpx.Response:
        return await http.post(
            f"{api.base_url}/api/v1/organizations/{made[next(turns) % needed]}/invitations",
            json={"email": address, "role": "viewer"},
            headers={"authorization": f"Bearer {admin.token}"},
        )

    return send


def rank_statistic(first: list[float], second: list[float]) -> float:
    """Return how many standard deviations the ranks of the first lie from those of samples of one kind."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    total = sum(rank for rank, (_, sample) in enumerate(ranked, start=1) if sample == 0)
    n, m = len(first), len(second)
    return (total - n * (n + m + 1) / 2) / math.sqrt(n * m * (n + m + 1) / 12)
