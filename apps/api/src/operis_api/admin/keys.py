"""Every organization's API keys, for operators: found, disabled and revoked with a reason."""

from typing import Annotated, Literal
from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from operis_api.access.identity import Identity
from operis_api.admin.wording import clean_reason
from operis_api.audit.recording import record_event
from operis_api.keys.changing import KeyFilters, disable, enable, list_keys, lock_key, read_key, revoke
from operis_api.keys.presenting import show_key
from operis_api.keys.schemas import ApiKey, KeyReasonBody
from operis_api.kit.lists import After, Limit
from operis_api.kit.paging import LIMIT_DEFAULT, Page, decode_cursor, page
from operis_db import people

EDITS = {"permission": "admin.keys.edit"}


@get("/", operation_id="list_admin_keys", opt={"permission": "admin.keys.view"})
async def list_all(
    session: AsyncSession,
    search: Annotated[
        str | None,
        QueryParameter(max_length=200, description="Part of a name, a prefix, an owner's address or an organization."),
    ] = None,
    status: FromQuery[Literal["active", "disabled", "expired", "revoked"] | None] = None,
    organization_id: FromQuery[UUID | None] = None,
    owner_id: FromQuery[UUID | None] = None,
    limit: Limit = LIMIT_DEFAULT,
    after: After = None,
) -> Page[ApiKey]:
    """List all keys, newest first."""
    filters = KeyFilters(organization_id=organization_id, owner_id=owner_id, status=status, search=search)
    before = decode_cursor(after, UUID) if after else None
    rows = await list_keys(session, filters, before=before, limit=limit)
    return page(rows, limit=limit, position=lambda row: row.key.id, item=show_key)


@post("/{key_id:uuid}/disable", operation_id="disable_admin_key", status_code=200, opt=EDITS)
async def disable_one(
    identity: Identity, session: AsyncSession, key_id: FromPath[UUID], data: JSONBody[KeyReasonBody]
) -> ApiKey:
    """Disable any key; its organization cannot enable it again."""
    reason, key = clean_reason(data.reason), await lock_key(session, key_id)
    disable(key, by="operator", reason=reason)
    return await _recorded(session, identity, key, "key.disable", reason)


@post("/{key_id:uuid}/enable", operation_id="enable_admin_key", status_code=200, opt=EDITS)
async def enable_one(
    identity: Identity, session: AsyncSession, key_id: FromPath[UUID], data: JSONBody[KeyReasonBody]
) -> ApiKey:
    """Enable any key that was disabled."""
    reason, key = clean_reason(data.reason), await lock_key(session, key_id)
    enable(key, by="operator")
    return await _recorded(session, identity, key, "key.enable", reason)


@post("/{key_id:uuid}/revoke", operation_id="revoke_admin_key", status_code=200, opt=EDITS)
async def revoke_one(
    identity: Identity, session: AsyncSession, key_id: FromPath[UUID], data: JSONBody[KeyReasonBody]
) -> ApiKey:
    """Revoke any key for good."""
    reason, key = clean_reason(data.reason), await lock_key(session, key_id)
    revoke(key, reason=reason)
    return await _recorded(session, identity, key, "key.revoke", reason)


async def _recorded(session: AsyncSession, identity: Identity, key: people.ApiKey, action: str, reason: str) -> ApiKey:
    record_event(
        session,
        identity.origin,
        action=action,
        target=("key", key.id),
        organization_id=key.organization_id,
        reason=reason,
    )
    await session.flush()
    return show_key(await read_key(session, key.id))


router = Router("/keys", route_handlers=[list_all, disable_one, enable_one, revoke_one])
