"""Let a suspension say why, and a user's say until when."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_0250"
down_revision = "2026_11_24_0245"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("users", sa.Column("suspended_until", sa.DateTime(timezone=True), nullable=True))
    for table in ("users", "organizations"):
        op.add_column(table, sa.Column("suspended_reason", sa.String(length=500), nullable=True))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("users", "suspended_until")
    for table in ("users", "organizations"):
        op.drop_column(table, "suspended_reason")
