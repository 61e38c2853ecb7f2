"""A key as its lists show it."""

from typing import Literal, cast

import msgspec

from operis_api.keys.changing import KeyRow, status_of
from operis_api.keys.schemas import ApiKey
from operis_api.kit.money import format_nano
from operis_api.limits.fields import show_limits


def show_key(row: KeyRow) -> ApiKey:
    key = row.key
    return ApiKey(
        id=key.id,
        organization_id=key.organization_id,
        organization_name=row.organization_name,
        name=key.name,
        prefix=key.prefix,
        last_four=key.last_four,
        status=cast("Literal['active', 'disabled', 'expired', 'revoked']", status_of(key)),
        scopes=key.scopes,
        models=key.models,
        cidrs=key.cidrs,
        service=key.service,
        owner_email=row.owner_email,
        created_at=key.created_at,
        expires_at=key.expires_at,
        old_secret_expires_at=row.old_secret_expires_at,
        disabled_at=key.disabled_at,
        disabled_by=key.disabled_by,
        revoked_at=key.revoked_at,
        reason=key.reason,
        last_used_at=row.last_used_at,
        last_address=row.last_address,
        last_agent=row.last_agent,
        last_model=row.last_model,
        spent=format_nano(row.spent_nano),
        requests=row.requests,
        errors=row.errors,
        states=row.states,
        **msgspec.structs.asdict(show_limits(key)),
    )
