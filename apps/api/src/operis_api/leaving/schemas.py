"""Wire shapes of leaving."""

from datetime import datetime

import msgspec


class PendingErasure(msgspec.Struct, frozen=True, kw_only=True):
    erase_at: datetime
    """Until then it can be undone."""


class UndoErasureBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: str
    password: str
