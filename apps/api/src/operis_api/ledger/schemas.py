"""Wire shapes of the wallet."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    source: Literal["free", "bonus", "paid", "refund", "manual", "voucher"]
    priority: int
    amount: str
    remaining: str
    held: str
    expires_at: datetime | None
    created_at: datetime


class FreeWindow(msgspec.Struct, frozen=True, kw_only=True):
    amount: str
    remaining: str
    seconds: int
    resets_at: datetime | None


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    organization_id: UUID
    available: str
    held: str
    grants: list[Grant]
    free_window: FreeWindow | None


class WalletEntry(msgspec.Struct, frozen=True, kw_only=True):
    sequence: int
    kind: str
    amount: str
    balance_after: str
    reason: str
    request_id: UUID | None
    model: str | None
    created_at: datetime
