"""How long until another process refuses what one has acknowledged: keys revoked, limits lowered, users suspended.

Two API processes on one database: calls one after the other until the first refusal; the same again with a process
that hears no notification.
"""

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.factories import Account, mint, sign_up
from tests.running import Api, make_database, run_api

from operis_client import AsyncOperis
from operis_db.embedded import EmbeddedPostgres

HELLO = {"model": "operis/echo", "messages": [{"role": "user", "content": "hi"}]}
DEAF = "postgresql://nobody@127.0.0.1:1/nowhere"
"""Where a deaf process listens: nobody is there."""
SECONDS_MAX = 1.0
WAIT_SECONDS = 20.0
Change = Callable[[], Awaitable[object]]


async def main(postgres: EmbeddedPostgres, tries: int) -> list[str]:
    database = await make_database(postgres)
    findings: list[str] = []
    async with (
        run_api(database) as here,
        run_api(database) as hearing,
        run_api(database, OPERIS_LISTEN_DATABASE_URL=DEAF) as deaf,
    ):
        admin = await here.admin()
        for there, cut in ((hearing, ""), (deaf, ", notifications cut")):
            account = await sign_up(here)
            changes = (
                ("revoked", _revocations(account, tries)),
                ("limit lowered", _lowered_limits(account, tries)),
                ("suspended", _suspensions(account, admin, tries)),
            )
            for name, tried in changes:
                seconds = [await _until_refused(there, secret, change) async for secret, change in tried]
                findings += _judge(name + cut, seconds)
    return findings


async def _revocations(account: Account, tries: int) -> AsyncIterator[tuple[str, Change]]:
    for _ in range(tries):
        minted = await account.client.mint_key(name="drill")
        key_id = minted.key.id
        yield minted.secret, lambda key_id=key_id: account.client.revoke_key(key_id)


async def _lowered_limits(account: Account, tries: int) -> AsyncIterator[tuple[str, Change]]:
    minted = await account.client.mint_key(name="drill")
    for _ in range(tries):
        yield minted.secret, lambda: account.client.update_key(minted.key.id, budget="0")
        await account.client.update_key(minted.key.id, budget=None)


async def _suspensions(account: Account, admin: AsyncOperis, tries: int) -> AsyncIterator[tuple[str, Change]]:
    secret = await mint(account)
    for _ in range(tries):
        yield secret, lambda: admin.update_user(account.user_id, status="suspended", reason="drill")
        await admin.update_user(account.user_id, status="active", reason="drill")


async def _until_refused(there: Api, secret: str, change: Change) -> float:
    """Return the seconds from the acknowledged change to the first refusal of a key that was let in before."""
    headers, url = {"authorization": f"Bearer {secret}"}, f"{there.base_url}/v1/chat/completions"
    if (await there.http.post(url, json=HELLO, headers=headers)).status_code != 200:
        return WAIT_SECONDS
    await change()
    began = time.monotonic()
    while (await there.http.post(url, json=HELLO, headers=headers)).status_code == 200:
        if time.monotonic() - began > WAIT_SECONDS:
            break
    return time.monotonic() - began


def _judge(name: str, seconds: list[float]) -> list[str]:
    ordered = sorted(seconds)
    median, p99 = ordered[len(ordered) // 2], ordered[max(math.ceil(len(ordered) * 0.99) - 1, 0)]
    print(
        f"{name}: refused after {median * 1000:.0f} ms (median), {p99 * 1000:.0f} ms (p99) of {len(ordered)} tries",
        flush=True,
    )
    return [f"{name}: p99 is {p99:.2f} s, not below {SECONDS_MAX} s"] if p99 >= SECONDS_MAX else []
