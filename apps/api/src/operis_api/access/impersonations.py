"""Which impersonations are alive: decided afresh on every request, so that whatever ends one ends it at once.

It lives while its time lasts, nobody ended it, the operator's own session lives, the operator may still impersonate,
and the person is active and no operator.
"""

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import aliased

from operis_api.access.permissions import OF_OPERATORS
from operis_db.people import Impersonation, Session, User

Operator = aliased(User)
PERMISSION = "admin.users.impersonate"


def is_alive() -> ColumnElement[bool]:
    """Return the condition on an impersonation joined with its person (`User`), `Operator` and that one's `Session`."""
    return (
        Impersonation.ended_at.is_(None)
        & (Impersonation.expires_at > func.now())
        & Session.revoked_at.is_(None)
        & (Session.expires_at > func.now())
        & (Operator.standing == "active")
        & Operator.role.in_(OF_OPERATORS[PERMISSION])
        & (User.standing == "active")
        & (User.role == "user")
    )
