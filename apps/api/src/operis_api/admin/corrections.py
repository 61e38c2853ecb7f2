"""Putting charges and grants right, for operators."""

from typing import cast
from uuid import UUID

from litestar import Response, Router, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.schemas import Refund, RefundBody, Reversal, ReverseBody
from operis_api.admin.wording import clean_reason
from operis_api.audit.recording import record_event
from operis_api.kit.encryption import Vault
from operis_api.kit.errors import InvalidField
from operis_api.kit.idempotency import IdempotencyKey, Replay, read_body
from operis_api.kit.money import format_nano, parse_nano
from operis_api.kit.origin import AnyRequest
from operis_api.ledger.corrections import refund_grant, reverse_charge
from operis_api.ledger.routes import show_wallet
from operis_api.usage.records import read_record


@post(
    "/requests/{organization_id:uuid}/{request_id:uuid}/reverse",
    opt={"permission": "admin.wallets.adjust"},
    status_code=201,
    operation_id="reverse_charge",
)
async def reverse(
    request: AnyRequest,
    identity: Identity,
    state: State,
    session: AsyncSession,
    organization_id: FromPath[UUID],
    request_id: FromPath[UUID],
    data: JSONBody[ReverseBody],
    idempotency_key: IdempotencyKey = None,
) -> Response[Reversal]:
    """Give a request's whole charge back as a grant of source `refund`, with a reason; once for each request."""
    replay = Replay(
        session,
        cast("Vault", state["vault"]),
        user_id=identity.user_id,
        operation="reverse_charge",
        key=idempotency_key,
    )
    if kept := await replay.answer(await read_body(request)):
        return cast("Response[Reversal]", kept)
    reason = clean_reason(data.reason)
    await read_record(session, organization_id, request_id)  # or it is not found
    reversal = await reverse_charge(session, organization_id, request_id, reason=reason, actor_id=identity.user_id)
    record_event(
        session,
        identity.origin,
        action="charge.reverse",
        target=("request", request_id),
        organization_id=organization_id,
        after={"amount": format_nano(reversal.amount_nano), "posting_id": str(reversal.posting_id)},
        reason=reason,
    )
    await session.flush()
    answer = Reversal(
        posting_id=reversal.posting_id,
        request_id=request_id,
        amount=format_nano(reversal.amount_nano),
        wallet=await show_wallet(session, organization_id),
    )
    return cast("Response[Reversal]", replay.keep(201, answer))


@post(
    "/grants/{organization_id:uuid}/{grant_id:uuid}/refund",
    opt={"permission": "admin.wallets.adjust"},
    status_code=201,
    operation_id="refund_grant",
)
async def refund(
    request: AnyRequest,
    identity: Identity,
    state: State,
    session: AsyncSession,
    organization_id: FromPath[UUID],
    grant_id: FromPath[UUID],
    data: JSONBody[RefundBody],
    idempotency_key: IdempotencyKey = None,
) -> Response[Refund]:
    """Take what is left of a paid grant out of the wallet, with a reason: all that no hold draws on, or `amount`.

    Paying the money out is done with the processor; the ledger has it against the account the grant was paid from.
    """
    replay = Replay(
        session,
        cast("Vault", state["vault"]),
        user_id=identity.user_id,
        operation="refund_grant",
        key=idempotency_key,
    )
    if kept := await replay.answer(await read_body(request)):
        return cast("Response[Refund]", kept)
    reason = clean_reason(data.reason)
    refunded = await refund_grant(
        session,
        organization_id,
        grant_id,
        amount_nano=None if data.amount is None else _parse_positive(data.amount),
        reason=reason,
        actor_id=identity.user_id,
    )
    record_event(
        session,
        identity.origin,
        action="grant.refund",
        target=("grant", grant_id),
        organization_id=organization_id,
        after={"amount": format_nano(refunded.amount_nano), "posting_id": str(refunded.posting_id)},
        reason=reason,
    )
    await session.flush()
    answer = Refund(
        posting_id=refunded.posting_id,
        grant_id=grant_id,
        amount=format_nano(refunded.amount_nano),
        account=refunded.account,
        wallet=await show_wallet(session, organization_id),
    )
    return cast("Response[Refund]", replay.keep(201, answer))


def _parse_positive(text: str) -> int:
    amount_nano = parse_nano("amount", text)
    if amount_nano <= 0:
        raise InvalidField("amount", "pay back more than nothing, or leave it out for all that is left.")
    return amount_nano


router = Router("/", route_handlers=[reverse, refund])
