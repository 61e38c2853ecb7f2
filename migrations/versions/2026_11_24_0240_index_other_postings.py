"""Find an organization's postings other than charges without reading its charges."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_0240"
down_revision = "2026_11_24_0235"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index(
        "ix_postings_other", "postings", ["organization_id", "id"], postgresql_where=sa.text("kind <> 'charge'")
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_postings_other", table_name="postings")
