"""Where code hosts report keys they found, in the manner of GitHub's secret scanning partner program.

The body is signed with ECDSA over P-256 and SHA-256, as sent; the header names which of the reporter's keys. Without a
configured key there is nothing here.
"""

from typing import cast

import msgspec
from litestar import Response, post
from litestar.datastructures import State
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.keys.leaks.reporting import Leak, handle_leaks
from operis_api.keys.secret import Peppers
from operis_api.kit.errors import InvalidField, NotFound
from operis_api.kit.origin import AnyRequest, origin_of
from operis_api.kit.signatures import is_signed, read_public_key
from operis_api.kit.tokens import Unauthenticated
from operis_api.mail.outbox import Outbox
from operis_api.settings import Settings

LEAKS_MAX = 1000


# Its callers follow GitHub's documentation, not ours, and sign bytes: it is no operation of the typed client.
@post("/keys/leaks", opt={"public": True}, status_code=200, include_in_schema=False)
async def report_leaks(request: AnyRequest, state: State, session: AsyncSession) -> Response[bytes]:
    """Revoke the keys that a code host found in public, and say which were ours."""
    known = cast("Settings", state["settings"]).leak_report_keys
    if not known:
        raise NotFound("There is nothing here.")
    body, headers = await request.body(), request.headers
    key = known.get(headers.get("github-public-key-identifier", ""))
    if key is None or not is_signed(body, headers.get("github-public-key-signature", ""), read_public_key(key)):
        raise Unauthenticated("The report is not signed by a key that the operator trusts.")
    try:
        leaks = msgspec.json.decode(body, type=list[Leak])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidField("body", "send a JSON array of objects with a token each.") from None
    if len(leaks) > LEAKS_MAX:
        raise InvalidField("body", f"send up to {LEAKS_MAX} at a time.")
    outbox, peppers = cast("Outbox", state["outbox"]), cast("Peppers", state["peppers"])
    verdicts = await handle_leaks(session, outbox, origin_of(request), leaks, peppers)
    return Response(msgspec.json.encode(verdicts), media_type="application/json")
