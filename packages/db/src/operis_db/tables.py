"""Every table, registered on one metadata: what migrations are compared with."""

from operis_db import catalog, ledger, people, records, usage
from operis_db.base import Base

__all__ = ["catalog", "ledger", "metadata", "people", "records", "usage"]

metadata = Base.metadata
